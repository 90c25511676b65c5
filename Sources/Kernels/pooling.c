// The mean over the tokens of a row, and its transpose; a scale and a shift for the tokens of some rows.
#ifdef NL_PASS
#include "lanes.h"

// A panel of columns of all rows: tokens are added one after the other.
static void NL_NAME(mean_rows)(void *context, long part) {
  const pooling_arguments *p = context;
  nl_range columns = nl_piece(p->n, NL_SUM_COLUMNS, part);
  long width = columns.end - columns.begin;
  for (long row = 0; row < p->rows; row++) {
    float sum[NL_SUM_COLUMNS] = {0};
    for (long token = p->index[row]; token < p->index[row + 1]; token++) {
      const float *x = p->x + token * p->n + columns.begin;
      for (long i = 0; i < width; i += 16) {
        long count = nl_min(16, width - i);
        store_some16(sum + i, load_some16(sum + i, count) + load_some16(x + i, count), count);
      }
    }
    float share = 1.0f / (float)(p->index[row + 1] - p->index[row]);
    for (long i = 0; i < width; i++) p->y[row * p->n + columns.begin + i] = sum[i] * share;
  }
}

static void NL_NAME(mean_rows_backward)(void *context, long row) {
  const pooling_arguments *p = context;
  const float *dy = p->x + row * p->n;
  v16 share = (v16)(p->factor / (float)(p->index[row + 1] - p->index[row]));
  for (long token = p->index[row]; token < p->index[row + 1]; token++)
    for (long i = 0; i < p->n; i += 16) {
      long count = nl_min(16, p->n - i);
      store_some16(p->y + token * p->n + i, load_some16(dy + i, count) * share, count);
    }
}

// y = x·scale + shift for the rows of the index; dx = dy·scale without a shift.
static void NL_NAME(scale_rows)(void *context, long part) {
  const pooling_arguments *p = context;
  nl_range range = nl_piece(p->rows, nl_rows_per_part(p->n), part);
  for (long place = range.begin; place < range.end; place++) {
    const float *x = p->x + p->index[place] * p->n;
    float *y = p->y + p->index[place] * p->n;
    for (long i = 0; i < p->n; i += 16) {
      long count = nl_min(16, p->n - i);
      v16 scale = load_some16(p->scale + i, count), value = load_some16(x + i, count);
      v16 shift = p->shift ? load_some16(p->shift + i, count) : (v16)(0.0f);
      store_some16(y + i, p->shift ? fma16(value, scale, shift) : value * scale, count);
    }
  }
}

// dscale += Σ dy·x and dshift += Σ dy over the rows of the index, for a panel of columns.
static void NL_NAME(scale_rows_weights)(void *context, long part) {
  const pooling_arguments *p = context;
  nl_range columns = nl_piece(p->n, NL_SUM_COLUMNS, part);
  long width = columns.end - columns.begin;
  for (long block = 0; block < p->rows; block += NL_SUM_ROWS) {
    float scale[NL_SUM_COLUMNS] = {0}, shift[NL_SUM_COLUMNS] = {0};
    for (long place = block; place < nl_min(p->rows, block + NL_SUM_ROWS); place++) {
      const float *x = p->x + p->index[place] * p->n + columns.begin;
      const float *dy = p->dy + p->index[place] * p->n + columns.begin;
      for (long i = 0; i < width; i += 16) {
        long count = nl_min(16, width - i);
        v16 slope = load_some16(dy + i, count);
        store_some16(scale + i, fma16(slope, load_some16(x + i, count), load_some16(scale + i, count)), count);
        store_some16(shift + i, load_some16(shift + i, count) + slope, count);
      }
    }
    for (long i = 0; i < width; i++) {
      p->dscale[columns.begin + i] += scale[i];
      p->dshift[columns.begin + i] += shift[i];
    }
  }
}

#else
#include "loop.h"

typedef struct {
  long rows, n;
  const int32_t *index;
  const float *x, *dy, *scale, *shift;
  float factor;
  float *y, *dscale, *dshift;
} pooling_arguments;

#define NL_BODY "pooling.c"
#include "every_isa.h"

void nl_mean_rows(nl_pool *pool, long rows, long n, const int32_t *offsets, const float *x, float *y) {
  pooling_arguments p = {.rows = rows, .n = n, .index = offsets, .x = x, .y = y};
  NL_RUN(pool, nl_parts(n, NL_SUM_COLUMNS), mean_rows, &p);
}

void nl_mean_rows_backward(nl_pool *pool, long rows, long n, const int32_t *offsets, float factor, const float *dy,
                           float *dx) {
  pooling_arguments p = {.rows = rows, .n = n, .index = offsets, .x = dy, .factor = factor, .y = dx};
  NL_RUN(pool, rows, mean_rows_backward, &p);
}

void nl_scale_rows(nl_pool *pool, long rows, long n, const int32_t *index, const float *x, const float *scale,
                   const float *shift, float *y) {
  pooling_arguments p = {.rows = rows, .n = n, .index = index, .x = x, .scale = scale, .shift = shift, .y = y};
  NL_RUN(pool, nl_parts(rows, nl_rows_per_part(n)), scale_rows, &p);
}

void nl_scale_rows_weights(nl_pool *pool, long rows, long n, const int32_t *index, const float *x, const float *dy,
                           float *dscale, float *dshift) {
  pooling_arguments p = {.rows = rows, .n = n, .index = index, .x = x, .dy = dy, .dscale = dscale, .dshift = dshift};
  NL_RUN(pool, nl_parts(n, NL_SUM_COLUMNS), scale_rows_weights, &p);
}
#endif
