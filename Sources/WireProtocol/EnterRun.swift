import JSON

/// A trained parameter's place in its tier's run of values.
public struct TierParameter: Sendable, Equatable {
  public var name: String
  public var shape: [Int]

  public init(name: String, shape: [Int]) {
    self.name = name
    self.shape = shape
  }

  /// The number of values. Shapes from messages have been checked not to overflow it.
  public var count: Int { shape.reduce(1, *) }
}

/// ENTER_RUN: a worker is to load a model and to work on a run. Its envelope carries the number and the term of the run,
/// which all messages about it bear from then on.
public struct EnterRun: Sendable, Equatable {
  /// The worker's number in the run.
  public var workerID: Int
  /// Tells the run from all others, and stays the same when its coordinator is started again: terms are compared within
  /// a run.
  public var run: String
  /// The number of the tier plan that is in force; 1 is the one that the run began with.
  public var plan: Int
  /// Where the coordinator has the model; a worker without a folder of its own looks there.
  public var modelPath: String
  /// Digest that the worker's model folder must have.
  public var modelSHA256: String
  /// What is trained: the LoRA specification, or the string "full".
  public var trainable: JSONValue
  /// For every tier its parameters, names ascending by UTF-8 bytes: the layout of every tier's values and
  /// gradients from now on.
  public var tiers: [[TierParameter]]
  /// One of those that the worker has said; nil: the one that it computes in by itself.
  public var numericProfile: String?
  /// Whether the worker is to keep only the inputs of layers and to compute the rest twice. No bit depends on it.
  public var recomputesLayers: Bool
  /// What gradients are of, if that is more than the cross entropy of every trained token.
  public var objective: JSONValue?

  public init(
    workerID: Int, run: String, plan: Int = 1, modelPath: String, modelSHA256: String, trainable: JSONValue,
    tiers: [[TierParameter]], numericProfile: String? = nil, recomputesLayers: Bool = false,
    objective: JSONValue? = nil
  ) {
    self.workerID = workerID
    self.run = run
    self.plan = plan
    self.modelPath = modelPath
    self.modelSHA256 = modelSHA256
    self.trainable = trainable
    self.tiers = tiers
    self.numericProfile = numericProfile
    self.recomputesLayers = recomputesLayers
    self.objective = objective
  }
}

extension EnterRun: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("worker_id", workerID)
    writer.add("run", run)
    writer.add("plan", plan)
    writer.add("model_path", modelPath)
    writer.add("model_sha256", modelSHA256)
    writer.add("trainable", trainable)
    writer.add(
      "tiers",
      .array(
        tiers.map { tier in
          .array(tier.map { ["name": .string($0.name), "shape": .numbers($0.shape)] })
        }))
    writer.add("numeric_profile", ifPresent: numericProfile.map { .string($0) })
    writer.add("recomputes_layers", ifPresent: recomputesLayers ? true : nil)
    writer.add("objective", ifPresent: objective)
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    self.init(
      workerID: try reader.integer("worker_id", in: 0...Int.max),
      run: try reader.string("run", maximum: WireLimits.runBytes),
      plan: try reader.integer("plan", in: 1...Int.max),
      modelPath: try reader.string("model_path"),
      modelSHA256: try reader.sha256("model_sha256"),
      trainable: try reader.value("trainable"),
      tiers: try EnterRun.tiers(from: reader),
      numericProfile: try reader.optionalString("numeric_profile", maximum: 256),
      recomputesLayers: try reader.optionalBool("recomputes_layers") ?? false,
      objective: reader.optional("objective"))
  }

  private static func tiers(from reader: BodyReader) throws(ProtocolError) -> [[TierParameter]] {
    guard let lists = try reader.value("tiers").array, lists.count <= WireLimits.tiers else {
      throw reader.error("tiers", "must be a list of at most \(WireLimits.tiers) lists of parameters")
    }
    var tiers: [[TierParameter]] = []
    for list in lists {
      guard let items = list.array else {
        throw reader.error("tiers", "must be a list of lists of parameters")
      }
      var tier: [TierParameter] = []
      for item in items { tier.append(try parameter(item, reader)) }
      let names = tier.map { Array($0.name.utf8) }
      guard zip(names, names.dropFirst()).allSatisfy({ $0.lexicographicallyPrecedes($1) }) else {
        throw reader.error("tiers", "must name each tier's parameters in ascending order")
      }
      tiers.append(tier)
    }
    return tiers
  }

  private static func parameter(_ item: JSONValue, _ reader: BodyReader) throws(ProtocolError)
    -> TierParameter
  {
    guard let name = item["name"]?.string, name.utf8.count <= WireLimits.textBytes,
      let sizes = item["shape"]?.array, sizes.count <= 8
    else { throw reader.error("tiers", "must give each parameter a name and a shape") }
    var shape: [Int] = []
    var count = 1
    for size in sizes {
      guard let size = size.int, size > 0 else {
        throw reader.error("tiers", "has a shape that is not positive")
      }
      let product = count.multipliedReportingOverflow(by: size)
      guard !product.overflow, product.partialValue <= 1 << 40 else {
        throw reader.error("tiers", "has a parameter of more than 2^40 values")
      }
      count = product.partialValue
      shape.append(size)
    }
    return TierParameter(name: name, shape: shape)
  }
}
