// A pool of threads for regions that are short (tens of µs) and follow each other closely.
//
// The parts of a region are handed out by one 64-bit word: the number of the region above, the parts still to be
// handed out below. A thread that wakes late and still holds an old word cannot claim a part of a new region with it,
// so nobody waits for workers that never came: the region is over when its parts are, whoever did them. How many are
// left must stand in the word itself: read beside it, it could be the next region's, and the claim an old one's.
#include "Kernels.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "float_state.h"

// How long a thread looks for work (or for the end of a region) before it goes to sleep: first without a pause, as
// between two kernels of a step there are a few µs; then letting go first whoever else wants the CPU. On a virtual
// machine a sleeper may need longer to wake than a region takes: one that fell asleep between two regions would come
// too late for the next, and again for the one after it.
enum { SPIN_NANOSECONDS = 20000, YIELD_NANOSECONDS = 1000000, PART_BITS = 32 };
static const long MOST_PARTS = 1l << 30;  // their numbers must fit the lower half of the word; no kernel comes near

typedef void (*part_body)(void *context, long part);

struct nl_pool {
  int threads;
  int started;  // workers that run
  pthread_t *workers;
  pthread_mutex_t mutex;
  pthread_cond_t work, finished;
  _Atomic int sleepers;       // workers that wait for `work`
  _Atomic bool caller_sleeps;  // the caller waits for `finished`
  _Atomic bool stopping;
  // The present region. Written before `ticket` names the region, read after; stale reads are found out by the claim.
  _Atomic(part_body) body;
  _Atomic(void *) context;
  // Apart from the rest, as all threads write them.
  _Alignas(128) _Atomic uint64_t ticket;
  _Alignas(128) _Atomic long unfinished;
};

// ---- waiting ----------------------------------------------------------------------------------------------------
static void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

static int64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

typedef struct {
  int rounds;
  int64_t since;
} spin;

// False once the time for looking is over.
static bool spin_on(spin *s) {
  relax();
  if (++s->rounds % 16) return true;
  const int64_t now = nanoseconds();
  if (!s->since) s->since = now;
  if (now - s->since > SPIN_NANOSECONDS) sched_yield();
  return now - s->since < YIELD_NANOSECONDS;
}

// ---- regions ----------------------------------------------------------------------------------------------------
static uint32_t region_of(uint64_t ticket) { return (uint32_t)(ticket >> PART_BITS); }
static long left_of(uint64_t ticket) { return (long)(uint32_t)ticket; }

static void finish_part(nl_pool *pool) {
  if (atomic_fetch_sub(&pool->unfinished, 1) != 1 || !atomic_load(&pool->caller_sleeps)) return;
  pthread_mutex_lock(&pool->mutex);
  pthread_cond_signal(&pool->finished);
  pthread_mutex_unlock(&pool->mutex);
}

// Works on region `ticket` names until its parts are handed out.
static void work_on(nl_pool *pool, uint64_t ticket) {
  uint32_t region = region_of(ticket);
  part_body body = atomic_load_explicit(&pool->body, memory_order_relaxed);
  void *context = atomic_load_explicit(&pool->context, memory_order_relaxed);
  while (region_of(ticket) == region && left_of(ticket) > 0) {
    if (!atomic_compare_exchange_weak(&pool->ticket, &ticket, ticket - 1)) continue;
    // The claim proves that the region is not over, hence that body and context were this region's.
    body(context, left_of(ticket) - 1);
    finish_part(pool);
    ticket = atomic_load(&pool->ticket);
  }
}

