import Foundation

/// Paths without symbolic links and `..`.
enum RealPath {
  /// Nil if there is nothing of that name, or it cannot be reached.
  static func of(_ path: String) -> String? {
    guard !path.utf8.contains(0), let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }
}
