import Foundation
import Kernels
import Tensors

/// The number formats that weights are read in.
public enum StoredType: String, Sendable, CaseIterable {
  case f32 = "F32"
  case bf16 = "BF16"
  case f16 = "F16"

  /// Bytes per number.
  public var size: Int { self == .f32 ? 4 : 2 }

  /// The same for a matrix of the computation.
  var ofMatrix: Matrix.StoredType {
    switch self {
    case .f32: .f32
    case .bf16: .bf16
    case .f16: .f16
    }
  }

  /// The name in `config.json`, as in `"dtype": "bfloat16"`.
  public var configName: String {
    switch self {
    case .f32: "float32"
    case .bf16: "bfloat16"
    case .f16: "float16"
    }
  }
}

/// A tensor as it lies in a file, row-major and little-endian. `bytes` is aligned to its number format and valid
/// for as long as this value lives.
public struct StoredTensor: @unchecked Sendable {
  public let name: String
  public let shape: [Int]
  public let dtype: StoredType
  public let bytes: UnsafeRawBufferPointer
  /// The mapping, or the aligned copy, that `bytes` points into; nobody writes to either.
  private let owner: AnyObject

  /// `bytes` belongs to `owner`; it is copied if it is not aligned to `dtype`.
  init(name: String, shape: [Int], dtype: StoredType, bytes: UnsafeRawBufferPointer, owner: AnyObject) {
    self.name = name
    self.shape = shape
    self.dtype = dtype
    if let base = bytes.baseAddress, Int(bitPattern: base) % dtype.size != 0 {
      let copy = AlignedCopy(bytes)
      self.bytes = UnsafeRawBufferPointer(copy.bytes)
      self.owner = copy
    } else {
      self.bytes = bytes
      self.owner = owner
    }
  }

  /// How many numbers.
  public var count: Int { bytes.count / dtype.size }

  /// The numbers, widened to 32 bits.
  public func floats() -> [Float] { floats(in: 0..<count) }

  /// Those of a part; `range` lies within 0..<count.
  public func floats(in range: Range<Int>) -> [Float] {
    let part = UnsafeRawBufferPointer(
      rebasing: bytes[range.lowerBound * dtype.size..<range.upperBound * dtype.size])
    let count = range.count
    guard let base = part.baseAddress, count > 0 else { return [] }
    return withExtendedLifetime(owner) {
      [Float](unsafeUninitializedCapacity: count) { out, initialized in
        if let target = out.baseAddress {
          switch dtype {
          case .f32: UnsafeMutableRawPointer(target).copyMemory(from: base, byteCount: count * 4)
          case .bf16: nl_bf16_to_f32(nil, count, base.assumingMemoryBound(to: UInt16.self), target)
          case .f16: nl_f16_to_f32(nil, count, base.assumingMemoryBound(to: UInt16.self), target)
          }
        }
        initialized = count
      }
    }
  }

  func hasSameBytes(as other: StoredTensor) -> Bool {
    withExtendedLifetime((owner, other.owner)) {
      guard bytes.count == other.bytes.count, let a = bytes.baseAddress, let b = other.bytes.baseAddress
      else {
        return bytes.count == other.bytes.count
      }
      return memcmp(a, b, bytes.count) == 0
    }
  }

  public func hostTensor() -> HostTensor { HostTensor(shape: shape, values: floats()) }
}

/// Memory of its own for a tensor that a file holds at an odd place.
private final class AlignedCopy {
  let bytes: UnsafeMutableRawBufferPointer

  init(_ source: UnsafeRawBufferPointer) {
    bytes = .allocate(byteCount: source.count, alignment: 64)
    bytes.copyMemory(from: source)
  }

  deinit { bytes.deallocate() }
}
