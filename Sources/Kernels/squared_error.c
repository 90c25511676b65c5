// The mean squared error of rows, and its gradient.
#ifdef NL_PASS
#include "lanes.h"

static void NL_NAME(squared_error)(void *context, long part) {
  const squared_error_arguments *p = context;
  long n = p->n;
  float scale = 2.0f / (float)n;
  nl_range range = nl_piece(p->rows, nl_rows_per_part(n), part);
  for (long row = range.begin; row < range.end; row++) {
    const float *y = p->y + row * n, *target = p->target + row * n;
    float *gradient = p->gradient ? p->gradient + row * n : NULL;
    v16 lanes[4] = {0};
    for (long i = 0; i < n; i += 16) {
      long count = nl_min(16, n - i), lane = i / 16 % 4;
      v16 error = load_some16(y + i, count) - load_some16(target + i, count);
      lanes[lane] = fma16(error, error, lanes[lane]);
      if (gradient) store_some16(gradient + i, error * scale, count);
    }
    p->loss[row] = (double)fold64(lanes) / (double)n;
  }
}

#else
#include "loop.h"

typedef struct {
  long rows, n;
  const float *y, *target;
  double *loss;
  float *gradient;
} squared_error_arguments;

#define NL_BODY "squared_error.c"
#include "every_isa.h"

void nl_squared_error(nl_pool *pool, long rows, long n, const float *y, const float *target, double *loss,
                      float *gradient) {
  squared_error_arguments p = {rows, n, y, target, loss, gradient};
  NL_RUN(pool, nl_parts(rows, nl_rows_per_part(n)), squared_error, &p);
}
#endif
