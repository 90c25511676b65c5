import Foundation

/// Ties a local worker's life to its coordinator's.
public enum ParentWatch {
  /// Ends this process as soon as its standard input does. The coordinator holds the other end of that pipe, and
  /// the kernel closes it even when the coordinator is killed.
  public static func exitWhenStandardInputEnds() {
    let thread = Thread {
      var byte: UInt8 = 0
      while true {
        let count = read(STDIN_FILENO, &byte, 1)
        if count == 0 || (count < 0 && errno != EINTR) { _exit(0) }
      }
    }
    thread.name = "parent-watch"
    thread.start()
  }
}
