import Testing

/// Every function of Kernels.h, on every instruction set of this CPU and compiled for AArch64 and run under qemu:
/// `Tests/AArch64/equal.sh` compares the hashes. Runs where clang, the cross libraries and qemu are installed.
@Suite struct AArch64Tests {
  private static let script = EqualBitsScript(folder: "AArch64")

  @Test(
    .enabled("clang, cross libraries or qemu are missing; see Tests/AArch64/equal.sh") { script.hasItsTools })
  func sameBitsOnAArch64() {
    let (status, output) = Self.script.run()
    #expect(status == 0, "\(output)")
    #expect(output.contains("aarch64 (neon): "), "\(output)")
  }
}
