import Files
import Foundation
import Harness
import Testing

@Suite struct FileTests {
  let folder: RunTestFolder

  init() throws { folder = try RunTestFolder() }

  @Test func writesWholeFiles() throws {
    for bytes in [[], [1, 2, 3], [UInt8](repeating: 7, count: 3_000_000)] as [[UInt8]] {
      try AtomicFile.write(bytes, to: folder.file("f"))
      #expect(try AtomicFile.read(folder.file("f")) == bytes)
    }
    #expect(folder.files() == ["f"])
  }

  @Test func aWriteThatFailsLeavesTheOldFile() throws {
    try FileSystem.makeFolders(folder.file("d/inside"))
    let text = errorText { try AtomicFile.write([1], to: folder.file("d")) }
    #expect(text.hasPrefix(folder.file("d") + ": "))
    #expect(folder.files() == ["d", "d/inside"])
    #expect(
      errorText { try AtomicFile.write([1], to: folder.file("none/f")) }.contains("No such file or directory")
    )
  }

  @Test func refusesToReadWhatIsNoFile() {
    #expect(errorText { _ = try AtomicFile.read(folder.path) }.contains("not a file"))
    #expect(errorText { _ = try AtomicFile.read("/dev/null") }.contains("not a file"))
    #expect(errorText { _ = try AtomicFile.read(folder.file("none")) }.contains("No such file"))
  }

  @Test func removesTreesButFollowsNoLinks() throws {
    try FileSystem.makeFolders(folder.file("kept"))
    try folder.write("", to: "kept/file")
    try FileSystem.makeFolders(folder.file("gone/deep"))
    try FileManager.default.createSymbolicLink(
      atPath: folder.file("gone/deep/link"), withDestinationPath: folder.file("kept"))
    try FileSystem.remove(folder.file("gone"))
    try FileSystem.remove(folder.file("gone"))
    #expect(folder.files() == ["kept", "kept/file"])
  }

  /// `realpath -s` for what is not there, and `..` behind a symbolic link as the system takes it.
  @Test func absolutePaths() throws {
    let here = FileManager.default.currentDirectoryPath
    #expect(FileSystem.absolute("") == here && FileSystem.absolute("a/./b//c/") == here + "/a/b/c")
    #expect(FileSystem.absolute("/a/../..") == "/" && FileSystem.absolute("/no/such/../x") == "/no/x")
    try FileSystem.makeFolders(folder.file("real/deep"))
    try FileManager.default.createSymbolicLink(
      atPath: folder.file("link"), withDestinationPath: folder.file("real/deep"))
    let real = try #require(realpath(folder.file("real"), nil))
    defer { free(real) }
    #expect(FileSystem.absolute(folder.file("link/../x")) == String(cString: real) + "/x")
    #expect(FileSystem.absolute(folder.file("link/x")) == folder.file("link/x"))
    let home = try #require(ProcessInfo.processInfo.environment["HOME"])
    #expect(FileSystem.expandingTilde("~") == home && FileSystem.expandingTilde("~/x") == home + "/x")
    #expect(FileSystem.expandingTilde("~x") == "~x" && FileSystem.expandingTilde("a/~") == "a/~")
    #expect(try #require(FileSystem.freeBytes(at: folder.file("no/such"))) > 0)
  }

  /// POSIX dirname and basename, for paths without a slash at the end.
  @Test(arguments: [("a", ".", "a"), ("/a", "/", "a"), ("a/b", "a", "b"), ("/a/ü/c.d", "/a/ü", "c.d")])
  func parts(path: String, folder: String, name: String) {
    #expect(FileSystem.folder(of: path) == folder)
    #expect(FileSystem.name(of: path) == name)
  }
}
