import Foundation
import Observability
import Testing

@testable import Benchmarks

@Suite struct ProcessUsageTests {
  /// The fields of proc(5): utime and stime are the 14th and 15th of stat, behind a name that may hold brackets and
  /// spaces; VmHWM of status is in KiB.
  @Test func reads() throws {
    let stat = "123 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0"
    let status = "Name:\ta\nVmPeak:\t  9000 kB\nVmHWM:\t    2048 kB\nThreads:\t1\n"
    let usage = try #require(ProcessUsage(stat: stat, status: status))
    let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
    #expect(usage.userSeconds == 250 / ticks && usage.systemSeconds == 50 / ticks)
    #expect(usage.peakResidentBytes == 2_097_152)
    #expect(ProcessUsage(stat: "123 (a) S 1", status: status) == nil)
    #expect(ProcessUsage(stat: stat, status: "Name:\ta\n") == nil)
  }

  /// This process has used something, and what it writes is counted to the byte.
  @Test func ofThisProcess() throws {
    let usage = try #require(ProcessUsage(process: getpid()))
    #expect(usage.peakResidentBytes > 1 << 20)
    #expect(ProcessMetrics.processorSeconds() > 0)
    var ends: [Int32] = [-1, -1]
    #expect(pipe(&ends) == 0)
    defer { for end in ends { close(end) } }
    let before = try #require(ProcessUsage.ownWrittenBytes())
    #expect(write(ends[1], [UInt8](repeating: 0, count: 1234), 1234) == 1234)
    #expect(try #require(ProcessUsage.ownWrittenBytes()) == before + 1234)
    #expect(ProcessUsage(process: Int32.max) == nil)
  }
}
