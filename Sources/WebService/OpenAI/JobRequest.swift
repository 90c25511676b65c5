import Dataset
import JSON
import NestedLearning
import Service

/// A fine-tuning job as it is asked for, as the config of a run.
struct JobRequest {
  /// As that API has it.
  private static let mostSuffix = 64
  private static let mostEpochs = 10_000
  private static let mostBatch = 65_535
  private static let ownKeys = ["base_model_path", "adapter_path", "train_data_path", "val_data_path"]

  /// The keys of a config that decide the run, but for its name.
  private(set) var config: JSONObject
  let suffix: String?
  /// What is kept with the job.
  let shown: JSONObject
  private let hyperparameters: Hyperparameters

  struct Hyperparameters {
    var epochs: Int?
    var batch: Int?
    var multiplier: Double?

    var json: JSONObject {
      [
        "n_epochs": epochs.map { .number($0) } ?? "auto", "batch_size": batch.map { .number($0) } ?? "auto",
        "learning_rate_multiplier": multiplier.map { .number($0) } ?? "auto",
      ]
    }
  }

  /// - Throws: `OpenAIError` that names the field.
  init(_ body: JSONObject, catalog: ModelCatalog, shelf: FileShelf, policy: PathPolicy) throws {
    var fields = RequestFields(body)
    guard let model = try fields.string("model") else { throw OpenAIError.field("model", "model is missing") }
    guard let training = try fields.string("training_file") else {
      throw OpenAIError.field("training_file", "training_file is missing: the id of a file, or its path")
    }
    let validation = try fields.string("validation_file")
    suffix = try fields.string("suffix", atMost: Self.mostSuffix)
    let seed = try fields.integer("seed", in: 0...Int(Int32.max))
    let metadata = try fields.object("metadata")
    hyperparameters = try Self.hyperparameters(&fields)
    try fields.allow("integrations", [])
    config = try fields.object("nested_learning") ?? [:]
    try fields.end()
    for key in Self.ownKeys where config[key] != nil {
      throw OpenAIError.field(
        "nested_learning.\(key)", "\(key) is what the job's own fields say: leave it out")
    }
    let found = try catalog.find(model)
    config["base_model_path"] = .string(found.base)
    if let adapter = found.adapter { config["adapter_path"] = .string(adapter) }
    config["train_data_path"] = .string(try Self.path(training, "training_file", shelf, policy))
    if let validation {
      config["val_data_path"] = .string(try Self.path(validation, "validation_file", shelf, policy))
    }
    if let seed { config["seed"] = .number(seed) }
    shown = [
      "model": .string(model), "training_file": .string(training),
      "validation_file": validation.map { .string($0) } ?? nil,
      "hyperparameters": .object(hyperparameters.json), "seed": seed.map { .number($0) } ?? nil,
      "suffix": suffix.map { .string($0) } ?? nil, "metadata": metadata.map { .object($0) } ?? nil,
    ]
  }

  /// The path of a file by its id, or by its path below the data folder.
  private static func path(
    _ file: String, _ field: String, _ shelf: FileShelf, _ policy: PathPolicy
  ) throws -> String {
    if OpenAIID.isOne(file, FileShelf.prefix) {
      guard let file = try? shelf.file(file) else {
        throw OpenAIError.field(field, "there is no file \(file)", code: "file_not_found")
      }
      return file.path
    }
    return try policy.resolved(file, field)
  }

  /// Those of `method`, or those beside it, which older programs send.
  private static func hyperparameters(_ fields: inout RequestFields) throws -> Hyperparameters {
    let outer = try fields.object("hyperparameters")
    guard let method = try fields.object("method") else {
      return try read(outer ?? [:], prefix: "hyperparameters.")
    }
    var inner = RequestFields(method, prefix: "method.")
    let type = try inner.string("type") ?? "supervised"
    guard type == "supervised" else {
      throw OpenAIError.field(
        "method.type", "the method \(type.prefix(80)) is not done here: supervised is",
        code: "unsupported_method")
    }
    let supervised = try inner.object("supervised") ?? [:]
    try inner.end()
    var members = RequestFields(supervised, prefix: "method.supervised.")
    let own = try members.object("hyperparameters")
    try members.end()
    guard outer == nil || own == nil else {
      throw OpenAIError.field("hyperparameters", "hyperparameters are given twice: once in method")
    }
    return try read(own ?? outer ?? [:], prefix: "method.supervised.hyperparameters.")
  }

  private static func read(_ object: JSONObject, prefix: String) throws -> Hyperparameters {
    // "auto" is what there is by itself.
    let given = JSONObject(
      object.members.map { .init(key: $0.key, value: $0.value == "auto" ? .null : $0.value) })
    var fields = RequestFields(given, prefix: prefix)
    let read = Hyperparameters(
      epochs: try fields.integer("n_epochs", in: 1...mostEpochs),
      batch: try fields.integer("batch_size", in: 1...mostBatch),
      multiplier: try fields.number("learning_rate_multiplier", in: 1e-9...1e9))
    try fields.end()
    return read
  }

  /// The config with what follows from the hyperparameters: the rate, how a step is cut, and how many there are.
  ///
  /// - Parameter config: of the run, as far as it is known, with absolute paths
  /// - Throws: what is wrong with the config or the data, with its key.
  func completed(_ config: JSONObject) throws -> JSONObject {
    var config = config
    if let batch = hyperparameters.batch {
      for key in ["batch_size", "gradient_accumulation_steps"] where config[key] != nil {
        throw OpenAIError.field("nested_learning.\(key)", "\(key) follows from the hyperparameter batch_size")
      }
      (config["batch_size"], config["gradient_accumulation_steps"]) = (1, .number(batch))
    }
    let known = try NestedLearningConfig(object: config, file: "the request")
    if let multiplier = hyperparameters.multiplier {
      config["learning_rate"] = .number(known.learningRate * multiplier)
    }
    if let epochs = hyperparameters.epochs, config["num_steps"] == nil {
      config["num_steps"] = .number(try Self.steps(epochs, known))
    }
    return config
  }

  /// ⌈n_epochs · rows/(batch · accumulation)⌉, with the rows that are trained on.
  private static func steps(_ epochs: Int, _ config: NestedLearningConfig) throws -> Int {
    let (files, read): (DataFiles, DataInspection)
    do {
      files = try DataFiles(config: config)
      read = try DataInspection(
        paths: files.train.map(\.path), model: config.baseModelPath, options: RowOptions(config),
        trainOn: config.trainOn, exampleCount: 0, date: config.chatTemplateDate)
    } catch { throw OpenAIError.field("training_file", "\(error)", code: "invalid_file_format") }
    // Without a file for validation, the last tenth of the rows is kept for it.
    let isSplit = files.validation.isEmpty
    let rows = read.files.reduce(0) { sum, file in
      sum + file.report.rows - (isSplit ? max(1, file.report.rows / 10) : 0)
    }
    guard rows > 0 else {
      throw OpenAIError.field(
        "training_file", "the file has no row that can be trained on", code: "invalid_file_format")
    }
    let (all, isTooMuch) = rows.multipliedReportingOverflow(by: epochs)
    let batch = config.batchSize * config.gradientAccumulationSteps
    guard !isTooMuch else { throw OpenAIError.field("hyperparameters.n_epochs", "there are too many steps") }
    return (all - 1) / batch + 1
  }
}
