// Rows by index: embedding, gather, and their transposes.
#ifdef NL_PASS
#include "lanes.h"
#define widen_row NL_NAME(widen_row)
#define add_row NL_NAME(add_row)

NL_INLINE void widen_row(v16 (*widened)(h16), const uint16_t *x, float *y, long n) {
  long i = 0;
  for (; i + 16 <= n; i += 16) store16(y + i, widened(*(const h16 *)(x + i)));
  h16 rest = 0;
  if (i == n) return;
  memcpy(&rest, x + i, (size_t)(n - i) * sizeof *x);
  store_some16(y + i, widened(rest), n - i);
}
NL_INLINE void add_row(const float *x, float *y, long n) {
  long i = 0;
  for (; i + 16 <= n; i += 16) store16(y + i, load16(y + i) + load16(x + i));
  for (; i < n; i++) y[i] += x[i];
}

static void NL_NAME(gather)(void *context, long part) {
  const rows_arguments *p = context;
  long n = p->n;
  nl_range range = nl_piece(p->rows, nl_rows_per_part(n), part);
  for (long row = range.begin; row < range.end; row++) {
    float *y = p->y + row * n;
    const uint16_t *x = (const uint16_t *)p->x + p->index[row] * n;
    switch (p->type) {
      case NL_F32: memcpy(y, (const float *)p->x + p->index[row] * n, (size_t)n * sizeof(float)); break;
      case NL_BF16: widen_row(bfloat16_to_float16, x, y, n); break;
      case NL_F16: widen_row(half_to_float16, x, y, n); break;
    }
  }
}

// No index occurs twice, so rows may go to different threads.
static void NL_NAME(scatter_add)(void *context, long part) {
  const rows_arguments *p = context;
  nl_range range = nl_piece(p->rows, nl_rows_per_part(p->n), part);
  for (long row = range.begin; row < range.end; row++)
    add_row((const float *)p->x + row * p->n, p->y + p->index[row] * p->n, p->n);
}

// An index may occur often: one part is a panel of columns, and rows follow each other.
static void NL_NAME(embedding_backward)(void *context, long part) {
  const rows_arguments *p = context;
  nl_range columns = nl_piece(p->n, NL_SUM_COLUMNS, part);
  for (long row = 0; row < p->rows; row++)
    add_row((const float *)p->x + row * p->n + columns.begin, p->y + p->index[row] * p->n + columns.begin,
            columns.end - columns.begin);
}

#else
#include "loop.h"

typedef struct {
  long rows, n;
  const int32_t *index;
  const void *x;
  nl_dtype type;
  float *y;
} rows_arguments;

#define NL_BODY "rows.c"
#include "every_isa.h"

void nl_embedding_forward(nl_pool *pool, long rows, long n, const int32_t *ids, const void *table, nl_dtype type,
                          float *y) {
  rows_arguments p = {rows, n, ids, table, type, y};
  NL_RUN(pool, nl_parts(rows, nl_rows_per_part(n)), gather, &p);
}

void nl_embedding_backward(nl_pool *pool, long rows, long n, const int32_t *ids, const float *dy, float *dtable) {
  rows_arguments p = {rows, n, ids, dy, NL_F32, dtable};
  NL_RUN(pool, nl_parts(n, NL_SUM_COLUMNS), embedding_backward, &p);
}

void nl_gather_rows(nl_pool *pool, long rows, long n, const int32_t *index, const float *x, float *y) {
  nl_embedding_forward(pool, rows, n, index, x, NL_F32, y);
}

void nl_scatter_add_rows(nl_pool *pool, long rows, long n, const int32_t *index, const float *dy, float *dx) {
  rows_arguments p = {rows, n, index, dy, NL_F32, dx};
  NL_RUN(pool, nl_parts(rows, nl_rows_per_part(n)), scatter_add, &p);
}
#endif
