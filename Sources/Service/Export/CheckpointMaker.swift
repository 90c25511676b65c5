import Files
import Foundation
import GGUF
import JSON
import LanguageModel

/// Makes what a service has been asked for out of a checkpoint, in a process of its own, which ends with its standard
/// input: the kernel closes that even when the service is killed.
public struct CheckpointMaker {
  private let form: CheckpointForm
  private let adapter: String
  private let model: String
  private let output: String
  /// Seconds that it waits before it begins.
  private let delay: Double

  /// - Parameters:
  ///   - adapter: the checkpoint's folder
  ///   - model: the base model's folder
  ///   - output: the file or folder to make; it must not be there yet
  public init(form: CheckpointForm, adapter: String, model: String, output: String, failpoints: Failpoints) {
    (self.form, self.adapter, self.model, self.output) = (form, adapter, model, output)
    delay = failpoints.number(.exportDelay) ?? 0
  }

  /// Makes it. What keeps it from that is a line of JSON on standard output.
  ///
  /// - Returns: whether it is there
  public func run() -> Bool {
    // Whatever else this machine computes comes first; threads begun from here on inherit it.
    _ = nice(19)
    ParentWatch.exitWhenStandardInputEnds()
    if delay > 0 { usleep(UInt32(delay * 1e6)) }
    do {
      try make()
      return true
    } catch {
      let reason = (error as? ServiceError)?.reason ?? "\(error)"
      let remedy = (error as? ServiceError)?.remedy
      let line: JSONValue = ["reason": .string(reason), "remedy": remedy.map { .string($0) } ?? .null]
      print(line.text)
      return false
    }
  }

  private func make() throws {
    switch form {
    case .gguf: try writeAdapter()
    case .merged: _ = try ModelMerger(model: model, adapter: adapter).run(output: output) { _, _ in }
    case .mergedGGUF: try writeMerged()
    }
  }

  private func writeAdapter() throws {
    let configuration = try ModelFolder.configuration(folder: model)
    let weights = try AdapterReader.read(folder: adapter, model: configuration)
    if let head = weights.specification.heads.first {
      throw ServiceError(
        "the checkpoint has a head for \(head.name), and a GGUF adapter has no place for it",
        remedy: "use the checkpoint as it is")
    }
    try GGUFAdapterWriter.write(
      weights, name: FileSystem.name(of: adapter), model: configuration, to: output)
  }

  /// By way of a merged folder, which is gone afterwards.
  private func writeMerged() throws {
    let folder = output + ".model/" + FileSystem.name(of: output).replacing(".gguf", with: "")
    try FileSystem.makeFolders(output + ".model")
    defer { try? FileSystem.remove(output + ".model") }
    _ = try ModelMerger(model: model, adapter: adapter).run(output: folder) { _, _ in }
    try GGUFModelWriter(model: try ModelFolder(path: folder)).write(to: output) { _, _ in }
  }
}
