// Adam's update, element by element.
#ifdef NL_PASS
#include "lanes.h"
#define adam16 NL_NAME(adam16)

// Returns the new parameter. Operations are rounded one by one, as PyTorch's are.
NL_INLINE v16 adam16(const nl_adam_rule *rule, v16 gradient, v16 parameter, v16 *mean, v16 *square) {
  v16 g = gradient * rule->gradient_scale + parameter * rule->folded_decay;
  *mean = *mean + (g - *mean) * rule->one_minus_beta1;
  *square = *square * rule->beta2 + g * rule->one_minus_beta2 * g;
  v16 denominator = __builtin_elementwise_sqrt(*square) / rule->root_correction + rule->eps;
  return parameter * rule->shrink - *mean * rule->step_size / denominator;
}

static void NL_NAME(adam)(void *context, long part) {
  adam_arguments *p = context;
  nl_range range = nl_piece(p->n, NL_ELEMENTS_PER_PART, part);
  i16 differing = 0;
  long i = range.begin;
  for (; i + 16 <= range.end; i += 16) {
    v16 old = load16(p->parameter + i), mean = load16(p->mean + i), square = load16(p->square + i);
    v16 new = adam16(p->rule, load16(p->gradient + i), old, &mean, &square);
    store16(p->mean + i, mean);
    store16(p->square + i, square);
    store16(p->parameter + i, new);
    differing |= bits16(new) ^ bits16(old);
  }
  long rest = range.end - i;
  if (rest) {
    v16 old = load_some16(p->parameter + i, rest);
    v16 mean = load_some16(p->mean + i, rest), square = load_some16(p->square + i, rest);
    v16 new = adam16(p->rule, load_some16(p->gradient + i, rest), old, &mean, &square);
    store_some16(p->mean + i, mean, rest);
    store_some16(p->square + i, square, rest);
    store_some16(p->parameter + i, new, rest);
    // The places after the end hold zeros, which stay zeros.
    differing |= bits16(new) ^ bits16(old);
  }
  if (__builtin_reduce_or(differing)) atomic_store_explicit(&p->changed, true, memory_order_relaxed);
}

#else
#include <stdatomic.h>

#include "loop.h"

typedef struct {
  long n;
  const nl_adam_rule *rule;
  const float *gradient;
  float *parameter, *mean, *square;
  atomic_bool changed;
} adam_arguments;

#define NL_BODY "adam.c"
#include "every_isa.h"

bool nl_adam(nl_pool *pool, long n, const nl_adam_rule *rule, const float *gradient, float *parameter,
             float *mean, float *square) {
  adam_arguments p = {
      .n = n, .rule = rule, .gradient = gradient, .parameter = parameter, .mean = mean, .square = square};
  NL_RUN(pool, nl_parts(n, NL_ELEMENTS_PER_PART), adam, &p);
  return atomic_load_explicit(&p.changed, memory_order_relaxed);
}
#endif
