/// Singular values of products of thin matrices, in Double.
enum SingularValues {
  /// Those of Σ_i l_i r_iᵀ: with QR of both sides, L = Q_l R_l and R = Q_r R_r, they are those of the small R_l R_rᵀ.
  ///
  /// - Parameters:
  ///   - left: l_i, the columns of the left matrix [m, k], each of m numbers.
  ///   - right: r_i, the rows of the right matrix [k, n], each of n numbers.
  /// - Returns: descending; as many as the least of m, k and n.
  static func ofProduct(left: [[Double]], right: [[Double]]) -> [Double] {
    let (l, r) = (triangle(left), triangle(right))
    let columns = r.indices.map { j in
      l.indices.map { i in (0..<left.count).reduce(0.0) { $0 + l[i][$1] * r[j][$1] } }
    }
    return of(columns: columns)
  }

  /// R of the QR of a matrix by Householder's reflections: its rows, at most as many as the matrix has columns.
  private static func triangle(_ columns: [[Double]]) -> [[Double]] {
    var columns = columns
    let height = columns.first?.count ?? 0
    let steps = min(height, columns.count)
    for j in 0..<steps {
      let norm = columns[j][j...].reduce(0.0) { $0 + $1 * $1 }.squareRoot()
      guard norm > 0 else { continue }
      // v = x + sign(x_0)‖x‖e_0, whose reflection turns x into −sign(x_0)‖x‖e_0.
      var v = Array(columns[j][j...])
      v[0] += v[0] < 0 ? -norm : norm
      let length = v.reduce(0.0) { $0 + $1 * $1 }
      for k in j..<columns.count {
        let scale = 2 * v.indices.reduce(0.0) { $0 + v[$1] * columns[k][j + $1] } / length
        for i in v.indices { columns[k][j + i] -= scale * v[i] }
      }
    }
    return (0..<steps).map { row in columns.map { $0[row] } }
  }

  /// By one-sided Jacobi rotations (Hestenes 1958): columns are turned, two at a time, until all are orthogonal; their
  /// norms are the singular values.
  private static func of(columns: [[Double]]) -> [Double] {
    var columns = columns
    // Of a wide matrix the transposed has the same values, and no more columns than there are of them.
    if let height = columns.first?.count, height < columns.count {
      let wide = columns
      columns = (0..<height).map { row in wide.map { $0[row] } }
    }
    let count = columns.count
    for _ in 0..<60 {
      var isOrthogonal = true
      for p in 0..<max(0, count - 1) {
        for q in (p + 1)..<count where rotate(&columns, p, q) { isOrthogonal = false }
      }
      if isOrthogonal { break }
    }
    return columns.map { $0.reduce(0.0) { $0 + $1 * $1 }.squareRoot() }.sorted(by: >)
  }

  /// - Returns: whether the two columns were not orthogonal yet.
  private static func rotate(_ columns: inout [[Double]], _ p: Int, _ q: Int) -> Bool {
    var (pp, qq, pq) = (0.0, 0.0, 0.0)
    for i in columns[p].indices {
      pp += columns[p][i] * columns[p][i]
      qq += columns[q][i] * columns[q][i]
      pq += columns[p][i] * columns[q][i]
    }
    guard pq.magnitude > 1e-15 * (pp * qq).squareRoot() else { return false }
    let zeta = (qq - pp) / (2 * pq)
    let t = (zeta < 0 ? -1 : 1) / (zeta.magnitude + (1 + zeta * zeta).squareRoot())
    let cosine = 1 / (1 + t * t).squareRoot()
    let sine = cosine * t
    for i in columns[p].indices {
      let (a, b) = (columns[p][i], columns[q][i])
      columns[p][i] = cosine * a - sine * b
      columns[q][i] = sine * a + cosine * b
    }
    return true
  }
}
