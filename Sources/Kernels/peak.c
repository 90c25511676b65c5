// How fast this CPU multiplies and adds when nothing else is in the way: the measure for the matrix product.
#ifdef NL_PASS
#include "lanes.h"

// Chains enough to hide the latency of every unit, and few enough to stay in registers together with two operands.
enum { NL_NAME(CHAINS) = NL_LANES == 8 ? 12 : 20 };

static void NL_NAME(multiply_and_add)(void *context, long part) {
  typedef float lanes __attribute__((ext_vector_type(NL_LANES)));
  const peak_arguments *p = context;
  lanes chain[NL_NAME(CHAINS)];
  for (int i = 0; i < NL_NAME(CHAINS); i++) chain[i] = (lanes)(1 + (float)(i + part));
  const lanes factor = (lanes)(0.999f), addend = (lanes)(0.001f);
  for (long round = 0; round < p->rounds; round++) {
    NL_UNROLL for (int i = 0; i < NL_NAME(CHAINS); i++) chain[i] = __builtin_elementwise_fma(chain[i], factor, addend);
  }
  float sum = 0;
  for (int i = 0; i < NL_NAME(CHAINS); i++) sum += chain[i][0];
  atomic_fetch_add(p->operations, 2 * NL_LANES * NL_NAME(CHAINS) * p->rounds);
  atomic_store(p->kept, sum);
}

#else
#include <stdatomic.h>

#include "loop.h"

typedef struct {
  long rounds;
  _Atomic long *operations;
  _Atomic float *kept;  // somewhere to put the results, so that they must be computed
} peak_arguments;

#define NL_BODY "peak.c"
#include "every_isa.h"

long nl_peak_loop(nl_pool *pool, long rounds) {
  _Atomic long operations = 0;
  _Atomic float kept = 0;
  peak_arguments arguments = {rounds, &operations, &kept};
  NL_RUN(pool, nl_pool_threads(pool), multiply_and_add, &arguments);
  return operations;
}
#endif
