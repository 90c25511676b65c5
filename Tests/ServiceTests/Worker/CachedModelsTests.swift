import Files
import Foundation
import Harness
import Testing

@testable import Service

/// What `nl-tool cache` shows and deletes.
@Suite struct CachedModelsTests {
  let folder: RunTestFolder
  private let whole = String(repeating: "a1", count: 32)
  private let part = String(repeating: "b2", count: 32)

  init() throws {
    folder = try RunTestFolder()
    for name in [whole, part + ".partial", "something else"] {
      try FileSystem.makeFolder(folder.file(name))
      try AtomicFile.write([UInt8](repeating: 1, count: 100), to: folder.file(name + "/model.safetensors"))
    }
  }

  private func cache() throws -> CachedModels { try CachedModels(option: folder.path, environment: [:]) }

  @Test func listsModelsAndParts() throws {
    let models = try cache().list()
    #expect(Set(models.map(\.sha256)) == [whole, part])
    #expect(models.first { $0.sha256 == whole }?.isWhole == true)
    #expect(models.first { $0.sha256 == part }?.isWhole == false)
    #expect(models.allSatisfy { $0.bytes == 100 && !$0.isBeingFetched && $0.lastUsed != nil })
  }

  @Test func theLatestUsedIsFirst() throws {
    for path in [folder.file(whole), folder.file(part + ".partial")] {
      for file in [path + "/model.safetensors", path] {
        try FileManager.default.setAttributes(
          [.modificationDate: Date(timeIntervalSince1970: 1000)], ofItemAtPath: file)
      }
    }
    #expect(
      try cache().list().map(\.lastUsed) == Array(repeating: Date(timeIntervalSince1970: 1000), count: 2))
    try ModelCache(option: folder.path, environment: [:]).noteUse(whole)
    #expect(try cache().list().first?.sha256 == whole)
  }

  @Test func removesWhatIsNotBeingFetched() throws {
    let models = try cache().list()
    let lock = try FolderLock(path: folder.file(part + ".lock"))
    try withExtendedLifetime(lock) {
      for model in models where model.sha256 == part {
        #expect(throws: ServiceError.self) { try cache().remove(model) }
      }
      for model in models where model.sha256 == whole { try cache().remove(model) }
    }
    #expect(try cache().list().map(\.sha256) == [part])
    #expect(FileSystem.kind(folder.file("something else")) == .folder)
  }

  @Test func anAbsentCacheIsEmpty() throws {
    #expect(try CachedModels(option: folder.file("absent"), environment: [:]).list().isEmpty)
  }
}
