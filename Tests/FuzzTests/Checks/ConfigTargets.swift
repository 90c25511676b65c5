import JSON
import NestedLearning

@testable import LanguageModel

extension FuzzTarget {
  static let configJSON = FuzzTarget(name: "config-json", isJSON: true) { configFault($0, .json) }
  static let configYAML = FuzzTarget(name: "config-yaml") { configFault($0, .yaml) }

  /// A config that is accepted must, written out with every value in force, read back as the same.
  private static func configFault(_ input: [UInt8], _ format: ConfigFormat) -> String? {
    let text = String(decoding: input, as: UTF8.self)
    guard let config = try? NestedLearningConfig(text: text, file: "config", format: format) else {
      return nil
    }
    let written = config.json().bytes(indent: 2)
    do {
      let copy = try NestedLearningConfig(
        text: String(decoding: written, as: UTF8.self), file: "config", format: .json)
      return copy.json().bytes(indent: 2) == written ? nil : "the config reads back as another"
    } catch {
      return "the config was accepted and is not, once written out: \(error)"
    }
  }

  /// A model's `config.json`. Its derived numbers must not overflow.
  static let modelConfiguration = FuzzTarget(name: "model-config", isJSON: true) { input in
    guard let json = try? JSONValue(parsing: input),
      let configuration = try? ModelConfiguration(json: json, file: "config.json")
    else { return nil }
    guard configuration.slidingWindows.count == configuration.layerCount else {
      return "\(configuration.slidingWindows.count) windows for \(configuration.layerCount) layers"
    }
    // What a model folder asks of its files, for models of a size that is not just a number in a text.
    guard configuration.layerCount <= 64 else { return nil }
    return configuration.tensors.allSatisfy { $0.shape.allSatisfy { $0 > 0 } } ? nil : "an empty tensor"
  }
}
