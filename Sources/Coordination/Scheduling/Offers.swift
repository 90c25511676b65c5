import NestedLearning
import WireProtocol

/// Large results that workers have offered, and that have not come: those that wait for their turn, and those that are
/// on their way.
struct Offers: Sendable {
  struct Offer: Sendable {
    let result: ResultSummary
    let workerID: Int
    /// Of its shard in the open unit.
    let place: Int
    /// Whether its bytes may come.
    var isOpen = false
  }

  private var offers: [Int: Offer] = [:]
  private var ofWorker: [Int: [Int]] = [:]
  private var ofPlace: [Int: [Int]] = [:]
  /// Attempts whose offers wait, ordered by place.
  private(set) var waiting: [Int] = []
  /// Places whose results have come since they were last taken.
  private var came: [Int] = []
  /// Whether anything has changed that may let one come.
  var isDue = false

  subscript(attempt: Int) -> Offer? { offers[attempt] }
  var attempts: [Int] { offers.keys.sorted() }
  func attempts(ofWorker id: Int) -> [Int] { ofWorker[id] ?? [] }
  func attempts(at place: Int) -> [Int] { ofPlace[place] ?? [] }

  mutating func add(_ offer: Offer) {
    let attempt = offer.result.attempt
    offers[attempt] = offer
    ofWorker[offer.workerID, default: []].append(attempt)
    ofPlace[offer.place, default: []].append(attempt)
    var (low, high) = (0, waiting.count)
    while low < high {
      let middle = (low + high) / 2
      if offers[waiting[middle]].map({ $0.place <= offer.place }) ?? true {
        low = middle + 1
      } else {
        high = middle
      }
    }
    waiting.insert(attempt, at: low)
    isDue = true
  }

  mutating func open(_ attempt: Int) {
    offers[attempt]?.isOpen = true
    waiting.removeAll { $0 == attempt }
  }

  mutating func remove(_ attempt: Int) -> Offer? {
    guard let offer = offers.removeValue(forKey: attempt) else { return nil }
    if !offer.isOpen { waiting.removeAll { $0 == attempt } }
    ofWorker[offer.workerID]?.removeAll { $0 == attempt }
    if ofWorker[offer.workerID]?.isEmpty == true { ofWorker[offer.workerID] = nil }
    ofPlace[offer.place]?.removeAll { $0 == attempt }
    if ofPlace[offer.place]?.isEmpty == true { ofPlace[offer.place] = nil }
    isDue = true
    return offer
  }

  mutating func came(at place: Int) {
    if ofPlace[place] != nil { came.append(place) }
    isDue = true
  }

  mutating func takeCame() -> [Int] {
    defer { came = [] }
    return came
  }
}

/// Results of units that are added up as they come: when each may be sent. A worker whose result waits takes other work.
extension ShardScheduler {
  /// Takes an offer. Its lease stands still until it may be sent, as its worker has done what it could.
  mutating func offered(_ result: ResultSummary, of id: Int, now: Instant) {
    guard let worker = workers[id] else { return }
    let (peer, session) = (worker.peer, worker.session)
    if let outcome = verdict(on: result, of: id) {
      send(.refuse(peer: peer, session: session, attempt: result.attempt, outcome: outcome))
      return take(result, from: id, now: now)
    }
    guard let place = attempts[result.attempt]?.place, let progress = open?.shards[place] else { return }
    attempts[result.attempt]?.isUploading = true
    attempts[result.attempt]?.grew = now
    if let known = offers[result.attempt] {
      // It came damaged, and is offered again.
      if known.isOpen { send(.credit(peer: peer, session: session, attempt: result.attempt)) }
      return
    }
    guard progress.unit.isSummedAsItComes, open?.creditOrder != nil else {
      return send(.credit(peer: peer, session: session, attempt: result.attempt))
    }
    offers.add(Offers.Offer(result: result, workerID: id, place: place))
    attempts[result.attempt]?.waitsSince = now
    if workers[id]?.state == .busy(attempt: result.attempt) { setState(of: id, .ready, now: now) }
  }

  /// Lets results come, as far as there is room for them in the order of the sums.
  mutating func creditOffers(now: Instant) {
    guard offers.isDue else { return }
    offers.isDue = false
    for place in offers.takeCame() {
      for number in offers.attempts(at: place) { judgeAgain(number, now: now) }
    }
    for number in offers.waiting {
      guard let order = open?.creditOrder, let offer = offers[number], !offer.isOpen else { continue }
      if order.state(offer.place) == .here {
        judgeAgain(number, now: now)
      } else if order.mayOpen(offer.place) || hasLateRival(offer) {
        credit(number, offer, now: now)
      } else if !order.hasRoom {
        return
      }
    }
  }

