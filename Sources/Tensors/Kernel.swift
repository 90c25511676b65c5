import Kernels

extension Precision {
  /// `nl_matmul` in this precision.
  func multiply(
    _ pool: OpaquePointer?, _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>, _ aRow: Int,
    _ aColumn: Int,
    _ b: UnsafeRawPointer, _ type: nl_dtype, _ bRow: Int, _ bColumn: Int, _ c: UnsafeMutablePointer<Float>,
    _ cRow: Int, _ accumulate: Bool
  ) {
    switch self {
    case .f32: nl_matmul(pool, m, n, k, a, aRow, aColumn, b, type, bRow, bColumn, c, cRow, accumulate)
    case .bf16Dot:
      nl_matmul_bf16_dot(pool, m, n, k, a, aRow, aColumn, b, type, bRow, bColumn, c, cRow, accumulate)
    case .bf16Tiles:
      nl_matmul_bf16_tiles(pool, m, n, k, a, aRow, aColumn, b, type, bRow, bColumn, c, cRow, accumulate)
    case .f32Tiles:
      nl_matmul_f32_tiles(pool, m, n, k, a, aRow, aColumn, b, type, bRow, bColumn, c, cRow, accumulate)
    }
  }
}

/// The C kernels for tensors. Each call holds its tensors until the kernel has returned; shapes are the
/// caller's business and are stated there.
enum Kernel {
  /// c [M,N] = x [M,K] · wᵀ, w [N,K].
  static func product(
    _ pool: ThreadPool, _ x: Tensor, timesTransposed w: Matrix, into c: Tensor, accumulate: Bool = false,
    in precision: Precision = .f32
  ) {
    withExtendedLifetime((x, w, c)) {
      precision.multiply(
        pool.handle, x.rows, w.rows, w.columns, x.pointer, w.columns, 1, w.start, w.type, 1, w.columns,
        c.pointer, w.rows, accumulate)
    }
  }

  /// y [M,N] = x [M,K] · wᵀ for each w [N,K].
  static func products(
    _ pool: ThreadPool, _ x: Tensor, timesTransposed list: [Matrix], into results: [Tensor],
    in precision: Precision
  ) {
    guard precision == .f32Tiles, list.count > 1 else {
      for (w, y) in zip(list, results) { product(pool, x, timesTransposed: w, into: y, in: precision) }
      return
    }
    withExtendedLifetime((x, list, results)) {
      let factors = zip(list, results).map { w, y in
        nl_factor(
          b: w.start, b_type: w.type, b_row: 1, b_col: w.columns, N: w.rows, c: y.pointer, ldc: w.rows,
          accumulate: false)
      }
      nl_matmul_f32_tiles_each(
        pool.handle, x.rows, x.columns, x.pointer, x.columns, 1, factors, factors.count)
    }
  }

  /// c [M,N] = x [M,K] · w, w [K,N].
  static func product(
    _ pool: ThreadPool, _ x: Tensor, times w: Matrix, into c: Tensor, accumulate: Bool = false,
    in precision: Precision = .f32
  ) {
    withExtendedLifetime((x, w, c)) {
      precision.multiply(
        pool.handle, x.rows, w.columns, w.rows, x.pointer, w.rows, 1, w.start, w.type, w.columns, 1,
        c.pointer, w.columns, accumulate)
    }
  }

  /// c [M,N] = xᵀ · y, x [T,M], y [T,N]: sums over tokens.
  static func product(
    _ pool: ThreadPool, transposed x: Tensor, times y: Tensor, into c: Tensor, accumulate: Bool = false
  ) {
    withExtendedLifetime((x, y, c)) {
      nl_matmul(
        pool.handle, x.columns, y.columns, x.rows, x.pointer, 1, x.columns, y.pointer, NL_F32, y.columns, 1,
        c.pointer, y.columns, accumulate)
    }
  }

  static func add(_ pool: ThreadPool, _ a: Tensor, _ b: Tensor, into y: Tensor) {
    withExtendedLifetime((a, b, y)) { nl_add(pool.handle, y.count, a.pointer, b.pointer, y.pointer) }
  }

  static func scale(_ pool: ThreadPool, _ x: Tensor, by factor: Float) {
    withExtendedLifetime(x) { nl_scale(pool.handle, x.count, factor, x.pointer, x.pointer) }
  }

  static func addBias(_ pool: ThreadPool, _ bias: Tensor, to y: Tensor) {
    withExtendedLifetime((bias, y)) {
      nl_add_bias(pool.handle, y.rows, y.columns, bias.pointer, y.pointer)
    }
  }

  static func columnSum(_ pool: ThreadPool, _ x: Tensor, into sum: Tensor, accumulate: Bool) {
    withExtendedLifetime((x, sum)) {
      nl_column_sum(pool.handle, x.rows, x.columns, x.pointer, sum.pointer, accumulate)
    }
  }

  static func swiGLU(_ pool: ThreadPool, gate: Tensor, up: Tensor, into y: Tensor) {
    withExtendedLifetime((gate, up, y)) {
      nl_swiglu_forward(pool.handle, y.count, gate.pointer, up.pointer, y.pointer)
    }
  }

  static func dropout(_ pool: ThreadPool, _ x: Tensor, _ dropout: Dropout, into y: Tensor) {
    let tokens = dropout.tokens
    precondition(x.rows == tokens.rows.count, "a mask of \(tokens.rows.count) rows for \(x.shape)")
    withExtendedLifetime((x, y)) {
      tokens.rows.withUnsafeBufferPointer { rows in
        tokens.positions.withUnsafeBufferPointer { positions in
          nl_dropout(
            pool.handle, x.rows, x.columns, dropout.probability, dropout.key, dropout.site,
            rows.baseAddress, positions.baseAddress, x.pointer, y.pointer)
        }
      }
    }
  }
}
