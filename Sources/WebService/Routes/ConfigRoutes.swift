import HTTPTypes
import JSON
import NestedLearning
import Service

/// What a run can be told, and what tiers are.
struct ConfigRoutes: Sendable {
  let preview: Preview

  var routes: [Route] {
    [
      Route(.get, "/nested-learning/tier-info") { _ in Answer.bytes(Self.tierInfo, type: Answer.jsonType) },
      Route(.get, "/nested-learning/config-keys") { _ in Answer.bytes(Self.keyTable, type: Answer.jsonType) },
      .post("/nested-learning/preview") { _, body in try preview.of(body) },
      .post("/nested-learning/schedule") { _, body in try Self.schedule(body) },
    ]
  }

  /// What a curve has points for.
  private static let mostPoints = 256

  /// The learning rates of a config, of which no other keys are looked at.
  private static func schedule(_ body: JSONObject) throws -> JSONValue {
    let known = Set(
      ["num_steps", "preset"] + ConfigSection.all.filter { $0.name == "schedule" }.flatMap(\.keys).map(\.name)
    )
    let values = body.members.filter { known.contains($0.key) }.map { (key: $0.key, value: $0.value) }
    let preview = try SchedulePreview(config: SchedulePreview.config(values))
    return [
      "lr_schedule": .string(preview.config.lrSchedule.rawValue),
      "num_steps": .number(preview.config.numSteps),
      "points": .array(
        preview.points(atMost: mostPoints).map { ["step": .number($0.step), "rate": .number($0.rate)] }),
    ]
  }

  private static let tierInfo = TierInfo.json.bytes()
  private static let keyTable = keys.bytes()

  /// The key table and the presets, which the form of the page is made from.
  private static let keys: JSONValue = [
    "keys": .array(NestedLearningConfig.keys.map(\.described)),
    "presets": .array(
      TrainingPreset.all.map { preset in
        [
          "name": .string(preset.name), "purpose": .string(preset.purpose),
          "values": .object(JSONObject(preset.values.map { .init(key: $0.key, value: $0.value) })),
        ]
      }),
  ]
}

extension ConfigKey {
  var described: JSONValue {
    let (word, choices) = kind.described
    return [
      "name": .string(name), "kind": .string(word), "choices": .strings(choices), "default": defaultValue,
      "help": .string(help), "required": .bool(isRequired), "flag": .string(flag),
      "group": .string(ConfigGroup.of(name)),
    ]
  }
}

extension ConfigKey.Kind {
  /// A word for programs, and the choices that there are.
  var described: (word: String, choices: [String]) {
    switch self {
    case .path: ("path", [])
    case .string: ("string", [])
    case .integer: ("integer", [])
    case .number: ("number", [])
    case .boolean: ("boolean", [])
    case .integers: ("integers", [])
    case .strings: ("strings", [])
    case .choice(let words): ("choice", words)
    case .choiceOrNumbers(let words): ("choice_or_numbers", words)
    case .numbers: ("numbers", [])
    case .tierMap: ("tier_map", [])
    case .numberMap: ("number_map", [])
    case .objects: ("objects", [])
    }
  }

  /// Its values, as JSON Schema says it.
  var schema: JSONObject {
    let number: JSONValue = ["type": "number"]
    return switch self {
    case .path: ["description": "A path, or a list of paths or of {path, weight}."]
    case .string: ["type": ["string", "null"]]
    case .integer: ["type": ["integer", "null"]]
    case .number: ["type": ["number", "null"]]
    case .boolean: ["type": "boolean"]
    case .integers: ["type": ["array", "null"], "items": ["type": "integer"]]
    case .strings: ["type": ["array", "string", "null"], "items": ["type": ["string", "object"]]]
    case .choice(let words): ["enum": .array(words.map { .string($0) } + [.null, .bool(true), .bool(false)])]
    case .choiceOrNumbers(let words):
      ["anyOf": [["enum": .strings(words)], ["type": "array", "items": number]]]
    case .numbers: ["anyOf": [number, ["type": "array", "items": number]]]
    case .tierMap: ["type": ["object", "array", "null"]]
    case .numberMap: ["type": ["object", "null"]]
    case .objects: ["type": ["array", "null"], "items": ["type": "object"]]
    }
  }
}

/// Under what heading the page shows a key: by what stands at the head of its part of the key table.
enum ConfigGroup {
  private static let heads = [
    ("preset", "Preset"), ("base_model_path", "Model and adapter"), ("train_data_path", "Data"),
    ("sampling_mode", "How rows are taken"), ("curriculum_strategy", "Curriculum"),
    ("loss", "Objective and rehearsal"), ("tasks", "Several tasks"), ("num_tiers", "Tiers"),
    ("tier_mode", "Copies of all parameters"),
    ("optimizer", "Optimizer"), ("num_steps", "Course of the run"),
  ]

  private static let byKey: [String: String] = {
    var groups: [String: String] = [:]
    var group = ""
    for key in NestedLearningConfig.keys {
      group = heads.first { $0.0 == key.name }?.1 ?? group
      groups[key.name] = group
    }
    return groups
  }()

  static func of(_ key: String) -> String { byKey[key] ?? "More" }
}
