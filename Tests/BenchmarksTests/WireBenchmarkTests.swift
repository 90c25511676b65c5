import Benchmarks
import JSON
import Testing
import WireProtocol

/// What is in the report, not how fast this machine is.
@Suite struct WireBenchmarkTests {
  /// One gradient that is a transfer of several chunks, and one that is sent inline (below 256 KiB). The rates belong
  /// together: bytes over seconds is the rate, and a fraction is the rate over the limit.
  @Test(arguments: [600_002, 1000]) func reportIsConsistent(bytes: Int) throws {
    var benchmark = WireBenchmark(bytes: bytes)
    benchmark.secondsPerFigure = 0.02
    let report = try benchmark.run()
    let megabytes = try #require(report["megabytes"]?.double)
    #expect(megabytes == Double(bytes / 4 * 4) / 1e6)
    #expect(report["chunk_bytes"]?.int == 262_144)
    let copy = try #require(report["limit"]?["memory_copy_gb_per_second"]?.double)
    for key in ["crc32c_gb_per_second", "sha256_gb_per_second"] {
      #expect(try #require(report["limit"]?[key]?.double) > 0)
    }
    let transports = try #require(report["transports"]?.array)
    #expect(transports.map { $0["transport"]?.string } == ["tcp", "ipc"])
    for transport in transports {
      #expect(try #require(transport["messages"]?.int) >= 2)
      let rate = try #require(transport["gb_per_second"]?.double)
      let seconds = try #require(transport["seconds_per_message"]?.double)
      #expect(abs(rate * seconds / megabytes * 1e3 - 1) < 1e-9)
      let plain = try #require(transport["plain_socket_gb_per_second"]?.double)
      #expect(abs(try #require(transport["fraction_of_plain_socket"]?.double) * plain / rate - 1) < 1e-9)
      #expect(abs(try #require(transport["fraction_of_memory_copy"]?.double) * copy / rate - 1) < 1e-9)
      #expect(try #require(transport["cpu_seconds_per_gb"]?.double) > 0)
      #expect(try #require(transport["round_trip_microseconds"]?.double) > 0)
    }
  }
}
