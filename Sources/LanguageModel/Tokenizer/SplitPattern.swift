import CPCRE2

/// A regular expression of a `Split` pre-tokenizer, run by PCRE2 over UTF-8 bytes.
///
/// Text must have gone through ``PatternPlaceholders`` first, so that character classes are those of the reference.
final class SplitPattern: @unchecked Sendable {
  private let code: OpaquePointer
  private let isCompiledToMachineCode: Bool

  /// - Parameter pattern: in the syntax of Oniguruma, which `tokenizers` uses.
  /// - Throws: the reason why the pattern cannot be used.
  convenience init(oniguruma pattern: String) throws(SplitPatternError) {
    try self.init(pcre2: SplitPatternTranslator.translate(pattern))
  }

  init(pcre2 pattern: String) throws(SplitPatternError) {
    var errorNumber: Int32 = 0
    var errorOffset = 0
    let options = PCRE2_UTF | PCRE2_UCP | PCRE2_NO_AUTO_CAPTURE
    let context = pcre2_compile_context_create_8(nil)
    defer { pcre2_compile_context_free_8(context) }
    pcre2_set_newline_8(context, UInt32(PCRE2_NEWLINE_LF))
    var text = pattern
    let compiled = text.withUTF8 { bytes in
      pcre2_compile_8(bytes.baseAddress, bytes.count, options, &errorNumber, &errorOffset, context)
    }
    guard let compiled else {
      throw SplitPatternError("\(Self.message(errorNumber)), at byte \(errorOffset)")
    }
    code = compiled
    // Where code must not be made at run time, the interpreter gives the same matches.
    isCompiledToMachineCode = pcre2_jit_compile_8(compiled, UInt32(PCRE2_JIT_COMPLETE)) == 0
  }

  deinit { pcre2_code_free_8(code) }

  /// The matches, from left to right; an empty match does not follow directly upon another match.
  ///
  /// - Parameter body: is given where a match starts and ends, counted from the start of `text`.
  func forEachMatch(
    in text: UnsafeBufferPointer<UInt8>, with scratch: SplitScratch, _ body: (Range<Int>) -> Void
  ) throws(SplitPatternError) {
    var place = 0
    var lastEnd: Int?
    while place <= text.count {
      guard let match = try firstMatch(in: text, from: place, with: scratch) else { return }
      if match.isEmpty, match.lowerBound == lastEnd {
        place += 1
        while place < text.count, text[place] & 0xC0 == 0x80 { place += 1 }
        continue
      }
      place = match.upperBound
      lastEnd = place
      body(match)
    }
  }

  private func firstMatch(
    in text: UnsafeBufferPointer<UInt8>, from start: Int, with scratch: SplitScratch
  ) throws(SplitPatternError) -> Range<Int>? {
    var result = PCRE2_ERROR_JIT_STACKLIMIT
    if isCompiledToMachineCode {
      result = pcre2_jit_match_8(code, text.baseAddress, text.count, start, 0, scratch.match, scratch.context)
    }
    if result == PCRE2_ERROR_JIT_STACKLIMIT {
      let options = UInt32(PCRE2_NO_UTF_CHECK) | PCRE2_NO_JIT
      result = pcre2_match_8(
        code, text.baseAddress, text.count, start, options, scratch.match, scratch.context)
    }
    if result == PCRE2_ERROR_NOMATCH { return nil }
    guard result >= 0, let offsets = pcre2_get_ovector_pointer_8(scratch.match), offsets[0] <= offsets[1]
    else {
      throw SplitPatternError(Self.message(result))
    }
    scratch.lastGroup = Int(result) - 1
    return offsets[0]..<offsets[1]
  }

  private static func message(_ number: Int32) -> String {
    var buffer = [UInt8](repeating: 0, count: 256)
    let length = pcre2_get_error_message_8(number, &buffer, buffer.count)
    return length > 0 ? String(decoding: buffer[..<Int(length)], as: UTF8.self) : "PCRE2 error \(number)"
  }
}

struct SplitPatternError: Error, Sendable {
  let reason: String
  init(_ reason: String) { self.reason = reason }
}

/// What PCRE2 works in; for one thread at a time.
final class SplitScratch {
  fileprivate let match: OpaquePointer?
  fileprivate let context: OpaquePointer?
  /// The number of the highest group that took part in the last match; 0: none.
  fileprivate(set) var lastGroup = 0

  /// - Parameter matchLimit: how many steps a match may take. For the text of a tokenizer time is bounded by the text's
  ///   length, and a limit would only make long texts fail.
  init(groups: Int = 0, matchLimit: UInt32 = .max) {
    match = pcre2_match_data_create_8(UInt32(groups + 1), nil)
    context = pcre2_match_context_create_8(nil)
    pcre2_set_match_limit_8(context, matchLimit)
    pcre2_set_depth_limit_8(context, UInt32.max)
  }

  deinit {
    pcre2_match_data_free_8(match)
    pcre2_match_context_free_8(context)
  }
}
