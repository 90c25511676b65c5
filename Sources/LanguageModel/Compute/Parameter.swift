import Tensors

/// A tensor that is trained, or one that enters the arithmetic as f32 (norm weights and biases).
final class Parameter {
  let name: String
  let tensor: Tensor
  /// Set while its gradient is wanted.
  var gradient: Gradient?

  init(name: String, tensor: Tensor) {
    self.name = name
    self.tensor = tensor
  }

  var variable: Variable { Variable(tensor, gradient: gradient) }
}

/// A matrix of the checkpoint: frozen in its file's precision, or trained in f32.
enum Weight {
  case frozen(Matrix)
  case trained(Parameter)

  var matrix: Matrix {
    switch self {
    case .frozen(let matrix): matrix
    case .trained(let parameter): Matrix(parameter.variable)
    }
  }
}

/// What can be trained of one module, or of the model as a whole.
public struct ParameterInfo: Sendable, Equatable {
  public let name: String
  /// The name without its last component.
  public let module: String
  /// nil: before the first layer (the embedding) or after the last (norm and head).
  public let layer: Int?
  public let shape: [Int]

  init(name: String, shape: [Int]) {
    self.name = name
    self.shape = shape
    let components = name.split(separator: ".", omittingEmptySubsequences: false)
    module = components.dropLast().joined(separator: ".")
    layer = components.firstIndex(of: "layers").flatMap { at in
      at + 1 < components.count ? Int(components[at + 1]) : nil
    }
  }

  /// Of a network whose names do not tell the layer.
  init(name: String, shape: [Int], layer: Int) {
    self.name = name
    self.shape = shape
    self.layer = layer
    module = name.split(separator: ".", omittingEmptySubsequences: false).dropLast().joined(separator: ".")
  }
}

/// What is trained.
public enum Trainable: Sendable, Equatable {
  /// Low-rank adapters beside frozen weights.
  case lora(LoRASpecification)
  /// All weights of the checkpoint.
  case full

  /// What depends on the domains of rows; nil if nothing does.
  public var domains: Domains? {
    if case .lora(let specification) = self { specification.domains } else { nil }
  }

  /// The heads of tasks.
  public var heads: [TaskHead] { if case .lora(let specification) = self { specification.heads } else { [] } }
}
