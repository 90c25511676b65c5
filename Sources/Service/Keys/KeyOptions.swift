import Files
import Transport

extension RunOptions {
  /// Takes a coordinator's keys from its files.
  ///
  /// - Throws: `ServiceError` or `FileError` that names the file, the line and the remedy.
  public mutating func useKeys(file: String, allowedKeysFile: String) throws {
    let list = try AllowList(path: allowedKeysFile)
    security = ServerSecurity(secretKey: try KeyFile.secretKey(path: file), allowedKeys: list.keys)
    allowList = list
  }
}

extension WorkerOptions {
  /// Takes a worker's keys: its own from a file, the coordinator's public one as itself or from a file.
  ///
  /// - Throws: `ServiceError` or `FileError` that names the file, the line and the remedy.
  public mutating func useKeys(file: String, serverKey: String) throws {
    security = ClientSecurity(
      secretKey: try KeyFile.secretKey(path: file), serverKey: try KeyFile.publicKey(serverKey))
  }
}
