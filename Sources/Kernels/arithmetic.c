// Sums and products of whole arrays: add, scale, bias, column sums.
#ifdef NL_PASS
#include "lanes.h"

static void NL_NAME(add)(void *context, long part) {
  const pair_arguments *p = context;
  nl_range range = nl_piece(p->n, NL_ELEMENTS_PER_PART, part);
  long i = range.begin;
  for (; i + 16 <= range.end; i += 16) store16(p->y + i, load16(p->a + i) + load16(p->b + i));
  for (; i < range.end; i++) p->y[i] = p->a[i] + p->b[i];
}

static void NL_NAME(scale)(void *context, long part) {
  const pair_arguments *p = context;
  nl_range range = nl_piece(p->n, NL_ELEMENTS_PER_PART, part);
  long i = range.begin;
  for (; i + 16 <= range.end; i += 16) store16(p->y + i, load16(p->a + i) * p->factor);
  for (; i < range.end; i++) p->y[i] = p->a[i] * p->factor;
}

static void NL_NAME(add_bias)(void *context, long part) {
  const row_arguments *p = context;
  nl_range range = nl_piece(p->rows, nl_rows_per_part(p->n), part);
  for (long row = range.begin; row < range.end; row++) {
    float *y = p->y + row * p->n;
    long i = 0;
    for (; i + 16 <= p->n; i += 16) store16(y + i, load16(y + i) + load16(p->x + i));
    for (; i < p->n; i++) y[i] += p->x[i];
  }
}

// One part is a panel of columns.
static void NL_NAME(column_sum)(void *context, long part) {
  const row_arguments *p = context;
  nl_range columns = nl_piece(p->n, NL_SUM_COLUMNS, part);
  for (long block = 0; block < p->rows; block += NL_SUM_ROWS) {
    float sum[NL_SUM_COLUMNS] = {0};
    long end = nl_min(p->rows, block + NL_SUM_ROWS), width = columns.end - columns.begin;
    for (long row = block; row < end; row++) {
      const float *x = p->x + row * p->n + columns.begin;
      long i = 0;
      for (; i + 16 <= width; i += 16) store16(sum + i, load16(sum + i) + load16(x + i));
      for (; i < width; i++) sum[i] += x[i];
    }
    float *y = p->y + columns.begin;
    bool first = block == 0 && !p->accumulate;
    for (long i = 0; i < width; i++) y[i] = first ? sum[i] : y[i] + sum[i];
  }
}

#else
#include "loop.h"

typedef struct {
  long n;
  const float *a, *b;
  float factor;
  float *y;
} pair_arguments;

typedef struct {
  long rows, n;
  const float *x;
  float *y;
  bool accumulate;
} row_arguments;

#define NL_BODY "arithmetic.c"
#include "every_isa.h"

void nl_add(nl_pool *pool, long n, const float *a, const float *b, float *y) {
  pair_arguments p = {.n = n, .a = a, .b = b, .y = y};
  NL_RUN(pool, nl_parts(n, NL_ELEMENTS_PER_PART), add, &p);
}

void nl_scale(nl_pool *pool, long n, float s, const float *x, float *y) {
  pair_arguments p = {.n = n, .a = x, .factor = s, .y = y};
  NL_RUN(pool, nl_parts(n, NL_ELEMENTS_PER_PART), scale, &p);
}

void nl_add_bias(nl_pool *pool, long rows, long n, const float *bias, float *y) {
  row_arguments p = {.rows = rows, .n = n, .x = bias, .y = y};
  NL_RUN(pool, nl_parts(rows, nl_rows_per_part(n)), add_bias, &p);
}

void nl_column_sum(nl_pool *pool, long rows, long n, const float *x, float *sum, bool accumulate) {
  if (rows <= 0 && !accumulate) memset(sum, 0, (size_t)n * sizeof(float));
  row_arguments p = {.rows = rows, .n = n, .x = x, .y = sum, .accumulate = accumulate};
  NL_RUN(pool, nl_parts(n, NL_SUM_COLUMNS), column_sum, &p);
}
#endif
