import GRDBSQLite

/// Another program that has begun to write into a database, and does not end.
final class LedgerHolder {
  private var connection: OpaquePointer?

  /// Nil if there is no database, or it cannot be held.
  init?(path: String) {
    guard sqlite3_open_v2(path, &connection, SQLITE_OPEN_READWRITE, nil) == SQLITE_OK,
      sqlite3_exec(connection, "BEGIN IMMEDIATE", nil, nil, nil) == SQLITE_OK
    else {
      sqlite3_close_v2(connection)
      return nil
    }
  }

  deinit {
    sqlite3_exec(connection, "ROLLBACK", nil, nil, nil)
    sqlite3_close_v2(connection)
  }
}
