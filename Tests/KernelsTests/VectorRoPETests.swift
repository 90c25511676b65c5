import Foundation
import Harness
import Kernels
import Testing

extension ISASuite {
  @Suite struct VectorRoPETests {
    struct Tables {
      let cosines, sines: [Float]
      init(positions: Int, half: Int) {
        let angles = (0..<positions * half).map { i in
          Double(i / half) * pow(10_000, -Double(i % half) / Double(half))
        }
        cosines = angles.map { Float(cos($0)) }
        sines = angles.map { Float(sin($0)) }
      }
    }

    @Test(arguments: [2, 6, 32, 64, 66, 128, 256]) func rotatesHalves(dim: Int) {
      let (rows, heads, half) = (9, 3, dim / 2)
      var random = SplitMix64(seed: 13)
      let tables = Tables(positions: 50, half: half)
      let positions: [Int32] = [0, 1, 2, 3, 49, 0, 1, 17, 4]
      let x = random.floats(rows * heads * dim)
      let y = ISASuite.sameBits { pool in
        var y = x
        y.withUnsafeMutableBufferPointer {
          let (cosines, sines) = (tables.cosines, tables.sines)
          nl_rope(pool, rows, heads, dim, cosines, sines, positions, $0.baseAddress, $0.baseAddress, false)
        }
        return y
      }
      var expected = doubles(x)
      for row in 0..<rows {
        for head in 0..<heads {
          for i in 0..<half {
            let at = (row * heads + head) * dim + i
            let (a, b) = (Double(x[at]), Double(x[at + half]))
            let c = Double(tables.cosines[Int(positions[row]) * half + i])
            let s = Double(tables.sines[Int(positions[row]) * half + i])
            expected[at] = a * c - b * s
            expected[at + half] = b * c + a * s
          }
        }
      }
      #expect(relativeError(y, expected) < 6e-8)

      // The inverse turns back; a rotation is orthogonal, so this is the backward pass as well.
      let back = ISASuite.sameBits { pool in
        var back = y
        nl_rope(pool, rows, heads, dim, tables.cosines, tables.sines, positions, y, &back, true)
        return back
      }
      #expect(relativeError(back, doubles(x)) < 1.2e-7)
    }
  }
}
