import Digests
import NestedLearning
import WireProtocol

/// SHA-256 over (name, shape, bytes) of tensors in the order of their names: what two states are compared by.
///
/// Each tensor adds its name in UTF-8, a zero byte, its shape as decimal numbers with commas, a zero byte, and its
/// values as little-endian f32.
package enum StateDigest {
  package static func of(_ tensors: some Sequence<NamedTensor>) -> String {
    var digest = DigestBuilder()
    for tensor in tensors {
      digest.update("\(tensor.name)\0\(tensor.shape.map(String.init).joined(separator: ","))\0")
      tensor.values.withUnsafeBytes { digest.update($0) }
    }
    return digest.finish()
  }
}
