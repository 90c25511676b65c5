import Files
import Foundation
import JSON

/// A BPE tokenizer, byte-level or as SentencePiece has it, as `tokenizer.json` describes it: text to the ids that the
/// Rust crate `tokenizers` gives, and back. May be used from several threads at once.
///
/// `truncation` and `padding` in the file are not applied.
public final class Tokenizer: Sendable {
  private let file: String
  private let parts: TokenizerFile.Parts
  /// Behind `lock`; a Mutex would hide from ThreadSanitizer that they are never used by two threads at once.
  nonisolated(unsafe) private var workspaces: [Workspace] = []
  private let lock = NSLock()

  /// The token that ends a text in training: `eos_token` of `special_tokens_map.json` (where `tokenizer_config.json` has
  /// no `added_tokens_decoder`) or of `tokenizer_config.json`, else the first `eos_token_id` of `generation_config.json`
  /// or `config.json`; nil if none names one.
  public let eosTokenID: Int32?
  /// The tokens at which a generated text ends: that which training appends, and all that `generation_config.json` and
  /// `config.json` name.
  public let endTokenIDs: Set<Int32>
  /// The tokens that end a turn of a conversation in training: the end of a text, and all that `generation_config.json`
  /// names, or `config.json` where there is no such file, as transformers takes them.
  public let turnEndTokenIDs: Set<Int32>

  /// Tokens that were added to those of the files, in the order of their ids.
  public let addedHere: [String]

  /// Reads `tokenizer.json` and what the files beside it say of its tokens and of the end of a text.
  ///
  /// - Parameter adding: texts to be tokens too, with the next free ids, as `add_tokens` of transformers gives them: looked
  ///   for in the normalized text, and not special.
  /// - Throws: ``ModelError``, which names the file and the part of it that is broken or not supported, or a text to be
  ///   added that is a token already.
  public init(modelFolder: String, adding: [String] = []) throws {
    file = modelFolder + "/tokenizer.json"
    addedHere = adding
    if !adding.isEmpty {
      let known = try Tokenizer(modelFolder: modelFolder)
      for text in adding {
        guard let id = known.tokenID(text) else { continue }
        throw ModelError(
          file: file, name: "token \"\(text)\"",
          "is a token already, with the id \(id); leave it out of add_tokens")
      }
    }
    guard FileManager.default.fileExists(atPath: file) else {
      throw ModelError(file: file, "there is no such file; tokenizers are read in this form alone")
    }
    var settings = TokenizerSettings()
    let parts = try TokenizerFile(json: try readJSON(path: file), file: file).parts {
      added throws(ModelError) in
      settings = try TokenizerSettings(folder: modelFolder, added: added)
      return settings.adding(adding)
    }
    self.parts = parts
    let configured = try EndOfText(folder: modelFolder).ids()
    eosTokenID = settings.endOfText.flatMap { parts.ids[Array($0.content.utf8)] } ?? configured.first
    endTokenIDs = Set(configured + [eosTokenID].compactMap(\.self))
    let ofTurns = try EndOfText(folder: modelFolder).idsForGeneration()
    turnEndTokenIDs = Set(ofTurns + [eosTokenID].compactMap(\.self))
  }

  /// `byte-level BPE`, or `BPE` over characters.
  public var kind: String { parts.preTokenizer.isByteLevel ? "byte-level BPE" : "BPE" }

  /// One more than the largest id.
  public var vocabularySize: Int { parts.pieces.count }

  /// The id of a token by its text in `tokenizer.json`; nil if there is none.
  public func tokenID(_ token: String) -> Int32? { parts.ids[Array(token.utf8)] }

  /// The tokens that are cut out of a text before anything else is done to it.
  var addedTokens: [AddedTokens.Token] { parts.addedTokens.tokens }

