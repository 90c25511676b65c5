import JSON

// The keys that say which modules a fresh adapter has. Their meaning is PEFT's, that of num_layers mlx-lm's.
extension NestedLearningConfig {
  static let targetModules = ConfigKey(
    "lora_target_modules", .strings,
    "Linear layers that get a LoRA pair: names, or the ends of paths; all-linear, or a regular expression for paths.",
    read: { (config, value) throws(ConfigValueError) in
      if let text = value.string, !text.isEmpty {
        config.loraTargetPattern = text
        config.loraTargetModules = allTargetModules
        return
      }
      let expected = "a list of names such as \"q_proj\", or a regular expression"
      let names = try ConfigKey.list(value, expected) { (item) throws(ConfigValueError) in
        guard let name = item.string else { throw .type(expected, value) }
        guard let last = name.split(separator: ".").last, allTargetModules.contains(String(last)) else {
          throw ConfigValueError(
            reason: "there is no linear layer \"\(name)\"",
            remedy: "the layers are \(allTargetModules.joined(separator: ", "))")
        }
        return name
      }
      guard Set(names).count == names.count else {
        throw ConfigValueError(reason: "a layer is named twice in \(value.text)")
      }
      config.loraTargetPattern = nil
      config.loraTargetModules = names
    },
    write: { $0.loraTargetPattern.map { .string($0) } ?? .strings($0.loraTargetModules) })

  static let excludedModules = ConfigKey(
    "exclude_modules", .strings, "Modules that get no LoRA pair: names, or a regular expression for paths.",
    read: { (config, value) throws(ConfigValueError) in
      if value.isNull || value.array?.isEmpty == true {
        config.excludeModules = nil
      } else if let text = value.string, !text.isEmpty {
        config.excludeModules = .pattern(text)
      } else {
        let expected = "a list of names, or a regular expression"
        config.excludeModules = .names(
          try ConfigKey.list(value, expected) { (item) throws(ConfigValueError) in
            guard let name = item.string, !name.isEmpty else { throw .type(expected, value) }
            return name
          })
      }
    },
    write: {
      switch $0.excludeModules {
      case nil: .null
      case .names(let names): .strings(names)
      case .pattern(let text): .string(text)
      }
    })

  static let transformedLayers = ConfigKey(
    "layers_to_transform", .integers, "Numbers of the layers that get LoRA pairs, from 0; else all.",
    read: { (config, value) throws(ConfigValueError) in
      if value.isNull {
        config.layersToTransform = nil
      } else if value.int != nil {
        config.layersToTransform = [try ConfigKey.whole(value, 0...65535)]
      } else {
        config.layersToTransform = try ConfigKey.list(value, "a list of layer numbers") {
          (item) throws(ConfigValueError) in try ConfigKey.whole(item, 0...65535)
        }
      }
    },
    write: { $0.layersToTransform.map { .numbers($0) } ?? .null })

  static let lastLayers = ConfigKey(
    "num_layers", .integer, "Only the last so many layers get LoRA pairs, as in mlx-lm; -1: all.",
    read: { (config, value) throws(ConfigValueError) in
      if value.isNull || value.int == -1 {
        config.numLayers = nil
      } else {
        config.numLayers = try ConfigKey.whole(value, 1...65536)
      }
    },
    write: { $0.numLayers.map { .number($0) } ?? .null })

  static let rankPatterns = ConfigKey(
    "rank_pattern", .numberMap,
    "Ranks of modules that have another than lora_rank, by patterns of their paths.",
    read: { (config, value) throws(ConfigValueError) in
      config.rankPattern = try entries(value) { (value) throws(ConfigValueError) in
        try ConfigKey.whole(value, 1...65_536)
      }
    },
    write: { json($0.rankPattern) { .number($0) } })

  static let alphaPatterns = ConfigKey(
    "alpha_pattern", .numberMap,
    "Alphas of modules that have another than lora_alpha, by patterns of their paths.",
    read: { (config, value) throws(ConfigValueError) in
      config.alphaPattern = try entries(value) { (value) throws(ConfigValueError) in
        try ConfigKey.real(value, "a number above 0") { $0 > 0 }
      }
    },
    write: { json($0.alphaPattern) { .number($0) } })

  static let savedModules = ConfigKey(
    "modules_to_save", .strings,
    "Modules trained as a whole beside the LoRA pairs: embed_tokens, lm_head, norm, or others by name.",
    read: { (config, value) throws(ConfigValueError) in
      if value.isNull || value.array?.isEmpty == true {
        config.modulesToSave = []
      } else {
        let expected = "a list of names such as \"lm_head\""
        config.modulesToSave = try ConfigKey.list(value, expected) { (item) throws(ConfigValueError) in
          guard let name = item.string, !name.isEmpty else { throw .type(expected, value) }
          return name
        }
      }
    },
    write: { $0.modulesToSave.isEmpty ? .null : .strings($0.modulesToSave) })

  static let addedTokens = ConfigKey(
    "add_tokens", .strings,
    "Tokens to add to the vocabulary; embed_tokens and lm_head are then trained as a whole, the new rows from the mean row.",
    read: { (config, value) throws(ConfigValueError) in
      config.addTokens = []
      if value.isNull || value.array?.isEmpty == true { return }
      let expected = "a list of texts such as \"<tool>\""
      var seen = Set<[UInt8]>()
      config.addTokens = try ConfigKey.list(value, expected) { (item) throws(ConfigValueError) in
        guard let token = item.string, !token.isEmpty else { throw .type(expected, value) }
        guard seen.insert(Array(token.utf8)).inserted else {
          throw ConfigValueError(reason: "names \"\(token)\" twice")
        }
        return token
      }
    },
    write: { $0.addTokens.isEmpty ? .null : .strings($0.addTokens) })

  static func entries<Value>(
    _ value: JSONValue, _ read: (JSONValue) throws(ConfigValueError) -> Value
  ) throws(ConfigValueError) -> [ModuleValue<Value>] {
    if value.isNull { return [] }
    guard let object = value.object else { throw .type("an object of patterns and numbers", value) }
    var entries: [ModuleValue<Value>] = []
    for member in object.members {
      guard !member.key.isEmpty else { throw ConfigValueError(reason: "has an empty pattern") }
      entries.append(ModuleValue(pattern: member.key, value: try read(member.value)))
    }
    return entries
  }

  private static func json<Value>(
    _ entries: [ModuleValue<Value>], _ value: (Value) -> JSONValue
  ) -> JSONValue {
    entries.isEmpty
      ? .null : .object(JSONObject(entries.map { .init(key: $0.pattern, value: value($0.value)) }))
  }
}
