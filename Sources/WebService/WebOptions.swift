import Files
import Foundation
import Service

/// Where the service answers by HTTP, who may ask, and which folders they may name.
public struct WebOptions: Sendable {
  public let host: String
  public let port: Int
  /// What a client bears or has logged in with; nil: nobody beyond this machine can ask.
  let token: String?
  /// Absolute, without symbolic links.
  public let models: String
  public let data: String
  public let runs: String
  /// Bytes of one uploaded file at most.
  public var uploadLimit = 1_000_000_000

  /// - Parameters:
  ///   - address: `ADDR:PORT`; port 0 is any that is free
  ///   - tokenFile: a file that holds the token, white space around it aside
  /// - Throws: `ServiceError` that names the flag and the remedy.
  public init(address: String, tokenFile: String?, models: String, data: String, runs: String) throws {
    guard let colon = address.lastIndex(of: ":"), let port = UInt16(address[address.index(after: colon)...]),
      colon > address.startIndex
    else {
      throw ServiceError(
        "--listen-http \(address) is not of the form ADDR:PORT", remedy: "e.g. 127.0.0.1:8000")
    }
    host = address[..<colon].trimmingCharacters(in: ["[", "]"])
    self.port = Int(port)
    guard Self.isLoopback(host) || tokenFile != nil else {
      throw ServiceError(
        "--listen-http \(address) lets other machines start and stop runs",
        remedy: "give --token FILE, whose content they have to bear, or listen on 127.0.0.1")
    }
    token = try tokenFile.map { try OperationsOptions.token(in: $0, flag: "--token") }
    (self.models, self.data, self.runs) = try (Self.folder(models), Self.folder(data), Self.folder(runs))
  }

  private static func isLoopback(_ host: String) -> Bool {
    host == "localhost" || host == "::1" || host.hasPrefix("127.")
  }

  /// Makes the folder if it is not there, so that a new user begins from nothing.
  private static func folder(_ path: String) throws -> String {
    let path = FileSystem.absolute(FileSystem.expandingTilde(path))
    try FileSystem.makeFolders(path)
    return RealPath.of(path) ?? path
  }
}
