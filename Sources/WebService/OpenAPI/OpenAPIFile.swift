import JSON
import NestedLearning

/// `openapi.json` as it is served: with the keys of a config as this program has them.
enum OpenAPIFile {
  static let json: JSONValue = {
    guard var file = try? JSONValue(parsing: EmbeddedFiles.openapi_json.bytes),
      var document = file.object, var components = document["components"]?.object,
      var schemas = components["schemas"]?.object
    else { return .null }
    schemas["Config"] = config
    components["schemas"] = .object(schemas)
    document["components"] = .object(components)
    file = .object(document)
    return file
  }()

  private static var config: JSONValue {
    let properties = NestedLearningConfig.keys.map { key -> JSONObject.Member in
      var schema = key.kind.schema
      schema["description"] = .string(key.help)
      if !key.defaultValue.isNull, key.defaultValue != "" { schema["default"] = key.defaultValue }
      return .init(key: key.name, value: .object(schema))
    }
    return [
      "type": "object", "properties": .object(JSONObject(properties)), "additionalProperties": false,
    ]
  }
}
