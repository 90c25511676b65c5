import Dataset
import Files
import JSON
import LanguageModel
import NestedLearning

/// What becomes of data with a model's tokenizer and template: what `nl-tool data inspect` shows.
public struct DataInspection: Sendable {
  public struct File: Sendable {
    public let report: RowReport
    public let examples: [RowExample]
    /// Of each task, where rows are of some.
    public let tasks: [TaskRows]
  }

  public let files: [File]

  /// - Parameters:
  ///   - paths: files, or folders with train, valid and test files.
  ///   - folder: of the model; its weights are not needed.
  ///   - exampleCount: rows of each file to show; the first of each kind are among them.
  ///   - tasks: that rows are of; none for rows by themselves.
  ///   - date: what chat templates see, as `2026-11-29`; nil: today.
  /// - Throws: what keeps a file from being read at all; what is wrong with single rows is counted.
  public init(
    paths: [String], model folder: String, options: RowOptions, trainOn: TrainOn, exampleCount: Int,
    tasks: [TaskDefinition] = [], date: String? = nil, progress: ((TokenizingProgress) -> Void)? = nil
  ) throws {
    let folder = FileSystem.absolute(folder)
    let tokenizer = try Tokenizer(modelFolder: folder)
    let heads = tasks.map { TaskHead($0) }
    let encoding = try RowEncoding(
      tokenizer: tokenizer, folder: folder, trainOn: trainOn, date: date, tasks: heads)
    var options = options
    options.collectsFaults = true
    files = try paths.flatMap { try DataFiles.all(FileSystem.absolute($0)) }.map { file in
      let read = try TokenRows(
        file: file, encoder: encoding.encoder, options: options, cache: encoding.cache, progress: progress)
      return File(
        report: read.report,
        examples: Self.examples(of: read, count: exampleCount).map { number in
          RowExample(read.rows[number], line: read.rows.line(of: number), tokenizer: tokenizer)
        }, tasks: TaskRows.count(read.rows, of: heads))
    }
  }

  /// The first row of each kind, then rows that lie evenly over the file; in its order.
  private static func examples(of read: TokenRows, count: Int) -> [Int] {
    let spread = (0..<max(1, count)).map { $0 * (read.rows.count - 1) / max(1, count - 1) }
    var chosen: [Int] = []
    for number in read.report.firstRows.values.sorted() + spread
    where chosen.count < count && read.rows.indices.contains(number) && !chosen.contains(number) {
      chosen.append(number)
    }
    return chosen.sorted()
  }

  public var json: JSONValue {
    [
      "files": .array(
        files.map { file in
          var members: JSONObject = ["file": .string(file.report.file)]
          for member in file.report.json.object?.members ?? [] { members[member.key] = member.value }
          if !file.tasks.isEmpty { members["tasks"] = .array(file.tasks.map(\.json)) }
          members["examples"] = .array(file.examples.map(\.json))
          return .object(members)
        })
    ]
  }

  /// For a person.
  ///
  /// - Parameter colors: whether what is trained on is shown by colours, else by marks.
  public func text(colors: Bool) -> String {
    files.map { file in
      ([ReportText(file.report).text + file.tasks.map { "\n  Task        " + $0.text }.joined()]
        + file.examples.map { $0.text(colors: colors) }).joined(separator: "\n\n")
    }.joined(separator: "\n\n")
  }
}
