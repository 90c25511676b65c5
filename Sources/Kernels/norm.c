// RMSNorm, forward and backward.
#ifdef NL_PASS
#include "lanes.h"

static void NL_NAME(rmsnorm_forward)(void *context, long part) {
  const norm_arguments *p = context;
  long n = p->n;
  nl_range range = nl_piece(p->rows, nl_rows_per_part(n), part);
  for (long row = range.begin; row < range.end; row++) {
    const float *x = p->x + row * n;
    float *y = p->y + row * n;
    v16 lanes[4] = {0, 0, 0, 0};
    long i = 0;
    for (; i + 64 <= n; i += 64)
      NL_UNROLL for (int v = 0; v < 4; v++) {
        v16 a = load16(x + i + 16 * v);
        lanes[v] = fma16(a, a, lanes[v]);
      }
    for (int v = 0; i < n; i += 16, v++) {
      v16 a = load_some16(x + i, nl_min(16, n - i));
      lanes[v] = fma16(a, a, lanes[v]);
    }
    float rstd = 1.0f / __builtin_sqrtf(fold64(lanes) / (float)n + p->eps);
    if (p->kept_rstd) p->kept_rstd[row] = rstd;
    for (i = 0; i + 16 <= n; i += 16) store16(y + i, load16(x + i) * rstd * load16(p->w + i));
    for (; i < n; i++) y[i] = x[i] * rstd * p->w[i];
  }
}

// The part of a row's gradient that the norm itself makes: rstd³·mean(dy·w·x).
NL_INLINE float NL_NAME(norm_pull)(long n, const float *x, const float *w, const float *dy, float rstd) {
  v16 lanes[4] = {0, 0, 0, 0};
  long i = 0;
  for (; i + 64 <= n; i += 64)
    NL_UNROLL for (int v = 0; v < 4; v++) {
      long at = i + 16 * v;
      lanes[v] = fma16(load16(dy + at) * load16(w + at), load16(x + at), lanes[v]);
    }
  for (int v = 0; i < n; i += 16, v++) {
    long count = nl_min(16, n - i);
    lanes[v] = fma16(load_some16(dy + i, count) * load_some16(w + i, count), load_some16(x + i, count), lanes[v]);
  }
  return rstd * rstd * rstd * (fold64(lanes) / (float)n);
}

static void NL_NAME(rmsnorm_backward)(void *context, long part) {
  const norm_arguments *p = context;
  long n = p->n;
  nl_range range = nl_piece(p->rows, nl_rows_per_part(n), part);
  for (long row = range.begin; row < range.end; row++) {
    const float *x = p->x + row * n, *dy = p->dy + row * n;
    float *dx = p->dx + row * n, rstd = p->rstd[row];
    float pull = NL_NAME(norm_pull)(n, x, p->w, dy, rstd);
    for (long i = 0; i < n; i += 16) {
      long count = nl_min(16, n - i);
      v16 g = load_some16(dy + i, count) * load_some16(p->w + i, count);
      v16 d = fma16(-load_some16(x + i, count), (v16)(pull), g * rstd);
      if (p->accumulate) d += load_some16(dx + i, count);
      store_some16(dx + i, d, count);
    }
  }
}

// dw for a panel of columns.
static void NL_NAME(rmsnorm_weight)(void *context, long part) {
  const norm_arguments *p = context;
  nl_range columns = nl_piece(p->n, NL_SUM_COLUMNS, part);
  for (long block = 0; block < p->rows; block += NL_SUM_ROWS) {
    float sum[NL_SUM_COLUMNS] = {0};
    long end = nl_min(p->rows, block + NL_SUM_ROWS), width = columns.end - columns.begin;
    for (long row = block; row < end; row++) {
      const float *x = p->x + row * p->n + columns.begin, *dy = p->dy + row * p->n + columns.begin;
      v16 rstd = (v16)(p->rstd[row]);
      long i = 0;
      for (; i + 16 <= width; i += 16)
        store16(sum + i, fma16(load16(dy + i), load16(x + i) * rstd, load16(sum + i)));
      if (i < width) {
        v16 scaled = load_some16(x + i, width - i) * rstd;
        store16(sum + i, fma16(load_some16(dy + i, width - i), scaled, load16(sum + i)));
      }
    }
    for (long i = 0; i < width; i++) p->dw[columns.begin + i] += sum[i];
  }
}

#else
#include "loop.h"

typedef struct {
  long rows, n;
  float eps;
  const float *x, *w, *rstd, *dy;
  float *y, *kept_rstd, *dx, *dw;
  bool accumulate;
} norm_arguments;

#define NL_BODY "norm.c"
#include "every_isa.h"

void nl_rmsnorm_forward(nl_pool *pool, long rows, long n, float eps, const float *x, const float *w, float *y,
                        float *rstd) {
  norm_arguments p = {.rows = rows, .n = n, .eps = eps, .x = x, .w = w, .y = y, .kept_rstd = rstd};
  NL_RUN(pool, nl_parts(rows, nl_rows_per_part(n)), rmsnorm_forward, &p);
}

void nl_rmsnorm_backward(nl_pool *pool, long rows, long n, const float *x, const float *w, const float *rstd,
                         const float *dy, float *dx, bool accumulate, float *dw) {
  norm_arguments p = {.rows = rows, .n = n, .x = x, .w = w, .rstd = rstd, .dy = dy, .dx = dx, .dw = dw,
                      .accumulate = accumulate};
  // The weights first: dx may be the same memory as dy.
  if (dw) NL_RUN(pool, nl_parts(n, NL_SUM_COLUMNS), rmsnorm_weight, &p);
  NL_RUN(pool, nl_parts(rows, nl_rows_per_part(n)), rmsnorm_backward, &p);
}
#endif
