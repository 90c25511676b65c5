import Digests
import Service
import WireProtocol

/// The base model of a run as files of a few hundred bytes, for workers that have to fetch it.
struct ToyModel: Sendable {
  let files: [[UInt8]]
  let offer: ModelOffer

  init(seed: UInt64) {
    var random = SplitMix64(seed: SplitMix64.mix(seed))
    let names = ["config.json", "model.safetensors"]
    let files = [1...80, 200...3000].map { range in
      (0..<Int.random(in: range, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
    }
    let parts = zip(names, files).map { name, bytes in
      ModelOffer.File(name: name, byteCount: bytes.count, sha256: Self.sha256(bytes))
    }
    let digest = ModelFiles.digest(of: ModelOffer(modelSHA256: "", files: parts))
    self.files = files
    offer = ModelOffer(modelSHA256: digest, files: parts)
  }

  static func sha256(_ bytes: [UInt8]) -> String { bytes.withUnsafeBytes { Digest.sha256($0) } }
}
