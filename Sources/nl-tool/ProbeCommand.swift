import ArgumentParser
import Files
import Service

struct ProbeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "probe",
    abstract: "Tell how much a model's hidden states say of the domains of rows.",
    discussion: """
      Example:
        nl-tool probe --model base --adapter runs/demo/checkpoints/final --data valid.jsonl
        nl-tool probe --model base --data valid.jsonl --field source --json

      A logistic regression is fitted to the mean hidden states of one half of the rows of each domain, and another to those of the \
      other half; each is judged by the half that it was not fitted to. Before domain-adversarial training (adaptation_adversary) it is to be far above chance, and after it near.
      """)

  @OptionGroup var options: ModelOptions

  @Option(help: "Rows, each with the key that is to be told; held out from training.")
  var data: String

  @Option(help: "The key of a row that has its domain.")
  var field = "domain"

  @Option(help: "Tokens of a row at most; by default 512, or the model's positions if these are fewer.")
  var maxSeqLength: Int?

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if let maxSeqLength, maxSeqLength < 1 { throw ValidationError("--max-seq-length must be at least 1") }
  }

  func run() throws {
    let outcome = try options.load().probe(
      data: FileSystem.expandingTilde(data), field: field, maxLength: maxSeqLength)
    print(json ? outcome.json.text : outcome.text)
  }
}
