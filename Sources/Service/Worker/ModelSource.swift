import Files
import Foundation
import LanguageModel
import Logging
import WireProtocol

/// Where a worker has its base model from: its own folder, the coordinator's, the cache, or the coordinator itself.
struct ModelSource: Sendable {
  /// The folder that the worker was started with; it is not looked for elsewhere then.
  let ownPath: String?
  /// Nil if there is no folder for it.
  let cache: ModelCache?
  let logger: Logger
  let failpoints: Failpoints

  /// The folder of the model that a coordinator asks for, and whose digest has been compared; it is fetched if it is
  /// not here.
  func folder(for run: EnterRun, channel: ModelChannel) throws -> ModelFolder {
    let sha256 = run.modelSHA256
    if let ownPath { return try own(ownPath, run) }
    if !failpoints.fires(.modelFetch) {
      let path = run.modelPath
      if FileManager.default.fileExists(atPath: path + "/config.json") {
        if let folder = try? ModelFolder(path: path),
          try FileDigest.sha256(files: folder.weightFiles()) == sha256
        {
          return folder
        }
        logger.info("\(path) on this machine is not the run's base model")
      }
    }
    guard let cache else {
      throw ServiceError(
        "the base model is not on this machine, and there is no folder to keep it in",
        remedy: "give one with --model-cache DIR, or the model's own with --model DIR")
    }
    if try Self.digest(of: cache.folder(sha256)) == sha256 {
      cache.noteUse(sha256)
      return try ModelFolder(path: cache.folder(sha256))
    }
    let fetch = ModelFetch(
      cache: cache, sha256: sha256, channel: channel, logger: logger, failpoints: failpoints)
    return try ModelFolder(path: try fetch.run())
  }

  private func own(_ path: String, _ run: EnterRun) throws -> ModelFolder {
    let remedy =
      "give the coordinator's model with --model DIR, or leave --model out, and it is fetched from the coordinator"
    guard FileManager.default.fileExists(atPath: path + "/config.json") else {
      throw ServiceError(
        "the base model is not on this machine: \(path) has no config.json", remedy: remedy)
    }
    let folder = try ModelFolder(path: path)
    let sha256 = try FileDigest.sha256(files: folder.weightFiles())
    guard sha256 == run.modelSHA256 else {
      throw ServiceError(
        "\(path) is not the coordinator's base model: its SHA-256 is \(sha256), the coordinator's \(run.modelSHA256)",
        remedy: remedy)
    }
    return folder
  }

  /// The digest of a folder in the cache; nil if there is none, or it cannot be read as a model.
  static func digest(of path: String) throws -> String? {
    guard FileSystem.kind(path) == .folder, let folder = try? ModelFolder(path: path) else { return nil }
    return try FileDigest.sha256(files: folder.weightFiles())
  }
}
