import Foundation

/// What libFuzzer calls with every input. Its name is C's, and it is linked in with `-sanitize=fuzzer`.
@_silgen_name("LLVMFuzzerRunDriver")
func runDriver(
  _ count: UnsafeMutablePointer<CInt>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

// usage: Fuzz TARGET [OPTIONS OF LIBFUZZER] [FOLDERS OF INPUTS]; without a target: their names.
let words = CommandLine.arguments
guard words.count > 1, let target = FuzzTarget.named(words[1]) else {
  print(FuzzTarget.all.map(\.name).joined(separator: "\n"))
  exit(words.count > 1 ? 2 : 0)
}
Running.target = target
// Tables that are made once are not part of any input's time.
Running.check([])

var arguments = ([words[0]] + words.dropFirst(2)).map { strdup($0) } + [nil]
var count = CInt(arguments.count - 1)
let status = arguments.withUnsafeMutableBufferPointer { buffer -> CInt in
  guard var base = buffer.baseAddress else { return 2 }
  return runDriver(&count, &base) { bytes, count in
    Running.check(Array(UnsafeBufferPointer(start: bytes, count: count)))
    return 0
  }
}
exit(status)
