// SwiGLU's element-wise half: silu(gate)·up, forward and backward.
#ifdef NL_PASS
#include "lanes.h"
#define sigmoid16 NL_NAME(sigmoid16)
#define swiglu16 NL_NAME(swiglu16)
#define swiglu_gradient16 NL_NAME(swiglu_gradient16)

NL_INLINE v16 swiglu16(v16 gate, v16 up) { return gate / (1.0f + exp16(-gate)) * up; }

// σ = 1/(1 + e^−g): dup = dy·g·σ, dgate = dy·up·σ·(1 + g·(1 − σ)); y as in the forward pass.
NL_INLINE void swiglu_gradient16(v16 g, v16 up, v16 dy, v16 *dgate, v16 *dup, v16 *y) {
  v16 divisor = 1.0f + exp16(-g), sigma = 1.0f / divisor;
  *dup = dy * (g * sigma);
  *dgate = dy * up * (sigma * fma16(g, 1.0f - sigma, (v16)(1.0f)));
  *y = g / divisor * up;
}

static void NL_NAME(swiglu_forward)(void *context, long part) {
  const swiglu_arguments *p = context;
  nl_range range = nl_piece(p->n, NL_ELEMENTS_PER_PART, part);
  long i = range.begin;
  for (; i + 16 <= range.end; i += 16) store16(p->y + i, swiglu16(load16(p->gate + i), load16(p->up + i)));
  long rest = range.end - i;
  if (rest) store_some16(p->y + i, swiglu16(load_some16(p->gate + i, rest), load_some16(p->up + i, rest)), rest);
}

static void NL_NAME(swiglu_backward)(void *context, long part) {
  const swiglu_arguments *p = context;
  nl_range range = nl_piece(p->n, NL_ELEMENTS_PER_PART, part);
  long i = range.begin;
  v16 dgate, dup, y;
  for (; i + 16 <= range.end; i += 16) {
    swiglu_gradient16(load16(p->gate + i), load16(p->up + i), load16(p->dy + i), &dgate, &dup, &y);
    store16(p->dgate + i, dgate);
    store16(p->dup + i, dup);
    if (p->y) store16(p->y + i, y);
  }
  long rest = range.end - i;
  if (rest) {
    swiglu_gradient16(load_some16(p->gate + i, rest), load_some16(p->up + i, rest), load_some16(p->dy + i, rest),
                      &dgate, &dup, &y);
    store_some16(p->dgate + i, dgate, rest);
    store_some16(p->dup + i, dup, rest);
    if (p->y) store_some16(p->y + i, y, rest);
  }
}

#else
#include "loop.h"

typedef struct {
  long n;
  const float *gate, *up, *dy;
  float *y, *dgate, *dup;
} swiglu_arguments;

#define NL_BODY "swiglu.c"
#include "every_isa.h"

void nl_swiglu_forward(nl_pool *pool, long n, const float *gate, const float *up, float *y) {
  swiglu_arguments p = {.n = n, .gate = gate, .up = up, .y = y};
  NL_RUN(pool, nl_parts(n, NL_ELEMENTS_PER_PART), swiglu_forward, &p);
}

void nl_swiglu_backward(nl_pool *pool, long n, const float *gate, const float *up, const float *dy, float *dgate,
                        float *dup, float *y) {
  swiglu_arguments p = {.n = n, .gate = gate, .up = up, .dy = dy, .dgate = dgate, .dup = dup, .y = y};
  NL_RUN(pool, nl_parts(n, NL_ELEMENTS_PER_PART), swiglu_backward, &p);
}
#endif
