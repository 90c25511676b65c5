import Coordination

/// Who may join, while the run goes on.
extension FleetService {
  /// Looks after the list of keys now and then.
  func watchAllowList(_ now: Instant) {
    let mailbox = mailbox
    options.allowList?.look(now: now) { mailbox.post(.allowList($0)) }
  }

  /// Takes a changed list of keys. One that cannot be used changes nothing: those of the old one stay allowed, and
  /// nobody else is.
  func take(_ news: AllowList.News) {
    switch news {
    case .changed(let keys):
      router.allow(keys)
      logger.notice(
        "the file of --allow-keys has changed: \(keys.count) key\(keys.count == 1 ? "" : "s") may join")
    case .unusable(let reason):
      logger.error("the file of --allow-keys cannot be used, so the old list holds: \(reason)")
    }
  }
}
