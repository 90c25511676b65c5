import Testing

@testable import Coordination

/// A value behind a reference is a value.
@Suite struct IndirectTests {
  private struct Holder {
    @Indirect var numbers: [Int]
  }

  @Test func aCopyDoesNotFollow() {
    var first = Holder(numbers: [1])
    var second = first
    second.numbers.append(2)
    first.numbers.append(3)
    #expect(first.numbers == [1, 3] && second.numbers == [1, 2])
  }

  /// Whoever holds it alone changes it where it is: else each event would copy a whole scheduler.
  @Test func aloneItIsChangedInPlace() {
    var holder = Holder(numbers: Array(repeating: 0, count: 1000))
    let address = holder.numbers.withUnsafeBufferPointer(\.baseAddress)
    for place in holder.numbers.indices { holder.numbers[place] = place }
    #expect(holder.numbers.withUnsafeBufferPointer(\.baseAddress) == address)
  }
}
