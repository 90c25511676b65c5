import WireProtocol

extension Hello {
  /// What a worker says of itself, as far as it is to be believed: it is one that this program has started if it knows the
  /// secret that it was given, whatever it says. The secret itself is nobody else's affair.
  ///
  /// - Parameter secret: that of the local worker of a number; nil if there is none of that number.
  public func vouched(by secret: (Int) -> String?) -> Hello {
    var hello = self
    let own = localIndex.flatMap(secret)
    if own == nil || own != localSecret { hello.localIndex = nil }
    hello.localSecret = nil
    return hello
  }
}
