import Files
import LanguageModel
import WireProtocol

/// Which files a worker needs of a model folder, and how their digests make the model's.
package enum ModelFiles {
  static let indexName = "model.safetensors.index.json"

  /// The paths of a folder's files that workers are sent: what the digest covers, and the index of the shards.
  static func paths(of folder: ModelFolder) -> [String] {
    folder.weightFiles() + (folder.weights.indexFile.map { [$0] } ?? [])
  }

  /// Bytes of those files; nil if one of them cannot be found.
  static func byteCount(of folder: ModelFolder) -> Int? {
    let sizes = paths(of: folder).map(FileSystem.size)
    return sizes.contains(nil) ? nil : sizes.reduce(0) { $0 + ($1 ?? 0) }
  }

  /// Whether a file of this name is part of a model folder that a worker reads.
  static func isExpected(name: String) -> Bool {
    ModelOffer.File.isSafe(name: name)
      && (name == "config.json" || name == indexName || name.hasSuffix(".safetensors"))
  }

  /// The digest of the model that an offer's files make up, if each has the digest that is given for it.
  package static func digest(of offer: ModelOffer) -> String {
    FileDigest.combined(
      offer.files.filter { $0.name != indexName }.map { (name: $0.name, sha256: $0.sha256) })
  }
}
