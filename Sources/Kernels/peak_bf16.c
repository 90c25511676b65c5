// How fast this CPU computes dot products of bf16, and products of tiles of them, when nothing else is in the way.
#include <stdatomic.h>

#include "Kernels.h"
#include "matmul.h"
#include "tile_shapes.h"

#if defined(__x86_64__)
#include <immintrin.h>

typedef struct {
  long rounds;
  _Atomic long *operations;
  _Atomic float *kept;  // somewhere to put the results, so that they must be computed
} arguments;

__attribute__((target("avx512f,avx512bf16"))) static void dot_products(void *context, long part) {
  enum { CHAINS = 12, LANES = 16 };
  const arguments *p = context;
  const __m512bh factor = (__m512bh)_mm512_set1_epi16(0x3c00 + (short)part);
  __m512 chain[CHAINS];
  for (int i = 0; i < CHAINS; i++) chain[i] = _mm512_set1_ps((float)i);
  for (long round = 0; round < p->rounds; round++) {
    _Pragma("clang loop unroll(full)") for (int i = 0; i < CHAINS; i++)
      chain[i] = _mm512_dpbf16_ps(chain[i], factor, factor);
  }
  float sum = 0;
  for (int i = 0; i < CHAINS; i++) sum += chain[i][0];
  atomic_fetch_add(p->operations, 4 * LANES * CHAINS * p->rounds);
  atomic_store(p->kept, sum);
}

// Four products for every four tiles that are loaded, all of them from the second cache.
__attribute__((target("amx-tile,amx-bf16"))) static void cached_tile_products(void *context, long part) {
  enum { SIDE = 16, DEPTH = 32, SUMS = 4, TILE = 1024, BYTES = 1 << 20 };
  const arguments *p = context;
  const char *operands = nl_thread_scratch();
  (void)part;
  if (!operands) return;
  const tile_shapes shapes = whole_tiles();
  _tile_loadconfig(&shapes);
  for (long round = 0; round < p->rounds; round++) {
    const char *at = operands + round * SUMS * TILE % BYTES;
    _tile_loadd(4, at, 64);
    _tile_loadd(5, at + TILE, 64);
    _tile_loadd(6, at + 2 * TILE, 64);
    _tile_loadd(7, at + 3 * TILE, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
  atomic_fetch_add(p->operations, 2L * SIDE * SIDE * DEPTH * SUMS * p->rounds);
}

__attribute__((target("amx-tile,amx-bf16"))) static void tile_products(void *context, long part) {
  enum { SIDE = 16, DEPTH = 32, SUMS = 6 };
  const arguments *p = context;
  (void)part;
  const tile_shapes shapes = whole_tiles();
  _tile_loadconfig(&shapes);
  _tile_zero(6);
  _tile_zero(7);
  for (long round = 0; round < p->rounds; round++) {
    _tile_dpbf16ps(0, 6, 7);
    _tile_dpbf16ps(1, 6, 7);
    _tile_dpbf16ps(2, 6, 7);
    _tile_dpbf16ps(3, 6, 7);
    _tile_dpbf16ps(4, 6, 7);
    _tile_dpbf16ps(5, 6, 7);
  }
  _tile_release();
  atomic_fetch_add(p->operations, 2L * SIDE * SIDE * DEPTH * SUMS * p->rounds);
}

static long run(nl_pool *pool, long rounds, void (*body)(void *context, long part)) {
  _Atomic long operations = 0;
  _Atomic float kept = 0;
  arguments all = {rounds, &operations, &kept};
  nl_pool_run(pool, nl_pool_threads(pool), body, &all);
  return operations;
}
#endif

long nl_peak_dot_loop(nl_pool *pool, long rounds) {
#if defined(__x86_64__)
  if (nl_isa_current() == NL_ISA_AVX512_BF16) return run(pool, rounds, dot_products);
#endif
  return nl_peak_loop(pool, rounds);
}

long nl_peak_tile_loop(nl_pool *pool, long rounds) {
#if defined(__x86_64__)
  if (nl_isa_current() == NL_ISA_AMX) return run(pool, rounds, tile_products);
#endif
  return nl_peak_dot_loop(pool, rounds);
}

long nl_peak_tile_cache_loop(nl_pool *pool, long rounds) {
#if defined(__x86_64__)
  if (nl_isa_current() == NL_ISA_AMX) return run(pool, rounds, cached_tile_products);
#endif
  return nl_peak_dot_loop(pool, rounds);
}
