import Foundation
import Harness
import Testing

/// Runs whose every object is transferred, by the real programs.
@Suite(.serialized) struct TransferTests {
  /// The same bits as with all objects inline, also when workers are killed while they upload.
  @Test func theSameBits() throws {
    let reference = try TrainingRun()
    try reference.train()
    let run = try TrainingRun()
    try run.train(
      ["--local-workers", "2"],
      environment: ["NL_FAILPOINTS": "transfer.inline=0,exit.upload@9,lease.initial=5"])
    #expect(try run.adapterHash() == reference.adapterHash())
    #expect(try run.stateDigest() == reference.stateDigest())
  }
}
