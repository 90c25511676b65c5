@testable import Service
@testable import Transport

extension FuzzTarget {
  /// A file as a secret key, a public key and a list of keys. No error may repeat what is in it.
  static let keys = FuzzTarget(name: "keys") { input in
    ScratchFolder.with(input, named: "key") { path in
      let text = String(decoding: input, as: UTF8.self)
      let words = text.split(whereSeparator: \.isWhitespace).filter { $0.utf8.count >= 40 }
      func told(_ error: any Error) -> String? {
        let text = "\(error)".replacing(path, with: "")
        return words.contains { text.contains($0) } ? "an error repeats the file: \(error)" : nil
      }
      do {
        let key = try KeyFile.secretKey(path: path)
        if "\(key)".contains(key.exposedText) { return "a secret key is in its description" }
        if SecretKey(key.exposedText)?.publicKey != key.publicKey { return "a key reads back as another" }
      } catch {
        if let fault = told(error) { return fault }
      }
      do {
        let key = try KeyFile.publicKey(path)
        if PublicKey(key.description) != key { return "a public key reads back as another" }
      } catch {
        if let fault = told(error) { return fault }
      }
      do {
        if try KeyFile.allowedKeys(path: path).isEmpty { return "an empty list was accepted" }
      } catch {
        if let fault = told(error) { return fault }
      }
      return nil
    }
  }

  /// A request of ZeroMQ's authentication protocol: let in with status 200 exactly if it is the one right request.
  static let authentication = FuzzTarget(name: "authentication") { input in
    var reader = InputReader(input)
    let frames = reader.parts(atMost: 16)
    let known = [UInt8](0..<32)
    guard let key = PublicKey(bytes: known) else { return "32 bytes are no key" }
    let verdict = AuthenticationRequest.judge(frames, allowedKeys: [key: "worker"])
    let answer = AuthenticationRequest.answer(verdict, to: frames)
    guard answer.count == 6, answer[0] == Array("1.0".utf8), answer.allSatisfy({ $0.count <= 255 }) else {
      return "not an answer: \(answer)"
    }
    let isRight =
      frames.count == 7 && frames[0] == Array("1.0".utf8) && frames[2] == Array("nested-learning".utf8)
      && frames[5] == Array("CURVE".utf8) && frames[6] == known && frames.allSatisfy { $0.count <= 255 }
    guard (answer[2] == Array("200".utf8)) == isRight else {
      return "status \(String(decoding: answer[2], as: UTF8.self)) for \(frames)"
    }
    return frames.count < 2 || frames[1].count > 255 || answer[1] == frames[1] ? nil : "another's request id"
  }
}
