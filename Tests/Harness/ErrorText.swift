/// The description of the error that `body` throws; empty if it throws none.
package func errorText(_ body: () throws -> Void) -> String {
  do { try body() } catch { return "\(error)" }
  return ""
}
