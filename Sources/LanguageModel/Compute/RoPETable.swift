import Kernels
import Tensors

/// The rotation angles of a model, as tables that grow with the longest sequence seen.
///
/// With dynamic scaling and LongRoPE the angles depend on the length of the text; the tables then hold one section for
/// each set of frequencies, one after the other.
final class RoPETable {
  /// The frequencies of texts that are within what the model was trained for first.
  var frequencies: [Float] { Self.frequencies(configuration, .standard) }
  private let configuration: ModelConfiguration
  private let memory: MemoryPool
  private var tables: RotationTables?
  /// The sections of `tables`, in order, each of `capacity` positions.
  private var sections: [Section] = []
  private var capacity = 0

  /// A set of frequencies.
  enum Section: Equatable {
    case standard
    /// LongRoPE beyond the original positions.
    case long
    /// Dynamic scaling for a text of this many tokens.
    case stretched(length: Int)
  }

  init(configuration: ModelConfiguration, memory: MemoryPool) {
    self.configuration = configuration
    self.memory = memory
  }

  /// θ^(−2i/dim), scaled, rounded to f32 as the models' own code keeps them.
  static func frequencies(_ configuration: ModelConfiguration, _ section: Section = .standard) -> [Float] {
    let dimension = configuration.headDimension
    let scaling = configuration.ropeScaling
    let theta = scaling.theta(configuration, section)
    return (0..<dimension / 2).map { i in
      let frequency = 1 / nl_pow(theta, Double(2 * i) / Double(dimension))
      return Float(
        scaling.scaled(frequency, pair: i, dimension: dimension, theta: theta, isLong: section == .long))
    }
  }

  private func section(length: Int) -> Section {
    switch configuration.ropeScaling {
    case .longrope(let long) where length > long.originalMaxPositions: .long
    case .dynamic where length > configuration.maxPositions: .stretched(length: length)
    default: .standard
    }
  }

  /// Tables for texts of the given numbers of tokens, and for each of these the place in the tables of its position 0.
  /// Call it before a computation takes memory, so that a larger table does not come to lie between short-lived
  /// tensors.
  ///
  /// - Parameter positions: how many positions there must be at least.
  func tables(
    lengths: [Int], positions: Int = 0
  ) throws(TensorError) -> (tables: RotationTables, starts: [Int32]) {
    let wanted = lengths.map(section)
    let positions = max(positions, lengths.max() ?? 0)
    let tables = try tables(sections: wanted, positions: positions)
    return (tables, wanted.map { wanted in Int32((sections.firstIndex(of: wanted) ?? 0) * capacity) })
  }

  private func tables(sections wanted: [Section], positions: Int) throws(TensorError) -> RotationTables {
    if let tables, capacity >= positions, wanted.allSatisfy(sections.contains) { return tables }
    // Given back before new ones are taken.
    tables = nil
    capacity = max(capacity, 128)
    while capacity < positions { capacity *= 2 }
    sections = Self.sections(for: wanted, configuration.ropeScaling)
    let made = try make()
    tables = made
    return made
  }

  func tables(positions: Int) throws(TensorError) -> RotationTables {
    try tables(lengths: [], positions: positions).tables
  }

  private static func sections(for wanted: [Section], _ scaling: RoPEScaling) -> [Section] {
    var sections = [Section.standard]
    if case .longrope = scaling { sections.append(.long) }
    for section in wanted where !sections.contains(section) { sections.append(section) }
    return sections
  }

  /// The angle is the f32 product position · frequency, as transformers computes it and the models were
  /// trained; its cosine and sine are exact to the last bit of f32, and then multiplied by the attention factor.
  private func make() throws(TensorError) -> RotationTables {
    let pairs = configuration.headDimension / 2
    let shape = [sections.count * capacity, pairs]
    let factor = Float(configuration.ropeScaling.attentionFactor)
    let (cosines, sines) = (try memory.tensor(shape), try memory.tensor(shape))
    cosines.withMutableValues { cosines in
      sines.withMutableValues { sines in
        var at = 0
        for section in sections {
          let frequencies = Self.frequencies(configuration, section)
          for position in 0..<capacity {
            for frequency in frequencies {
              let angle = Double(Float(position) * frequency)
              cosines[at] = Float(nl_cos(angle)) * factor
              sines[at] = Float(nl_sin(angle)) * factor
              at += 1
            }
          }
        }
      }
    }
    return RotationTables(cosines: cosines, sines: sines)
  }
}

extension RoPEScaling {
  /// θ, for a text that dynamic scaling stretches.
  func theta(_ configuration: ModelConfiguration, _ section: RoPETable.Section) -> Double {
    let theta = configuration.ropeTheta
    guard case .dynamic(let factor) = self, case .stretched(let length) = section,
      configuration.headDimension > 2
    else { return theta }
    let dimension = Double(configuration.headDimension)
    let ratio = factor * Double(length) / Double(configuration.maxPositions) - (factor - 1)
    return theta * nl_pow(ratio, dimension / (dimension - 2))
  }

  /// A frequency after stretching; see the cases for the formulas.
  func scaled(_ frequency: Double, pair: Int, dimension: Int, theta: Double, isLong: Bool) -> Double {
    switch self {
    case .none, .dynamic: return frequency
    case .linear(let factor): return frequency / factor
    case .yarn(let yarn):
      let kept = yarn.keptShare(pair: pair, dimension: dimension, theta: theta)
      return frequency / yarn.factor * (1 - kept) + frequency * kept
    case .longrope(let long): return frequency / (isLong ? long.longFactors : long.shortFactors)[pair]
    case .llama3(let factor, let low, let high, let originalMaxPositions):
      let original = Double(originalMaxPositions)
      let wavelength = 2 * Double.pi / frequency
      if wavelength < original / high { return frequency }
      if wavelength > original / low { return frequency / factor }
      let s = (original / wavelength - low) / (high - low)
      return (1 - s) * frequency / factor + s * frequency
    }
  }
}

extension RoPEScaling.YaRN {
  /// How much of a channel's frequency stays as it is, from 0 to 1.
  func keptShare(pair: Int, dimension: Int, theta: Double) -> Double {
    /// The channel that turns so often in the original positions.
    func channel(turns: Double) -> Double {
      Double(dimension) * nl_log(Double(originalMaxPositions) / (turns * 2 * Double.pi)) / (2 * nl_log(theta))
    }
    let (first, last) = (channel(turns: betaFast), channel(turns: betaSlow))
    let low = max(truncates ? first.rounded(.down) : first, 0)
    var high = min(truncates ? last.rounded(.up) : last, Double(dimension - 1))
    if low == high { high += 0.001 }
    return 1 - min(max((Double(pair) - low) / (high - low), 0), 1)
  }
}
