/// A value behind a reference. Whatever holds it is copied by retaining one object, and not each that the value holds:
/// a dictionary gives out copies, so that else a look at one number of a worker would copy all that it said in HELLO.
/// It is a value all the same, since a copy that is changed gets an object of its own.
@propertyWrapper
struct Indirect<Value: Sendable>: Sendable {
  /// Changed only by whoever holds the one reference to it, so that it may go with its holder to any thread.
  private final class Storage: @unchecked Sendable {
    var value: Value

    init(_ value: Value) { self.value = value }
  }

  private var storage: Storage

  init(wrappedValue: Value) { storage = Storage(wrappedValue) }

  var wrappedValue: Value {
    _read { yield storage.value }
    _modify {
      if !isKnownUniquelyReferenced(&storage) { storage = Storage(storage.value) }
      yield &storage.value
    }
  }
}
