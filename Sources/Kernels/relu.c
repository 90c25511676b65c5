// ReLU: max(x, 0); the slope at 0 is 0, as in PyTorch.
#ifdef NL_PASS
#include "lanes.h"

static void NL_NAME(relu_forward)(void *context, long part) {
  const relu_arguments *p = context;
  nl_range range = nl_piece(p->n, NL_ELEMENTS_PER_PART, part);
  for (long i = range.begin; i < range.end; i += 16) {
    long count = nl_min(16, range.end - i);
    v16 x = load_some16(p->x + i, count);
    store_some16(p->y + i, x > 0.0f ? x : (v16)(0.0f), count);
  }
}

static void NL_NAME(relu_backward)(void *context, long part) {
  const relu_arguments *p = context;
  nl_range range = nl_piece(p->n, NL_ELEMENTS_PER_PART, part);
  for (long i = range.begin; i < range.end; i += 16) {
    long count = nl_min(16, range.end - i);
    v16 x = load_some16(p->x + i, count);
    store_some16(p->y + i, x > 0.0f ? load_some16(p->dy + i, count) : (v16)(0.0f), count);
  }
}

#else
#include "loop.h"

typedef struct {
  long n;
  const float *x, *dy;
  float *y;
} relu_arguments;

#define NL_BODY "relu.c"
#include "every_isa.h"

void nl_relu_forward(nl_pool *pool, long n, const float *x, float *y) {
  relu_arguments p = {.n = n, .x = x, .y = y};
  NL_RUN(pool, nl_parts(n, NL_ELEMENTS_PER_PART), relu_forward, &p);
}

void nl_relu_backward(nl_pool *pool, long n, const float *x, const float *dy, float *dx) {
  relu_arguments p = {.n = n, .x = x, .dy = dy, .y = dx};
  NL_RUN(pool, nl_parts(n, NL_ELEMENTS_PER_PART), relu_backward, &p);
}
#endif
