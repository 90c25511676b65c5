import Foundation
import Harness
import Kernels
import Testing

/// exp, log, sin, cos and pow in double: correct values from mpmath, and against the C library over many arguments.
@Suite struct MathTests {
  /// How far `value` is from `expected`, in units of the expected number's last place.
  static func ulps(_ value: Double, _ expected: Double) -> Double {
    value == expected ? 0 : abs(value - expected) / expected.ulp
  }

  // import mpmath; mpmath.mp.dps = 50
  // for x in ...: print(x, float(mpmath.exp(mpmath.mpf(x))).hex())
  @Test func exponential() {
    let known: [(Double, Double)] = [
      (-745, 0x0.0000000000001p-1022), (-700.5, 0x1.4ff475c68ca02p-1011), (-1.0, 0x1.78b56362cef38p-2),
      (1e-9, 0x1.000000044b830p+0), (0.34657, 0x1.6a099138a089dp+0), (1.0, 0x1.5bf0a8b145769p+1),
      (88.7, 0x1.f4705bbffae5cp+127), (709.0, 0x1.d422d2be5dc9bp+1022),
    ]
    for (x, expected) in known {
      #expect(Self.ulps(nl_exp(x), expected) <= 1)
    }
  }

  // print(x, float(mpmath.log(mpmath.mpf(x))).hex())
  @Test func logarithm() {
    let known: [(Double, Double)] = [
      (Double.leastNonzeroMagnitude, -0x1.74385446d71c3p+9), (1e-300, -0x1.5963447f87fb5p+9),
      (0.5, -0x1.62e42fefa39efp-1),
      (0.70710678, -0x1.62e4300c77ae8p-2), (1 + 0x1p-40, 0x1.ffffffffff000p-41),
      (1.41421357, 0x1.62e4304c4a71fp-2), (2.0, 0x1.62e42fefa39efp-1), (10.0, 0x1.26bb1bbb55516p+1),
      (1e6, 0x1.ba18a998fffa0p+3), (1.7e308, 0x1.62dd08fdc6f88p+9),
    ]
    for (x, expected) in known {
      #expect(Self.ulps(nl_log(x), expected) <= 1)
    }
  }

  // print(x, float(mpmath.sin(mpmath.mpf(x))).hex(), float(mpmath.cos(mpmath.mpf(x))).hex())
  @Test func sineAndCosine() {
    let known: [(Double, Double, Double)] = [
      (1e-8, 0x1.5798ee2308c3ap-27, 1), (0.5, 0x1.eaee8744b05f0p-2, 0x1.c1528065b7d50p-1),
      (0.7853981633974483, 0x1.6a09e667f3bccp-1, 0x1.6a09e667f3bcdp-1),
      (1.5707963267948966, 1, 0x1.1a62633145c07p-54), (3.141592653589793, 0x1.1a62633145c07p-53, -1),
      (10, -0x1.1689ef5f34f52p-1, -0x1.ad9ac890c6b1fp-1),
      (131071, -0x1.268613f60babcp-1, -0x1.a2cebbb513e7cp-1),
      (999999, -0x1.f4677c48458b4p-1, 0x1.b165cde80ddd4p-3),
      (355 / 113.0 * 1e5, 0x1.b503bd8e33d05p-6, 0x1.ffd15d83f9bb8p-1),
      (8e6, -0x1.1c0cd9ba85507p-2, -0x1.ebe84a1ce54b3p-1),
    ]
    for (x, sine, cosine) in known {
      #expect(Self.ulps(nl_sin(x), sine) <= 1)
      #expect(Self.ulps(nl_cos(x), cosine) <= 1)
      #expect(nl_sin(-x) == -nl_sin(x) && nl_cos(-x) == nl_cos(x))
    }
  }

  // print(x, y, float(mpmath.power(mpmath.mpf(x), mpmath.mpf(y))).hex())
  @Test func power() {
    let known: [(Double, Double, Double)] = [
      (10000.0, -0.015625, 0x1.bb5fad00ab22cp-1), (1e6, -0.984375, 0x1.4d1c97f4e952fp-20),
      (5e5, 0.03125, 0x1.81c61a9b1c40fp+0), (2, 0.5, 0x1.6a09e667f3bcdp+0),
      (0.1, 300, 0x1.56e1fc2f8f3bdp-997),
      (1 + 0x1p-30, 1e11, 0x1.48e2f0d3cf097p+134), (0.999, 7e5, 0x1.863b98bac5e73p-1011),
    ]
    for (x, y, expected) in known {
      #expect(Self.ulps(nl_pow(x, y), expected) <= 1)
    }
  }

  @Test func agreesWithTheCLibrary() {
    // glibc's functions are within 0.6 ulp, ours within 0.9: two roundings of the same number.
    var random = SplitMix64(seed: 1)
    for _ in 0..<50_000 {
      let x = random.uniform(-700, 700)
      #expect(Self.ulps(nl_exp(x), exp(x)) <= 1, "exp \(x)")
      let positive = exp(random.uniform(-700, 700))
      #expect(Self.ulps(nl_log(positive), log(positive)) <= 1, "log \(positive)")
      let angle = random.uniform(-1e6, 1e6)
      #expect(Self.ulps(nl_sin(angle), sin(angle)) <= 1, "sin \(angle)")
      #expect(Self.ulps(nl_cos(angle), cos(angle)) <= 1, "cos \(angle)")
      let base = exp(random.uniform(-14, 14))
      let exponent = random.uniform(-40, 40)
      #expect(Self.ulps(nl_pow(base, exponent), pow(base, exponent)) <= 1, "pow \(base) \(exponent)")
    }
  }

  @Test func limitsAndThingsThatAreNotNumbers() {
    #expect(nl_exp(-.infinity) == 0 && nl_exp(.infinity) == .infinity && nl_exp(.nan).isNaN)
    #expect(nl_exp(0) == 1 && nl_exp(-800) == 0 && nl_exp(800) == .infinity)
    #expect(nl_log(0) == -.infinity && nl_log(.infinity) == .infinity && nl_log(1) == 0)
    #expect(nl_log(-1).isNaN && nl_log(.nan).isNaN)
    #expect(nl_sin(0) == 0 && nl_cos(0) == 1)
    #expect(nl_sin(.infinity).isNaN && nl_cos(.nan).isNaN)
    #expect(nl_pow(3, 0) == 1 && nl_pow(1, 1e300) == 1 && nl_pow(2, 10) == 1024 && nl_pow(10, -2) == 0.01)
    #expect(nl_pow(0, 2) == 0 && nl_pow(0, -1) == .infinity && nl_pow(2, 2000) == .infinity)
    #expect(nl_pow(.infinity, -1) == 0 && nl_pow(0.5, .infinity) == 0 && nl_pow(2, -.infinity) == 0)
    #expect(nl_pow(.nan, 1).isNaN && nl_pow(2, .nan).isNaN)
  }
}
