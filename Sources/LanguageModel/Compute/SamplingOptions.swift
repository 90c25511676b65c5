/// How the next token is chosen from logits; the numbers mean what they mean in transformers' `generate`.
public struct SamplingOptions: Sendable, Equatable {
  /// 0 always takes the likeliest token, the lowest id of equals; above it tokens are drawn with the probabilities
  /// softmax(logits/temperature).
  public var temperature = 0.0
  /// Only as many of the likeliest tokens are drawn from, and those equal to the last of them; nil: all.
  public var topK: Int?
  /// Only the fewest of the likeliest tokens whose probabilities add up to this are drawn from; 1: all.
  public var topP = 1.0
  /// The logits of tokens that are in the text already are divided by this, or multiplied if they are below 0.
  public var repetitionPenalty = 1.0
  public var seed: UInt64 = 42
  /// Which of several texts of one seed it is.
  public var text: UInt64 = 0

  public init() {}

  func check() throws(BatchError) {
    guard temperature >= 0, temperature.isFinite else {
      throw BatchError("the temperature is \(temperature); it must be 0 or above")
    }
    if let topK, topK < 1 { throw BatchError("top-k is \(topK); it must be at least 1") }
    guard topP > 0, topP <= 1 else { throw BatchError("top-p is \(topP); it must be above 0 and at most 1") }
    guard repetitionPenalty > 0, repetitionPenalty.isFinite else {
      throw BatchError("the repetition penalty is \(repetitionPenalty); it must be above 0")
    }
  }
}
