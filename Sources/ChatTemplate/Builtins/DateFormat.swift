/// `strftime` in the C locale, for a date without a zone.
enum DateFormat {
  private static let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
  private static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November",
    "December",
  ]

  static func text(of date: TemplateDate, _ format: String) throws(Failure) -> String {
    var result = ""
    var scalars = Substring(format).unicodeScalars
    while let scalar = scalars.popFirst() {
      guard scalar == "%" else {
        result.unicodeScalars.append(scalar)
        continue
      }
      guard var code = scalars.popFirst() else { return result + "%" }
      var flag: Unicode.Scalar?
      if ["-", "_", "0", "^", "#"].contains(code), let next = scalars.popFirst() {
        (flag, code) = (code, next)
      }
      result += try field(code, flag, date)
      guard result.utf8.count <= Limits.text else {
        throw Failure("a text of more than \(Limits.text >> 20) MiB")
      }
    }
    return result
  }

  private static func field(
    _ code: Unicode.Scalar, _ flag: Unicode.Scalar?, _ date: TemplateDate
  ) throws(Failure) -> String {
    if let composed = composed[code] { return try text(of: date, composed) }
    if let number = number(code, date) {
      return padded(
        number.value, number.width, flag == nil ? number.fill : flag == "_" ? " " : flag == "-" ? "" : "0")
    }
    let word: String
    switch code {
    case "a": word = String(days[date.weekday].prefix(3))
    case "A": word = days[date.weekday]
    case "b", "h": word = String(months[date.month - 1].prefix(3))
    case "B": word = months[date.month - 1]
    case "p": word = date.hour < 12 ? "AM" : "PM"
    case "P": word = date.hour < 12 ? "am" : "pm"
    case "f": word = "000000"
    case "z", "Z": word = ""
    case "n": word = "\n"
    case "t": word = "\t"
    case "%": word = "%"
    default: throw Failure("strftime_now: the code '%\(code)' is not supported")
    }
    return flag == "^" ? word.uppercased() : word
  }

  private static let composed: [Unicode.Scalar: String] = [
    "c": "%a %b %e %H:%M:%S %Y", "D": "%m/%d/%y", "x": "%m/%d/%y", "F": "%Y-%m-%d", "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "R": "%H:%M", "r": "%I:%M:%S %p",
  ]

  private static func number(
    _ code: Unicode.Scalar, _ date: TemplateDate
  ) -> (value: Int, width: Int, fill: String)? {
    switch code {
    case "d": (date.day, 2, "0")
    case "e": (date.day, 2, " ")
    case "m": (date.month, 2, "0")
    case "y": (date.year % 100, 2, "0")
    case "Y": (date.year, 1, "")
    case "C": (date.year / 100, 2, "0")
    case "H": (date.hour, 2, "0")
    case "k": (date.hour, 2, " ")
    case "I": ((date.hour + 11) % 12 + 1, 2, "0")
    case "l": ((date.hour + 11) % 12 + 1, 2, " ")
    case "M": (date.minute, 2, "0")
    case "S": (date.second, 2, "0")
    case "j": (date.dayOfYear, 3, "0")
    case "u": (date.weekday + 1, 1, "")
    case "w": ((date.weekday + 1) % 7, 1, "")
    case "U": ((date.dayOfYear + 6 - (date.weekday + 1) % 7) / 7, 2, "0")
    case "W": ((date.dayOfYear + 6 - date.weekday) / 7, 2, "0")
    case "V": (date.isoWeek.week, 2, "0")
    case "G": (date.isoWeek.year, 1, "")
    case "g": (date.isoWeek.year % 100, 2, "0")
    default: nil
    }
  }

  private static func padded(_ value: Int, _ width: Int, _ fill: String) -> String {
    let digits = String(value)
    return fill.isEmpty ? digits : String(repeating: fill, count: max(0, width - digits.count)) + digits
  }
}

extension TemplateDate {
  /// 1 to 366.
  fileprivate var dayOfYear: Int {
    (1..<month).reduce(day) { $0 + Self.days(inMonth: $1, of: year) }
  }

  /// 0 is Monday.
  fileprivate var weekday: Int {
    let before = year - 1
    return (before * 365 + before / 4 - before / 100 + before / 400 + dayOfYear - 1) % 7
  }

  /// The week that has most of its days in the year that it is counted in.
  fileprivate var isoWeek: (year: Int, week: Int) {
    let week = (dayOfYear - 1 - weekday + 10) / 7
    if week < 1 { return (year - 1, Self.weeks(in: year - 1)) }
    return week > Self.weeks(in: year) ? (year + 1, 1) : (year, week)
  }

  private static func weeks(in year: Int) -> Int {
    guard let last = TemplateDate(year: max(1, year), month: 12, day: 31),
      let first = TemplateDate(year: max(1, year), month: 1, day: 1)
    else { return 52 }
    return first.weekday == 3 || last.weekday == 3 ? 53 : 52
  }
}
