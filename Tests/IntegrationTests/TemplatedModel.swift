import Foundation
import Harness

/// A copy of a golden model's folder, with a chat template: `<user>…`, a line end, `<assistant>…`.
func templatedModel() throws -> Scratch {
  let scratch = try Scratch()
  for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
    try FileManager.default.copyItem(
      atPath: Fixtures.path("models/qwen2_f32/" + name), toPath: scratch.path(name))
  }
  try scratch.write(
    "chat_template.jinja",
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
      + "{% if add_generation_prompt %}<assistant>{% endif %}")
  return scratch
}
