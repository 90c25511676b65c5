import Files

extension ModelError {
  /// A file of a model that cannot be read.
  init(_ error: FileError) {
    let reason =
      switch error.doing {
      case _ where error.code == 0: error.reason
      case "opening": "cannot be opened: \(error.reason)"
      case "mapping": "cannot be mapped into memory: \(error.reason)"
      default: "cannot be read: \(error.reason)"
      }
    self.init(file: error.path, reason)
  }
}

/// A file of a model, mapped into memory.
func mappedFile(_ path: String) throws(ModelError) -> MappedFile {
  do throws(FileError) { return try MappedFile(path: path) } catch { throw ModelError(error) }
}