  /// Whether what is on its way for the same shard has taken too long.
  private func hasLateRival(_ offer: Offers.Offer) -> Bool {
    let rivals = offers.attempts(at: offer.place).filter { offers[$0]?.isOpen == true }
    return !rivals.isEmpty && rivals.allSatisfy { attempts[$0]?.isExpired ?? true }
  }

  /// What a shard comes to is here. Of another's result for it the digests are enough, unless it says something else.
  private mutating func judgeAgain(_ number: Int, now: Instant) {
    guard let offer = offers[number], workers[offer.workerID] != nil else { return }
    if let outcome = verdict(on: offer.result, of: offer.workerID) {
      refuse(number, outcome, now: now)
    } else if !offer.isOpen {
      credit(number, offer, now: now)
    }
  }

  private mutating func credit(_ number: Int, _ offer: Offers.Offer, now: Instant) {
    guard let worker = workers[offer.workerID] else { return }
    offers.open(number)
    if open?.creditOrder?.state(offer.place) == .absent { open?.creditOrder?.set(offer.place, .open) }
    attempts[number]?.endWait(now: now)
    send(.credit(peer: worker.peer, session: worker.session, attempt: number))
  }

  /// A result whose bytes are not wanted: what it says of itself counts all the same.
  private mutating func refuse(_ number: Int, _ outcome: ResultOutcome, now: Instant) {
    guard let offer = offers[number], let worker = workers[offer.workerID] else { return }
    send(.refuse(peer: worker.peer, session: worker.session, attempt: number, outcome: outcome))
    take(offer.result, from: offer.workerID, now: now)
  }

  /// An offer is over: its result is here, or will not come.
  mutating func closeOffer(_ number: Int, now: Instant) {
    guard let offer = offers.remove(number) else { return }
    attempts[number]?.endWait(now: now)
    if offer.isOpen, open?.creditOrder?.state(offer.place) == .open,
      !offers.attempts(at: offer.place).contains(where: { offers[$0]?.isOpen == true })
    {
      open?.creditOrder?.set(offer.place, .absent)
    }
  }

  /// Ends what a worker that is gone had offered.
  mutating func endOffers(of id: Int, _ outcome: AttemptOutcome, reason: String, now: Instant) {
    for number in offers.attempts(ofWorker: id) { end(number, outcome, reason: reason, now: now) }
  }

  /// The unit is over, and so is what was offered for it.
  mutating func refuseOffers(now: Instant) {
    for number in offers.attempts {
      attempts[number]?.place = nil
      refuse(number, .stale, now: now)
    }
  }

  // MARK: - Bytes that are here

  /// The bytes of a shard are here, under an attempt. Of several that differ the first lie in the sums.
  mutating func keepPayload(_ attempt: Int, at place: Int, _ progress: ShardProgress) {
    var makesRoom = false
    if progress.unit.isSummedAsItComes {
      if progress.summed == nil {
        open?.shards[place].summed = attempt
        makesRoom = open?.creditOrder?.came(place, attempt: attempt) ?? false
      }
      offers.came(at: place)
    }
    persist(
      .keepPayload(attempt: attempt, of: progress.shard, in: progress.unit, makesRoom: makesRoom))
  }

  /// The bytes of an attempt are added up: there may be room for others.
  mutating func added(_ attempt: Int) {
    open?.creditOrder?.added(attempt)
    offers.isDue = true
  }

  /// The bytes of a shard are not to be used. What they have been added to is gone as well, and comes once more.
  ///
  /// - Parameter others: attempts whose bytes for the same shard are here; the first of them take the place of these.
  mutating func discardPayload(_ attempt: Int, at place: Int, others: [Int]) {
    persist(.discardPayload(attempt: attempt))
    mayWant = true
    guard open?.shards[place].summed == attempt, let order = open?.creditOrder else { return }
    let mates = order.sharingSum(with: place)
    var next = [place: others]
    for mate in mates {
      let summed = open?.shards[mate].summed
      open?.shards[mate].summed = nil
      open?.creditOrder?.set(mate, .absent)
      guard mate != place, let summed, let opinions = open?.shards[mate].opinions else { continue }
      persist(.discardPayload(attempt: summed))
      for number in opinions.indices where opinions[number].payload == summed {
        open?.shards[mate].opinions[number].payload = nil
      }
      next[mate] = opinions.compactMap(\.payload).filter { $0 != summed }
    }
    for (mate, others) in next {
      guard let other = others.min() else { continue }
      open?.shards[mate].summed = other
      open?.creditOrder?.set(mate, .here)
    }
    offers.isDue = true
  }
}

extension WorkUnit {
  /// Whether its gradients are added up while others are still awaited, so that what came is held no longer than until
  /// its sibling comes.
  public var isSummedAsItComes: Bool { purpose == .train && !window && measure?.isByMicroBatch != true }
}
