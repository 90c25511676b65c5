import Foundation
import JSON
import Testing

@testable import ChatTemplate

/// Reference: transformers 5.24, PreTrainedTokenizerBase.from_pretrained and get_chat_template.
@Suite struct FolderTests {
  private func withFolder<T>(_ files: [String: String], _ body: (String) throws -> T) throws -> T {
    let folder = FileManager.default.temporaryDirectory.appending(path: "templates-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    for (name, text) in files {
      let url = folder.appending(path: name)
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: url)
    }
    return try body(folder.path)
  }

  private func render(_ files: [String: String], tools: JSONValue? = nil) throws -> String {
    try withFolder(files) { folder in
      #expect(ChatTemplate.exists(in: folder))
      let template = try ChatTemplate(modelFolder: folder)
      return try template.render(
        messages: [["role": "user", "content": "hi"]], tools: tools, date: Fixture.date)
    }
  }

  @Test func aFileWinsOverTheConfig() throws {
    let files = ["chat_template.jinja": "file\n", "tokenizer_config.json": #"{"chat_template": "config"}"#]
    #expect(try render(files) == "file")
  }

  @Test func theConfigHasOneTemplateOrSeveral() throws {
    #expect(try render(["tokenizer_config.json": #"{"chat_template": "{{ messages[0].content }}"}"#]) == "hi")
    let several = [
      "tokenizer_config.json":
        #"{"chat_template": [{"name": "default", "template": "one"}, {"name": "tool_use", "template": "two"}]}"#
    ]
    #expect(try render(several) == "one")
    #expect(try render(several, tools: []) == "two")
    #expect(try render(several, tools: nil) == "one")
  }

  @Test func additionalTemplatesHaveTheirOwnFiles() throws {
    let files = ["chat_template.jinja": "one", "additional_chat_templates/tool_use.jinja": "two"]
    #expect(try render(files) == "one")
    #expect(try render(files, tools: []) == "two")
  }

  @Test func processorsHaveAFileOfTheirOwn() throws {
    #expect(
      try render(["chat_template.json": #"{"chat_template": "p"}"#, "tokenizer_config.json": "{}"]) == "p")
  }

  @Test func specialTokensAreThoseOfTheConfig() throws {
    let source = "{{ bos_token }}|{{ eos_token }}|{{ pad_token is defined }}"
    let config = #"{"bos_token": "<b>", "eos_token": {"content": "<e>", "lstrip": false}, "pad_token": null"#
    let map = #"{"bos_token": "<m>"}"#
    #expect(
      try render(["chat_template.jinja": source, "tokenizer_config.json": config + "}"]) == "<b>|<e>|False")
    // special_tokens_map.json counts only where the config has no added_tokens_decoder.
    var files = [
      "chat_template.jinja": source, "tokenizer_config.json": config + "}", "special_tokens_map.json": map,
    ]
    #expect(try render(files) == "<m>|<e>|False")
    files["tokenizer_config.json"] = config + #", "added_tokens_decoder": {}}"#
    #expect(try render(files) == "<b>|<e>|False")
  }

  @Test func whatIsWrongIsNamed() throws {
    func error(_ files: [String: String]) throws -> String {
      try withFolder(files) { folder in
        let error = #expect(throws: ChatTemplateError.self) { try ChatTemplate(modelFolder: folder) }
        return (error?.description ?? "").replacing(folder, with: "F")
      }
    }
    #expect(try error(["config.json": "{}"]).hasPrefix("F: there is no chat template"))
    #expect(
      try error(["chat_template.jinja": "\n{{"])
        == "F/chat_template.jinja:2: unexpected the end of the template")
    #expect(
      try error(["tokenizer_config.json": #"{"chat_template": 1}"#])
        == "F/tokenizer_config.json: chat_template: a number, not a string or a list of templates")
    #expect(try error(["tokenizer_config.json": "{"]).hasPrefix("F/tokenizer_config.json:1: "))
    #expect(
      try error(["additional_chat_templates/tool_use.jinja": "x"])
        == "F: its chat templates are tool_use, and none is the default")
    try withFolder(["config.json": "{}"]) { #expect(!ChatTemplate.exists(in: $0)) }
  }
}
