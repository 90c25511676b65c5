import Testing

/// The kernels' code for AMX, with its instructions replaced by software, where the CPU has AVX512_BF16: the bits of the
/// other instruction sets. `Tests/AMX/equal.sh` compares the hashes.
@Suite struct AMXTests {
  private static let script = EqualBitsScript(folder: "AMX")

  @Test(.enabled("clang or AVX512_BF16 is missing; see Tests/AMX/equal.sh") { script.hasItsTools })
  func sameBitsByTiles() {
    let (status, output) = Self.script.run()
    #expect(status == 0, "\(output)")
    #expect(output.contains("amx: "), "\(output)")
  }
}
