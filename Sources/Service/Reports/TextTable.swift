/// Rows of cells in columns, for a terminal: numbers to the right, everything else to the left.
struct TextTable {
  struct Column {
    let title: String
    var isNumber = false
  }

  let columns: [Column]
  private(set) var rows: [[String]] = []

  init(_ columns: [Column]) { self.columns = columns }

  /// Takes a row with a cell for each column.
  mutating func add(_ cells: [String]) { rows.append(cells) }

  var text: String {
    let lines = [columns.map(\.title)] + rows
    let widths = columns.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
    return lines.map { cells in
      let padded = zip(cells, zip(columns, widths)).map { cell, shape in
        let space = String(repeating: " ", count: shape.1 - cell.count)
        return shape.0.isNumber ? space + cell : cell + space
      }
      let line = padded.joined(separator: "  ")
      return String(line.reversed().drop { $0 == " " }.reversed())
    }.joined(separator: "\n")
  }
}
