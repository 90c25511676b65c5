#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What went wrong with a file or folder, and what helps.
public struct FileError: Error, Sendable, CustomStringConvertible {
  public let path: String
  /// What was being done, as in "writing".
  public let doing: String
  /// The system's error number; 0 where the contents are at fault.
  public let code: Int32
  /// Why, where the system's words for `code` do not say it.
  public let reason: String

  public init(path: String, doing: String, code: Int32) {
    self.path = path
    self.doing = doing
    self.code = code
    self.reason = String(cString: strerror(code))
  }

  public init(path: String, doing: String, reason: String) {
    self.path = path
    self.doing = doing
    self.code = 0
    self.reason = reason
  }

  /// The same error, told of another path.
  func about(_ path: String) -> FileError {
    code == 0
      ? FileError(path: path, doing: doing, reason: reason) : FileError(path: path, doing: doing, code: code)
  }

  public var isDiskFull: Bool { code == ENOSPC || code == EDQUOT }

  /// Whether the volume is at fault, so that the same call may succeed later.
  public var isDiskFault: Bool { Self.diskCodes.contains(code) }

  /// Whether a file that was read is gone or broken, rather than out of reach for now.
  public var isDamage: Bool { code == 0 || Self.damageCodes.contains(code) }

  /// Not there, a folder in its place, or a part of the disk that cannot be read.
  private static let damageCodes: [Int32] = [ENOENT, ENOTDIR, EISDIR, EIO]

  /// Full, over quota, broken, mounted read-only after an error, or a network volume that does not answer.
  package static let diskCodes: [Int32] = [ENOSPC, EDQUOT, EIO, EROFS, ESTALE, ETIMEDOUT]

  public var description: String {
    let remedy =
      switch code {
      case ENOSPC: "; free some space on this volume"
      case EDQUOT: "; free some of your quota on this volume"
      case EACCES, EPERM: "; check who owns it and its permissions"
      case EROFS: "; choose a folder on a volume that can be written to"
      case EIO: "; check this volume (the system's log says more)"
      case ESTALE, ETIMEDOUT: "; check the connection to this volume"
      case EMFILE, ENFILE: "; raise the limit on open files (ulimit -n)"
      default: ""
      }
    return "\(path): \(doing) failed: \(reason)\(remedy)"
  }
}
