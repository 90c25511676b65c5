import Testing
import WireProtocol

/// Whether bytes are finite numbers, against Swift's own `Float.isFinite`.
@Suite struct FloatBytesTests {
  @Test func everyPlaceAndKind() {
    let odd: [Float] = [.nan, .signalingNaN, .infinity, -.infinity, Float(bitPattern: 0xFFC0_0001)]
    let finite: [Float] = [
      .greatestFiniteMagnitude, -.greatestFiniteMagnitude, 0, -0.0, .leastNonzeroMagnitude, 1,
    ]
    for count in [1, 7, 64, 1001] {
      let values = (0..<count).map { finite[$0 % finite.count] }
      #expect(WireObject(name: "x", floats: values).hasFiniteFloats)
      for place in Set([0, count / 2, count - 1]) {
        for number in odd {
          var other = values
          other[place] = number
          #expect(!WireObject(name: "x", floats: other).hasFiniteFloats, "\(number) at \(place) of \(count)")
          // The same in bytes that lie anywhere.
          let bytes = [UInt8(0)] + other.withUnsafeBytes(Array.init)
          bytes.withUnsafeBytes {
            #expect(!UnsafeRawBufferPointer(rebasing: $0[1...]).areFiniteFloats)
          }
        }
      }
    }
    #expect(WireObject(name: "x", bytes: []).hasFiniteFloats && WireObject(name: "x", bytes: []).isHere)
  }
}
