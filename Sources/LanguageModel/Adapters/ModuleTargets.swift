/// Which modules an adapter is for, by the rules of PEFT 0.21 (`check_target_module_exists`): a list holds whole paths
/// or their ends after a dot, a text is a regular expression for the whole path.
public struct ModuleTargets: Sendable {
  public enum Selection: Sendable, Equatable {
    /// Every linear layer of the transformer's layers (`all-linear`).
    case all
    case pattern(String)
    case names([String])
  }

  private let targets: Matcher
  private let excluded: Matcher?
  /// Ends of paths of modules that are trained as a whole, which are no targets.
  private let saved: [ModulePattern]
  /// Counts for targets that are named by the end of a path.
  private let layers: Set<Int>?

  /// - Parameters:
  ///   - excluded: modules that are left out whatever the targets say.
  ///   - layers: with a list of targets, the only layers that count; nil: all.
  ///   - layersPatterns: what may stand before the number of a layer, as in `layers`; empty: anything.
  ///   - saved: `modules_to_save`.
  /// - Throws: a pattern that cannot be used.
  public init(
    _ targets: Selection, excluded: Selection? = nil, layers: [Int]? = nil, layersPatterns: [String] = [],
    saved: [String] = []
  ) throws(ModulePatternError) {
    self.targets = try Matcher(targets)
    self.excluded = try excluded.map { selection throws(ModulePatternError) in try Matcher(selection) }
    var patterns: [ModulePattern] = []
    for name in saved { patterns.append(try ModulePattern(#"(?:|.*\.)(?:\#(name))(?:|\..*)"#, shown: name)) }
    self.saved = patterns
    // The models here have one list of layers, model.layers; a pattern that does not match it leaves nothing.
    var fits = layersPatterns.isEmpty
    for pattern in layersPatterns {
      let before = try ModulePattern(#"(?:|.*\.)(?:\#(pattern))"#, shown: pattern)
      if before.matches("model.layers") { fits = true }
    }
    self.layers = layers.flatMap { $0.isEmpty ? nil : fits ? Set($0) : [] }
  }

  public func contains(_ module: LoRAModule) -> Bool {
    let path = module.path
    if excluded?.matches(path) == true || saved.contains(where: { $0.matches(path) }) { return false }
    switch targets {
    case .names(let names):
      if names.contains(path) { return true }
      guard names.contains(where: { path.hasSuffix("." + $0) }) else { return false }
      return layers?.contains(module.layer) ?? true
    case .all, .pattern: return targets.matches(path)
    }
  }

  private enum Matcher: Sendable {
    case all
    case pattern(ModulePattern)
    case names([String])

    init(_ selection: Selection) throws(ModulePatternError) {
      switch selection {
      case .all: self = .all
      case .pattern(let text): self = .pattern(try ModulePattern(text))
      case .names(let names): self = .names(names)
      }
    }

    func matches(_ path: String) -> Bool {
      switch self {
      case .all: true
      case .pattern(let pattern): pattern.matches(path)
      case .names(let names): names.contains { path == $0 || path.hasSuffix("." + $0) }
      }
    }
  }
}

extension ModuleTargets.Selection {
  /// A text of a config: `all-linear`, or a regular expression.
  public init(text: String) { self = text.lowercased() == "all-linear" ? .all : .pattern(text) }
}

/// A number for modules whose path, or the end of it after a dot, a key matches (`rank_pattern`, `alpha_pattern`). The
/// first key that matches counts.
public struct ModulePatternMap<Value: Sendable>: Sendable {
  private let entries: [(pattern: ModulePattern, value: Value)]

  public init(_ entries: [(key: String, value: Value)]) throws(ModulePatternError) {
    var read: [(pattern: ModulePattern, value: Value)] = []
    for (key, value) in entries {
      read.append((try ModulePattern(#"(?:.*\.)?(?:\#(key))"#, shown: key), value))
    }
    self.entries = read
  }

  public func value(for module: LoRAModule) -> Value? {
    let path = module.path
    return entries.first { $0.pattern.matches(path) }?.value
  }

  /// A key that matches none of the modules; nil if there is none.
  public func unusedKey(among modules: [LoRAModule]) -> String? {
    entries.first { entry in !modules.contains { entry.pattern.matches($0.path) } }?.pattern.text
  }
}

/// A regular expression for a whole path, as Python's `re.fullmatch` takes it.
struct ModulePattern: Sendable {
  let text: String
  private let pattern: SplitPattern

  /// - Parameter shown: what errors show; nil: the pattern itself.
  init(_ text: String, shown: String? = nil) throws(ModulePatternError) {
    self.text = shown ?? text
    do throws(SplitPatternError) { pattern = try SplitPattern(pcre2: #"\A(?:\#(text))\z"#) } catch {
      throw ModulePatternError(pattern: shown ?? text, reason: error.reason)
    }
  }

  func matches(_ path: String) -> Bool {
    var found = false
    // What takes longer is no pattern for a path of a few dozen characters.
    let scratch = SplitScratch(matchLimit: 10_000_000)
    var path = path
    path.withUTF8 { bytes in try? pattern.forEachMatch(in: bytes, with: scratch) { _ in found = true } }
    return found
  }
}

/// A pattern for paths of modules that cannot be used.
public struct ModulePatternError: Error, Sendable, Equatable, CustomStringConvertible {
  public let pattern: String
  public let reason: String

  public var description: String { "the pattern \(pattern) cannot be used: \(reason)" }
}
