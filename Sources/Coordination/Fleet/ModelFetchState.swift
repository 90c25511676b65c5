/// How far a worker that fetches the base model has come.
public struct ModelFetchState: Sendable, Equatable, CustomStringConvertible {
  /// What arrives damaged is fetched again, so that there may be less than before; but not for ever.
  static let maximumSetbacks = 64

  /// Bytes that are on its disk.
  public var receivedBytes: Int
  /// Bytes of the whole model; nil if that is not known.
  public var totalBytes: Int?

  public init(receivedBytes: Int, totalBytes: Int?) {
    self.receivedBytes = receivedBytes
    self.totalBytes = totalBytes
  }

  public var description: String {
    "\(Self.megabytes(receivedBytes))\(totalBytes.map { " of \(Self.megabytes($0))" } ?? "") MB are there"
  }

  private static func megabytes(_ bytes: Int) -> String { "\(bytes / 1_000_000).\(bytes / 100_000 % 10)" }
}
