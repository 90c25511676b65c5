/// What a rendering may still use.
struct Budget {
  private var steps: Int
  private let allSteps: Int
  private var allocation = Limits.allocation

  init(steps: Int) {
    self.steps = steps
    allSteps = steps
  }

  mutating func spend(_ count: Int = 1) throws(Failure) {
    steps -= count
    guard steps >= 0 else {
      throw Failure("the template does not come to an end within \(allSteps) steps")
    }
  }

  /// A string is read.
  mutating func spend(text: String) throws(Failure) { try spend(1 + text.utf8.count / 64) }

  /// Memory is taken. Said before it is, where a template chooses how much.
  mutating func allocate(bytes: Int) throws(Failure) {
    guard bytes <= Limits.text else { throw Failure("a text of more than \(Limits.text >> 20) MiB") }
    allocation -= bytes
    guard allocation >= 0 else {
      throw Failure("the template makes more than \(Limits.allocation >> 20) MiB of strings and lists")
    }
    try spend(bytes / 64)
  }

  mutating func allocate(items: Int) throws(Failure) {
    guard items <= Limits.items else { throw Failure("a list of more than \(Limits.items) items") }
    try allocate(bytes: items * MemoryLayout<Value>.stride)
  }
}
