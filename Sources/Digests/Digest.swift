import Dispatch
import Synchronization

/// SHA-256 (FIPS 180-4) as this project writes it everywhere: 64 lower-case hexadecimal digits.
public enum Digest {
  public static func sha256(_ bytes: UnsafeRawBufferPointer) -> String {
    var builder = DigestBuilder()
    builder.update(bytes)
    return builder.finish()
  }

  public static func sha256(_ bytes: [UInt8]) -> String { bytes.withUnsafeBytes { sha256($0) } }

  /// The digest of a string's UTF-8 bytes.
  public static func sha256(_ text: String) -> String { sha256(Array(text.utf8)) }

  /// The digest of the bytes of f32 values, as they travel.
  package static func sha256(floats: [Float]) -> String { floats.withUnsafeBytes { sha256($0) } }

  /// The digests of many, each as of `sha256(floats:)`, by as many threads at once.
  package static func sha256(each list: [[Float]], threads: Int) -> [String] {
    guard threads > 1, list.count > 1 else { return list.map { sha256(floats: $0) } }
    let digests = Mutex([String](repeating: "", count: list.count))
    let workers = min(threads, list.count)
    DispatchQueue.concurrentPerform(iterations: workers) { worker in
      for index in stride(from: worker, to: list.count, by: workers) {
        let digest = sha256(floats: list[index])
        digests.withLock { $0[index] = digest }
      }
    }
    return digests.withLock { $0 }
  }

  /// Whether a text has the form of a digest.
  public static func isSHA256(_ text: String) -> Bool {
    text.utf8.count == 64 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }
}

/// SHA-256 of bytes that come piece by piece. A copy goes on by itself.
public struct DigestBuilder: Sendable {
  /// Nil until the first byte comes.
  private var state: SHA256State?

  public init() {}

  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard !bytes.isEmpty else { return }
    if state == nil {
      state = SHA256State()
    } else if !isKnownUniquelyReferenced(&state) {
      state = state?.copy()
    }
    state?.update(bytes)
  }

  public mutating func update(_ text: String) {
    var text = text
    text.withUTF8 { update(UnsafeRawBufferPointer($0)) }
  }

  /// The digest of everything added so far, in hexadecimal.
  public func finish() -> String {
    Hexadecimal.text((state?.copy() ?? SHA256State()).finish())
  }
}