  /// Of a token that is added to those of `tokenizer.json`, or that is added in it, its text and the file that says so;
  /// nil for the tokens of the model itself.
  public func addedToken(_ id: Int32) -> (content: String, file: String)? {
    if let token = parts.addedTokens.tokens.first(where: { $0.id == id }) {
      let elsewhere = parts.addedElsewhere.first { $0.content.utf8.elementsEqual(token.content.utf8) }
      return (token.content, elsewhere?.file ?? file)
    }
    return nil
  }

  /// The ids of a text.
  ///
  /// - Parameter addSpecialTokens: whether the post-processor adds its own, a BOS for one. Special tokens that are
  ///   written out in the text are recognised either way.
  /// - Throws: ``ModelError`` if the pattern of the pre-tokenizer fails, for want of memory for one.
  public func encode(_ text: String, addSpecialTokens: Bool) throws -> [Int32] {
    let workspace = lock.withLock { workspaces.popLast() } ?? Workspace()
    defer { lock.withLock { workspaces.append(workspace) } }
    var ids: [Int32] = []
    if addSpecialTokens { ids += parts.postProcessor.before }
    do throws(SplitPatternError) {
      try encode(Array(text.utf8), workspace, into: &ids)
    } catch {
      throw ModelError(file: file, name: "pre_tokenizer", "failed on a text: \(error.reason)")
    }
    if addSpecialTokens { ids += parts.postProcessor.after }
    return ids
  }

  /// The ids of a text that has its special tokens in it, such as a rendered conversation, and how many of them begin
  /// before each of some places: a token belongs where its first byte does.
  ///
  /// - Parameter places: numbers of bytes of the text's UTF-8.
  /// - Throws: ``ModelError`` if the pattern of the pre-tokenizer fails, for want of memory for one.
  public func encode(_ text: String, countingBefore places: [Int]) throws -> (ids: [Int32], counts: [Int]) {
    let workspace = lock.withLock { workspaces.popLast() } ?? Workspace()
    defer { lock.withLock { workspaces.append(workspace) } }
    var ids: [Int32] = []
    var counts = places.map { _ in 0 }
    do throws(SplitPatternError) {
      try encode(Array(text.utf8), workspace, into: &ids) { part in
        for (index, place) in places.enumerated() { counts[index] += part.tokens(before: place) }
      }
    } catch {
      throw ModelError(file: file, name: "pre_tokenizer", "failed on a text: \(error.reason)")
    }
    return (ids, counts)
  }

  /// Tokens of a part of a text.
  private struct EncodedPart {
    /// Of the text.
    let range: Range<Int>
    /// Where the tokens begin, in the part as it was normalized.
    let starts: [Int]
    /// How long the beginning of the part is once it is normalized.
    let normalizedLength: (_ count: Int) -> Int

    func tokens(before place: Int) -> Int {
      if place >= range.upperBound { return starts.count }
      if place <= range.lowerBound { return 0 }
      let place = normalizedLength(place - range.lowerBound)
      return starts.reduce(0) { $1 < place ? $0 + 1 : $0 }
    }
  }

  /// - Parameter placed: is told where the tokens of each part begin.
  private func encode(
    _ text: [UInt8], _ workspace: Workspace, into ids: inout [Int32], placed: ((EncodedPart) -> Void)? = nil
  ) throws(SplitPatternError) {
    for part in parts.addedTokens.split(text) {
      if let id = part.id {
        ids.append(id)
        placed?(EncodedPart(range: part.range, starts: [0]) { $0 })
        continue
      }
      let whole = part.range.count == text.count
      let normalized = whole ? parts.normalizer.normalize(text) : parts.normalizer.normalize(text[part.range])
      let startLength =
        part.range.lowerBound == 0 && parts.preTokenizer.asksForFirst
        ? parts.normalizer.startLength(of: Array(text[part.range])) : 0
      var starts: [Int] = []
      for part in parts.addedTokens.split(normalized: normalized) {
        if let id = part.id {
          ids.append(id)
          starts.append(part.range.lowerBound)
        } else {
          let plain = part.range.count == normalized.count ? normalized : Array(normalized[part.range])
          let first = ids.count
          try encodePlain(plain, startLength: startLength - part.range.lowerBound, workspace, into: &ids)
          if placed != nil {
            var alignment = TokenAlignment(
              text: plain, pieces: parts.pieces, isByteLevel: parts.preTokenizer.isByteLevel)
            for id in ids[first...] { starts.append(part.range.lowerBound + alignment.next(id)) }
          }
        }
      }
      placed?(
        EncodedPart(range: part.range, starts: starts) { [parts] count in
          let original = text[part.range]
          if normalized.elementsEqual(original) { return count }
          return zip(parts.normalizer.normalize(original.prefix(count)), normalized).prefix { $0 == $1 }.count
        })
    }
  }

