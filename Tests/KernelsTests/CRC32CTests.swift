import Harness
import Kernels
import Testing

extension ISASuite {
  @Suite struct CRC32CTests {
    // RFC 3720, appendix B.4 (bytes there in the order of transmission), and the check value of the Rocksoft model.
    @Test func knownAnswers() {
      let command: [UInt8] =
        [0x01, 0xc0] + zeros(14) + [0x14] + zeros(5) + [4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18]
        + [0x28] + zeros(7) + [2] + zeros(7)
      let known: [(bytes: [UInt8], crc: UInt32)] = [
        (zeros(32), 0x8a91_36aa),
        ([UInt8](repeating: 0xff, count: 32), 0x62a8_ab43),
        ([UInt8](0..<32), 0x46dd_794e),
        ([UInt8]((0..<32).reversed()), 0x113f_db5c),
        (command, 0xd996_3a56),
        ([UInt8]("123456789".utf8), 0xe306_9283),
        ([], 0),
      ]
      ISASuite.inEach { _ in
        for (bytes, crc) in known { #expect(nl_crc32c(0, bytes, bytes.count) == crc) }
      }
    }

    private func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    @Test func goesOnWhereItStopped() {
      var random = SplitMix64(seed: 2)
      let bytes = (0..<100).map { _ in UInt8.random(in: 0...255, using: &random) }
      ISASuite.inEach { _ in
        let whole = nl_crc32c(0, bytes, bytes.count)
        for cut in 0...bytes.count {
          let first = nl_crc32c(0, Array(bytes[..<cut]), cut)
          #expect(nl_crc32c(first, Array(bytes[cut...]), bytes.count - cut) == whole)
        }
      }
    }
  }
}
