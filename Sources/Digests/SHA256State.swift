import COpenSSL

/// A SHA-256 that OpenSSL computes, with the processor's own instructions where there are some.
///
/// Everything that can fail here is memory that cannot be allocated, for which a Swift program stops as well.
/// Unchecked: a `DigestBuilder` alone holds a state that it changes.
final class SHA256State: @unchecked Sendable {
  static let byteCount = 32

  /// The function, looked up once: a look-up takes a lock and is dearer than a small digest. OpenSSL reads no settings
  /// of the machine, and does not clean up when the process exits, while threads may still be computing digests.
  /// Unsafe only for the compiler: what it points to never changes.
  nonisolated(unsafe) private static let function: OpaquePointer = {
    OPENSSL_init_crypto(UInt64(OPENSSL_INIT_NO_LOAD_CONFIG) | UInt64(OPENSSL_INIT_NO_ATEXIT), nil)
    return existing(EVP_MD_fetch(nil, "SHA256", nil))
  }()

  private let context: OpaquePointer

  private init(copying other: OpaquePointer?) {
    context = Self.existing(EVP_MD_CTX_new())
    if let other {
      Self.check(EVP_MD_CTX_copy_ex(context, other))
    } else {
      Self.check(EVP_DigestInit_ex2(context, Self.function, nil))
    }
  }

  convenience init() { self.init(copying: nil) }

  deinit { EVP_MD_CTX_free(context) }

  func copy() -> SHA256State { SHA256State(copying: context) }

  func update(_ bytes: UnsafeRawBufferPointer) {
    Self.check(EVP_DigestUpdate(context, bytes.baseAddress, bytes.count))
  }

  /// Ends the computation: nothing can be added after it.
  func finish() -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: Self.byteCount) { buffer, count in
      Self.check(EVP_DigestFinal_ex(context, buffer.baseAddress, nil))
      count = Self.byteCount
    }
  }

  private static func existing(_ pointer: OpaquePointer?) -> OpaquePointer {
    guard let pointer else { preconditionFailure("libcrypto gives no SHA-256") }
    return pointer
  }

  private static func check(_ result: Int32) {
    precondition(result == 1, "libcrypto failed to compute a SHA-256")
  }
}