  private func encodePlain(
    _ text: [UInt8], startLength: Int, _ workspace: Workspace, into ids: inout [Int32]
  ) throws(SplitPatternError) {
    var found: [Int32] = []
    found.reserveCapacity(text.count / 3)
    try parts.preTokenizer.forEachPiece(of: text, startLength: startLength, with: workspace.split) { piece in
      parts.model.encode(piece, with: workspace.merge, into: &found)
    }
    ids += found
  }

  /// The text of ids. Bytes that are not UTF-8 become U+FFFD; an id without a token stands for nothing.
  public func decode(_ ids: [Int32], skipSpecialTokens: Bool) -> String {
    let tokens = ids.filter { parts.pieces.isToken($0) && !(skipSpecialTokens && parts.pieces.isSpecial($0)) }
    return parts.decoder.text(of: tokens.map { parts.pieces[$0] })
  }

  /// The ids of a text as training reads them: with the post-processor's tokens, BOS counted and an end of text at
  /// the end dropped, then the end of text; of all these the first `maxLength`, so that a text that is cut has no end.
  ///
  /// - Throws: ``ModelError`` if no end of text is known; see ``eosTokenID``.
  public func trainingIDs(text: String, maxLength: Int) throws -> [Int32] {
    guard let end = eosTokenID else {
      throw ModelError(
        file: file,
        "no token ends a text; name one as eos_token in tokenizer_config.json or as eos_token_id in "
          + "config.json")
    }
    var ids = try encode(text, addSpecialTokens: true)
    if ids.last == end { ids.removeLast() }
    if ids.count < maxLength { ids.append(end) }
    return Array(ids.prefix(max(0, maxLength)))
  }

  /// The ids of a text that others follow: with the post-processor's tokens before it, without those after it.
  ///
  /// - Throws: ``ModelError`` if the pattern of the pre-tokenizer fails, for want of memory for one.
  public func promptIDs(text: String) throws -> [Int32] {
    parts.postProcessor.before + (try encode(text, addSpecialTokens: false))
  }

  /// What one call works in; calls at the same time have one each.
  private final class Workspace: @unchecked Sendable {
    let split = SplitScratch()
    let merge = BytePairWorkspace()
  }
}

/// Finds the tokens that end a text in the files of a model folder.
private struct EndOfText {
  let folder: String

  /// `eos_token_id` of `generation_config.json`, then of `config.json`.
  func ids() throws(ModelError) -> [Int32] { try ids(of: ["generation_config.json", "config.json"]) }

  /// Those of `generation_config.json`, else of `config.json`.
  func idsForGeneration() throws(ModelError) -> [Int32] {
    let own = try ids(of: ["generation_config.json"])
    return own.isEmpty ? try ids(of: ["config.json"]) : own
  }

  private func ids(of names: [String]) throws(ModelError) -> [Int32] {
    var ids: [Int32] = []
    for name in names {
      let file = folder + "/" + name
      guard FileSystem.kind(file) != nil else { continue }
      ids += try ConfigurationReader(json: try readJSON(path: file), file: file).tokenIDs("eos_token_id").map
      {
        Int32($0)
      }
    }
    return ids
  }
}
