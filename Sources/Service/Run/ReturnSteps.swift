import Files
import JSON
import Ledger

/// The steps that a run can go back to by hand: those of its snapshots, among them one for each numbered checkpoint that
/// is kept, and the start.
public struct ReturnSteps: Sendable {
  public struct Entry: Sendable, Equatable {
    public let step: Int
    /// The names of checkpoints of this step, as in `checkpoint_0000100`.
    public let checkpoints: [String]
    /// Why it cannot be gone back to; nil if it can.
    public let damage: String?
  }

  public let lastStep: Int
  /// Newest first; the last is step 0.
  public let entries: [Entry]
  private let snapshots: SnapshotStore
  private let manifests: [Int: String]

  /// Reads a run's folder beside a coordinator that may be at work on it. Files are looked at, not read.
  ///
  /// - Throws: `RunFolderError` or `LedgerError` if that is not a run.
  public init(folder: String) throws {
    let path = folder + "/state.sqlite"
    guard FileSystem.kind(path) == .file else {
      throw RunFolderError.notARun(path: folder, missing: "state.sqlite")
    }
    try self.init(
      ledger: Ledger.open(at: path, access: .readOnly), snapshots: SnapshotStore(folder: folder + "/state"))
  }

  init(ledger: Ledger, snapshots: SnapshotStore) throws {
    self.snapshots = snapshots
    lastStep = try ledger.lastStep()
    let checkpoints = try Dictionary(grouping: ledger.checkpoints(), by: \.step)
    let records = try ledger.snapshots()
    manifests = Dictionary(records.map { ($0.step, $0.manifest) }, uniquingKeysWith: { first, _ in first })
    let last = lastStep
    entries =
      records.filter { $0.step > 0 && $0.step <= last }.map { record in
        Entry(
          step: record.step,
          checkpoints: (checkpoints[record.step] ?? []).map { FileSystem.name(of: $0.path) },
          damage: Self.damage(record, snapshots))
      } + [Entry(step: 0, checkpoints: [], damage: nil)]
  }

  private static func damage(_ record: SnapshotRecord, _ store: SnapshotStore) -> String? {
    do {
      for blob in try store.open(record.manifest).blobs {
        let path = store.blobPath(blob.sha256)
        guard FileSystem.size(path) == blob.byteCount else {
          return "\(path): \(blob.name) is not there, or has another length"
        }
      }
      return nil
    } catch {
      return "\(error)"
    }
  }

  /// Reads the snapshot of a step, to be sure before anything is void.
  ///
  /// - Throws: `ServiceError` that says why the run cannot go back to this step, and to which it can.
  func check(_ step: Int, folder: String) throws {
    let possible = entries.filter { $0.damage == nil }.map { String($0.step) }.joined(separator: ", ")
    func refusal(_ reason: String) -> ServiceError {
      ServiceError(
        "the run in \(folder) cannot go back to step \(step): \(reason)",
        remedy: "it can go back to step \(possible); nl-coord rollback \(folder) --list says more")
    }
    guard let entry = entries.first(where: { $0.step == step }) else {
      throw refusal(
        step > lastStep
          ? "its last step is \(lastStep)" : "there is no snapshot of it")
    }
    if let damage = entry.damage { throw refusal(damage) }
    guard let manifest = manifests[step], step > 0 else { return }
    do { try snapshots.open(manifest).check() } catch { throw refusal("\(error)") }
  }

  /// For people, a line for each step.
  public var text: String {
    entries.map { entry in
      let names = entry.step == 0 ? "the start" : (["snapshot"] + entry.checkpoints).joined(separator: ", ")
      return "Step \(entry.step): \(names)" + (entry.damage.map { "; damaged: \($0)" } ?? "")
    }.joined(separator: "\n")
  }

  public var json: JSONValue {
    [
      "last_step": .number(lastStep),
      "steps": .array(
        entries.map {
          [
            "step": .number($0.step), "checkpoints": .strings($0.checkpoints),
            "damage": $0.damage.map { .string($0) } ?? nil,
          ]
        }),
    ]
  }
}
