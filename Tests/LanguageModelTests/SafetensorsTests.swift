import Foundation
import Harness
import LanguageModel
import Testing

/// The reference is the description of the format at https://huggingface.co/docs/safetensors, rules included: no
/// gap, no overlap, no duplicate key, header of at most 100,000,000 bytes that starts with '{'.
@Suite struct SafetensorsTests {
  /// A file made by hand: header, then data.
  static func file(_ header: String, data: [UInt8]) -> [UInt8] {
    let header = Array(header.utf8)
    return (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) } + header + data
  }

  /// ```python
  /// import torch
  /// from safetensors.torch import save
  /// save({"b": torch.tensor([[1., -2.], [.5, 3.]]), "a": torch.tensor([1., 2.5, -3.], dtype=torch.bfloat16),
  ///       "c": torch.tensor([.5, 65504.], dtype=torch.float16)}, metadata={"format": "pt"})
  /// ```
  @Test func readsWhatThePythonLibraryWrites() throws {
    let header =
      #"{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"#
      + #""a":{"dtype":"BF16","shape":[3],"data_offsets":[16,22]},"c":{"dtype":"F16","shape":[2],"data_offsets":[22,26]}} "#
    let data: [UInt8] = [
      0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0, 0, 0, 0, 0x3F, 0, 0, 0x40, 0x40,
      0x80, 0x3F, 0x20, 0x40, 0x40, 0xC0, 0, 0x38, 0xFF, 0x7B,
    ]
    let folder = try TemporaryFolder()
    let file = try SafetensorsFile(path: folder.write("x.safetensors", Self.file(header, data: data)))
    #expect(file.names == ["a", "b", "c"])
    #expect(file.metadata.map { "\($0.key)=\($0.value)" } == ["format=pt"])
    #expect(try file.tensor("b").hostTensor() == HostTensor(shape: [2, 2], values: [1, -2, 0.5, 3]))
    #expect(try file.tensor("a").hostTensor() == HostTensor(shape: [3], values: [1, 2.5, -3]))
    #expect(try file.tensor("c").hostTensor() == HostTensor(shape: [2], values: [0.5, 65504]))
    expectError("x.safetensors", "no_such") { _ = try file.tensor("no_such") }
  }

  /// A header of odd length puts the data at an odd address; the values are the same.
  @Test func misalignedDataIsCopied() throws {
    let folder = try TemporaryFolder()
    for spaces in 0..<4 {
      let header =
        #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"# + String(repeating: " ", count: spaces)
      let file = try SafetensorsFile(
        path: folder.write("\(spaces).safetensors", Self.file(header, data: [0, 0, 0x20, 0x40])))
      let tensor = try file.tensor("a")
      #expect(Int(bitPattern: tensor.bytes.baseAddress) % 4 == 0)
      #expect(tensor.floats() == [2.5])
    }
  }

  /// A number that f16 cannot hold is refused, not written as an infinity; infinities and NaN are.
  @Test func halvesThatAreTooLarge() throws {
    let folder = try TemporaryFolder()
    func write(_ values: [Float]) throws {
      try SafetensorsWriter.write(
        ["a": HostTensor(shape: [values.count], values: values)], as: .f16,
        to: folder.path + "/a.safetensors")
    }
    expectError("70000", "65504") { try write([1, 70000]) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    try write([65504, .infinity, 0x1p-24, .nan])
    let floats = try SafetensorsFile(path: folder.path + "/a.safetensors").tensor("a").floats()
    #expect(floats[0..<3] == [65504, .infinity, 0x1p-24] && floats[3].isNaN)
  }

  /// The same bytes whatever the order of the items; aligned; bf16 to nearest, ties to even: 1 + 2⁻⁸ lies halfway
  /// between 1 and 1 + 2⁻⁷, 1 + 3·2⁻⁸ halfway between 1 + 2⁻⁷ and 1 + 2⁻⁶.
  @Test func writesDeterministicallyAndReadsBack() throws {
    let folder = try TemporaryFolder()
    let items = [
      SafetensorsItem(
        name: "z", tensor: HostTensor(shape: [2], values: [1.00390625, 1.01171875]), as: .bf16),
      SafetensorsItem(name: "ä", tensor: HostTensor(shape: [1, 2], values: [-0.0, .infinity])),
      SafetensorsItem(name: "b", tensor: HostTensor(shape: [0, 3], values: [])),
      SafetensorsItem(name: "B", tensor: HostTensor(shape: [], values: [7])),
    ]
    try SafetensorsWriter.write(items, to: folder.path + "/1.safetensors")
    try SafetensorsWriter.write(items.reversed(), to: folder.path + "/2.safetensors")
    let bytes = try folder.bytes("1.safetensors")
    #expect(bytes == (try folder.bytes("2.safetensors")))
    #expect(bytes[0] % 8 == 0)
    let start =
      #"{"__metadata__":{"format":"pt"},"B":{"dtype":"F32","shape":[],"data_offsets":[0, 4]},"b":{"dtype""#
    #expect(String(decoding: bytes[8...], as: UTF8.self).hasPrefix(start))

    let file = try SafetensorsFile(path: folder.path + "/1.safetensors")
    #expect(file.names == ["B", "b", "z", "ä"])
    #expect(try file.tensor("z").floats() == [1, 1.015625])
    #expect(
      try file.tensor("ä").floats().map(\.bitPattern) == [Float(-0.0).bitPattern, Float.infinity.bitPattern])
    #expect(try file.tensor("b").shape == [0, 3])
    #expect(try file.tensor("B").hostTensor() == HostTensor(shape: [], values: [7]))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count == 2)
  }

  @Test func aFileThatCannotBeWrittenLeavesNothing() throws {
    let folder = try TemporaryFolder()
    struct Stop: Error {}
    let item = SafetensorsItem(name: "a", shape: [1]) { throw Stop() }
    #expect(throws: Stop.self) { try SafetensorsWriter.write([item], to: folder.path + "/a.safetensors") }
    let short = SafetensorsItem(name: "a", shape: [2]) { [1] }
    #expect {
      try SafetensorsWriter.write([short], to: folder.path + "/a.safetensors")
    } throws: { error in
      "\(error)".hasSuffix("a.safetensors: writing tensor a failed: it has 4 bytes where its shape needs 8")
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
    #expect {
      try SafetensorsWriter.write([:], to: "/no/such/folder/a.safetensors")
    } throws: { error in
      "\(error)".hasPrefix("/no/such/folder/a.safetensors: writing failed: No such file or directory")
    }
  }

  @Test(arguments: [
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
      "twice"
    ),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, "4 bytes at its end"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, "tensor a: lies 4 bytes after"),
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
      "tensor b: overlaps"
    ),
    (#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}"#, "tensor a: lies at bytes 0 to 12"),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, "tensor a: lies at bytes 8 to 0"),
    (#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, "tensor a: has 8 bytes"),
    (#"{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,8]}}"#, "tensor a: has 8 bytes"),
    (#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#, "tensor a: has 8 bytes"),
    (#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#, "tensor a: has no shape"),
    (#"{"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}"#, "tensor a: has no shape"),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,9]}}"#, "tensor a: has no data_offsets"),
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,99999999999999999999]}}"#,
      "tensor a: has no data_offsets"
    ),
    (#"{"a":{"dtype":"Q8","shape":[2],"data_offsets":[0,8]}}"#, #"tensor a: has the unknown dtype "Q8""#),
    (#"{"a":7}"#, "tensor a: has no dtype"),
    (#"{"__metadata__":{"format":7}}"#, "__metadata__.format: must be a string"),
    (#" {"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, "does not start with '{'"),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#, "broken header: line 1"),
    ("", "does not start with '{'"),
  ])
  func brokenHeadersAreRefused(header: String, reason: String) throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("x.safetensors", Self.file(header, data: [UInt8](repeating: 0, count: 8)))
    expectError(path, reason) { _ = try SafetensorsFile(path: path) }
  }

  /// `mx.save_safetensors` writes the metadata as null where it is given none, as mlx-lm does for adapters.
  @Test func metadataMayBeNull() throws {
    let folder = try TemporaryFolder()
    let header = #"{"__metadata__":null,"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#
    let file = try SafetensorsFile(
      path: folder.write("x.safetensors", Self.file(header, data: [UInt8](repeating: 0, count: 8))))
    #expect(file.names == ["a"] && file.metadata.isEmpty)
  }

  @Test func brokenLengthsAreRefused() throws {
    let folder = try TemporaryFolder()
    let long = try folder.write("long", [1, 0xE1, 0xF5, 5, 0, 0, 0, 0, 0x7B])  // 100,000,001
    expectError(long, "more than the 100000000") { _ = try SafetensorsFile(path: long) }
    let huge = try folder.write("huge", [UInt8](repeating: 0xFF, count: 9))
    expectError(huge, "header of 18446744073709551615 bytes") { _ = try SafetensorsFile(path: huge) }
    let empty = try folder.write("empty", [])
    expectError(empty, "0 bytes long") { _ = try SafetensorsFile(path: empty) }
    expectError(folder.path, "not a regular file") { _ = try SafetensorsFile(path: folder.path) }
    expectError("/no/such", "No such file") { _ = try SafetensorsFile(path: "/no/such") }
  }

  /// Formats that weights cannot have may lie in the file as long as nobody asks for them.
  @Test func unsupportedTypesAreNamedWhenAskedFor() throws {
    let folder = try TemporaryFolder()
    let header = #"{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#
    let file = try SafetensorsFile(
      path: folder.write("x.safetensors", Self.file(header, data: [UInt8](repeating: 0, count: 8))))
    expectError("x.safetensors", "a: is stored as I64") { _ = try file.tensor("a") }
  }

  /// Every prefix of a file is an error, never a crash.
  @Test func everyTruncationIsRefused() throws {
    let folder = try TemporaryFolder()
    try SafetensorsWriter.write(
      [
        "w": HostTensor(shape: [2, 3], values: [1, 2, 3, 4, 5, 6]), "v": HostTensor(shape: [1], values: [7]),
      ],
      to: folder.path + "/whole.safetensors")
    let whole = try folder.bytes("whole.safetensors")
    for length in 0..<whole.count {
      let path = try folder.write("cut.safetensors", whole[..<length])
      expectError(path) { _ = try SafetensorsFile(path: path) }
    }
  }

  /// A changed byte gives an error or another valid file, never a crash; whatever is read lies inside the file.
  @Test func changedBytesNeverCrash() throws {
    let seed: UInt64 = 20_261_121
    var random = SplitMix64(seed: seed)
    let folder = try TemporaryFolder()
    try SafetensorsWriter.write(
      [
        "w": HostTensor(shape: [2, 3], values: [1, 2, 3, 4, 5, 6]), "v": HostTensor(shape: [1], values: [7]),
      ],
      to: folder.path + "/whole.safetensors")
    let whole = try folder.bytes("whole.safetensors")
    var read = 0
    for _ in 0..<1500 {
      var changed = whole
      for _ in 0...random.next(below: 3) {
        changed[random.next(below: changed.count)] = UInt8(random.next(below: 256))
      }
      let path = try folder.write("changed.safetensors", changed)
      do {
        let file = try SafetensorsFile(path: path)
        for name in file.names { read += (try? file.tensor(name))?.floats().count ?? 0 }
      } catch {
        #expect(error.file == path)
      }
    }
    #expect(read > 0, "no changed file was read; seed \(seed)")
  }
}