// The ticket of a region other than `region`, or of the same one when the pool stops.
static uint64_t next_region(nl_pool *pool, uint32_t region) {
  spin s = {0, 0};
  do {
    uint64_t ticket = atomic_load(&pool->ticket);
    if (region_of(ticket) != region || atomic_load_explicit(&pool->stopping, memory_order_relaxed)) return ticket;
  } while (spin_on(&s));
  pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add(&pool->sleepers, 1);  // before the last look: the caller counts sleepers after it has published
  while (region_of(atomic_load(&pool->ticket)) == region && !atomic_load(&pool->stopping))
    pthread_cond_wait(&pool->work, &pool->mutex);
  atomic_fetch_sub(&pool->sleepers, 1);
  pthread_mutex_unlock(&pool->mutex);
  return atomic_load(&pool->ticket);
}

static void *worker_main(void *argument) {
  nl_pool *pool = argument;
  nl_float_begin();
  uint64_t ticket = 0;  // the pool begins with region 0, which has no parts
  while (true) {
    ticket = next_region(pool, region_of(ticket));
    if (atomic_load(&pool->stopping)) return NULL;
    work_on(pool, ticket);
  }
}

static void wait_until_finished(nl_pool *pool) {
  spin s = {0, 0};
  while (atomic_load(&pool->unfinished) > 0) {
    if (spin_on(&s)) continue;
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_sleeps, true);
    while (atomic_load(&pool->unfinished) > 0) pthread_cond_wait(&pool->finished, &pool->mutex);
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->mutex);
  }
}

static void wake(nl_pool *pool, long wanted) {
  if (atomic_load(&pool->sleepers) == 0) return;
  pthread_mutex_lock(&pool->mutex);
  if (wanted == 1)
    pthread_cond_signal(&pool->work);
  else
    pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->mutex);
}

static void run_region(nl_pool *pool, long parts, part_body body, void *context) {
  atomic_store_explicit(&pool->body, body, memory_order_relaxed);
  atomic_store_explicit(&pool->context, context, memory_order_relaxed);
  atomic_store(&pool->unfinished, parts);
  uint64_t ticket = (uint64_t)(region_of(atomic_load(&pool->ticket)) + 1u) << PART_BITS | (uint64_t)parts;
  atomic_store(&pool->ticket, ticket);
  wake(pool, parts - 1);
  work_on(pool, ticket);
  wait_until_finished(pool);
}

// Every part runs in the floating-point state of float_state.h, whatever the caller has set.
void nl_pool_run(nl_pool *pool, long parts, part_body body, void *context) {
  const nl_float_state state = nl_float_begin();
  if (pool == NULL || pool->threads == 1 || parts <= 1 || parts > MOST_PARTS)
    for (long part = 0; part < parts; part++) body(context, part);
  else
    run_region(pool, parts, body, context);
  nl_float_end(state);
}

// ---- life -------------------------------------------------------------------------------------------------------
int nl_pool_threads(const nl_pool *pool) { return pool ? pool->threads : 1; }

void nl_pool_destroy(nl_pool *pool) {
  if (!pool) return;
  pthread_mutex_lock(&pool->mutex);
  atomic_store(&pool->stopping, true);
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->mutex);
  for (int i = 0; i < pool->started; i++) pthread_join(pool->workers[i], NULL);
  pthread_cond_destroy(&pool->finished);
  pthread_cond_destroy(&pool->work);
  pthread_mutex_destroy(&pool->mutex);
  free(pool->workers);
  free(pool);
}

nl_pool *nl_pool_create(int threads) {
  if (threads < 1) return NULL;
  nl_pool *pool = NULL;
  if (posix_memalign((void **)&pool, 128, sizeof *pool) != 0) return NULL;
  *pool = (nl_pool){.threads = threads};
  pool->workers = calloc((size_t)threads, sizeof *pool->workers);
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->work, NULL);
  pthread_cond_init(&pool->finished, NULL);
  if (!pool->workers) {
    nl_pool_destroy(pool);
    return NULL;
  }
  for (; pool->started < threads - 1; pool->started++)
    if (pthread_create(&pool->workers[pool->started], NULL, worker_main, pool) != 0) {
      nl_pool_destroy(pool);
      return NULL;
    }
  return pool;
}
