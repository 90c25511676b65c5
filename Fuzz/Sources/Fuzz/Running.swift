import Foundation
import JSON

/// The target of this process.
enum Running {
  /// Set once, before the first input.
  nonisolated(unsafe) static var target: FuzzTarget?

  static func check(_ input: [UInt8]) {
    guard let fault = target?.fault(input) else { return }
    FileHandle.standardError.write(Data("FAULT: \(fault)\n".utf8))
    // libFuzzer keeps the input of a process that ends like this.
    abort()
  }
}

@_silgen_name("LLVMFuzzerMutate")
private func mutate(_ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, _ maximum: Int) -> Int

/// libFuzzer asks this for the next input. Of a JSON text every second one has its tree changed instead of its bytes,
/// since bytes that are changed at random seldom leave it JSON.
@_cdecl("LLVMFuzzerCustomMutator")
func customMutator(
  _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, _ maximum: Int, _ seed: CUnsignedInt
) -> Int {
  guard let target = Running.target, target.isJSON, seed & 1 == 0 else {
    return mutate(bytes, count, maximum)
  }
  let offset = target.name == "safetensors-header" ? min(2, count) : 0
  let text = Array(UnsafeBufferPointer(start: bytes + offset, count: count - offset))
  guard let json = try? JSONValue(parsing: text) else { return mutate(bytes, count, maximum) }
  var mutator = JSONMutator(seed: UInt64(seed))
  let changed = mutator.mutated(json).bytes()
  guard changed.count + offset <= maximum else { return mutate(bytes, count, maximum) }
  for (place, byte) in changed.enumerated() { bytes[offset + place] = byte }
  return offset + changed.count
}
