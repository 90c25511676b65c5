import LanguageModel

extension Tokenizer: TextEncoder {}
