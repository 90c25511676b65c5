/// What the discriminator's part in a micro-batch's gradients is: object `adversary.g`, two f32.
public struct AdversaryFactors: Sendable, Equatable {
  /// What the cross entropy of each row's domain is multiplied by.
  public var weight: Float
  /// λ: what goes on into the transformer is multiplied by −λ.
  public var reversal: Float

  public init(weight: Float, reversal: Float) { (self.weight, self.reversal) = (weight, reversal) }

  init(number: Int, from reader: inout BodyReader) throws(ProtocolError) {
    let name = "adversary.\(number)"
    let numbers = try reader.object(name).floats()
    guard numbers.count == 2, numbers.allSatisfy({ $0.isFinite && $0 >= 0 }) else {
      throw reader.error(name, "must hold two numbers of at least 0")
    }
    self.init(weight: numbers[0], reversal: numbers[1])
  }
}
