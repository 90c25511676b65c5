/// The continuum memory system of the Nested Learning notebook: levels one after the other, each Linear width → inner,
/// GELU, Linear inner → width, without a residual; a level learns every so many steps.
public struct ContinuumMemoryShape: Sendable, Equatable {
  public struct Level: Sendable, Equatable {
    public let name: String
    /// Steps between its updates.
    public let chunk: Int

    public init(name: String, chunk: Int) {
      self.name = name
      self.chunk = chunk
    }
  }

  public let width: Int
  public let inner: Int
  public let levels: [Level]

  public init(width: Int = 768, inner: Int = 3072, levels: [Level] = notebook) {
    self.width = width
    self.inner = inner
    self.levels = levels
  }

  /// Those of the notebook.
  public static let notebook = [
    Level(name: "level1_fast", chunk: 1), Level(name: "level2_medium", chunk: 16),
    Level(name: "level3_slow", chunk: 256),
  ]

  /// Its parameters with their shapes, level by level. Names are those that `torch.nn.Sequential` gives: `0` and `2` are
  /// the two linear maps around the activation.
  public var parameters: [(name: String, shape: [Int], level: Int)] {
    levels.enumerated().flatMap { number, level in
      [
        ("\(level.name).0.weight", [inner, width], number), ("\(level.name).0.bias", [inner], number),
        ("\(level.name).2.weight", [width, inner], number), ("\(level.name).2.bias", [width], number),
      ]
    }
  }
}
