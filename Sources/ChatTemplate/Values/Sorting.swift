/// A stable sort whose order may fail.
enum Sorting {
  static func sorted<T>(_ items: [T], by less: (T, T) throws(Failure) -> Bool) throws(Failure) -> [T] {
    var items = items
    var width = 1
    while width < items.count {
      var merged: [T] = []
      merged.reserveCapacity(items.count)
      for start in stride(from: 0, to: items.count, by: 2 * width) {
        let middle = min(start + width, items.count)
        let end = min(start + 2 * width, items.count)
        var (left, right) = (start, middle)
        while left < middle || right < end {
          if right == end {
            merged.append(items[left])
            left += 1
          } else if left < middle, try !less(items[right], items[left]) {
            merged.append(items[left])
            left += 1
          } else {
            merged.append(items[right])
            right += 1
          }
        }
      }
      items = merged
      width *= 2
    }
    return items
  }
}
