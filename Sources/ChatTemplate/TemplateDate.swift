/// The date and time of day that `strftime_now` shows, without a time zone.
public struct TemplateDate: Sendable, Equatable {
  public let year: Int
  /// 1 to 12.
  public let month: Int
  /// 1 to 31.
  public let day: Int
  public let hour: Int
  public let minute: Int
  public let second: Int

  /// Nil if there is no such day in years 1 to 9999, or no such time of day.
  public init?(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
    guard (1...9999).contains(year), (1...12).contains(month),
      (1...Self.days(inMonth: month, of: year)).contains(day),
      (0...23).contains(hour), (0...59).contains(minute), (0...59).contains(second)
    else { return nil }
    (self.year, self.month, self.day) = (year, month, day)
    (self.hour, self.minute, self.second) = (hour, minute, second)
  }

  /// Reads `2026-11-29`, or `2026-11-29T08:30:00` with whatever follows left out; nil for anything else.
  public init?(parsing text: String) {
    let bytes = Array(text.utf8)
    func number(_ range: Range<Int>) -> Int? {
      guard bytes.count >= range.upperBound, bytes[range].allSatisfy({ (0x30...0x39).contains($0) }) else {
        return nil
      }
      return bytes[range].reduce(0) { $0 * 10 + Int($1 - 0x30) }
    }
    func stands(_ scalar: Unicode.Scalar, at place: Int) -> Bool { bytes[place] == UInt8(ascii: scalar) }
    guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
      stands("-", at: 4), stands("-", at: 7)
    else { return nil }
    if bytes.count == 10 {
      self.init(year: year, month: month, day: day)
      return
    }
    guard let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
      stands("T", at: 10) || stands(" ", at: 10), stands(":", at: 13), stands(":", at: 16)
    else { return nil }
    self.init(year: year, month: month, day: day, hour: hour, minute: minute, second: second)
  }

  static func isLeap(_ year: Int) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

  static func days(inMonth month: Int, of year: Int) -> Int {
    month == 2 ? (isLeap(year) ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
  }
}
