import Kernels
import LanguageModel
import NestedLearning
import Tensors

/// Which arithmetic a run has: what its config says, and where that leaves it open, a table of CPUs and stored types.
/// Nothing is measured, so that the same CPU and model always come to the same; the run's config.json has the outcome.
package struct ArithmeticChoice {
  let isa: nl_isa
  /// Whether all projections of the model are stored in bf16, as which they are exact for tiles.
  let isStoredInBF16: Bool

  package init(isa: nl_isa = nl_isa_current(), folder: ModelFolder) {
    self.isa = isa
    isStoredInBF16 = folder.configuration.tensors.allSatisfy {
      !$0.name.hasSuffix("_proj.weight") || folder.weights[$0.name]?.dtype == .bf16
    }
  }

  init(isa: nl_isa, isStoredInBF16: Bool) {
    self.isa = isa
    self.isStoredInBF16 = isStoredInBF16
  }

  /// As exact as f32, and fast. Weights in f32 need twice as many products of tiles, which gains little over f32.
  var exact: Arithmetic { isa == NL_ISA_AMX && isStoredInBF16 ? .f32Tiles : .f32 }

  /// In bf16, and fast. Intel's dot products of bf16 are slower than f32, its tiles many times faster; others have none.
  var rounded: Arithmetic { isa == NL_ISA_AMX ? .bf16Tiles : .bf16Dot }

  package func resolved(_ arithmetic: Arithmetic) -> Arithmetic { arithmetic == .auto ? exact : arithmetic }

  /// The config with both keys in force.
  func resolved(_ config: NestedLearningConfig) -> NestedLearningConfig {
    config.with(resolved(config.arithmetic ?? config.mixedPrecision.arithmetic ?? rounded))
  }

  /// What a run without the key was computed in, when there was only `mixed_precision`.
  static func ofOldRun(_ config: NestedLearningConfig) -> NestedLearningConfig {
    config.with(config.arithmetic ?? config.mixedPrecision.arithmetic ?? .bf16Dot)
  }
}

extension NestedLearningConfig {
  fileprivate func with(_ arithmetic: Arithmetic) -> NestedLearningConfig {
    var config = self
    config.arithmetic = arithmetic
    config.mixedPrecision = arithmetic.mixedPrecision
    return config
  }

  /// The same with the arithmetic of a run that is there, where this leaves open what that one has.
  func withArithmetic(of recorded: NestedLearningConfig) -> NestedLearningConfig {
    let isOpen: Bool =
      switch arithmetic {
      case .auto: recorded.arithmetic?.isExact == true
      case nil: mixedPrecision == .eitherBF16 && recorded.arithmetic?.isExact == false
      default: false
      }
    return isOpen ? recorded.arithmetic.map(with) ?? self : self
  }
}

extension Arithmetic {
  /// That of the kernels; `auto` counts as f32 until it is resolved.
  package var precision: Precision {
    switch self {
    case .f32, .auto: .f32
    case .f32Tiles: .f32Tiles
    case .bf16Dot: .bf16Dot
    case .bf16Tiles: .bf16Tiles
    }
  }
}

extension Precision {
  /// What `arithmetic` calls it.
  package var arithmetic: Arithmetic {
    switch self {
    case .f32: .f32
    case .bf16Dot: .bf16Dot
    case .bf16Tiles: .bf16Tiles
    case .f32Tiles: .f32Tiles
    }
  }
}
