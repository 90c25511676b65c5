// How attention is cut into blocks. A "row" here is a query position together with one of the query heads that share
// a key head: row r of a sequence is position r / group, head r mod group. All rows of a sequence and key head
// meet the same keys, so one block of rows reads each key once for all heads of its group.
#ifndef NL_ATTENTION_H
#define NL_ATTENTION_H
#include "loop.h"

enum {
  NL_ROWS = 48,      // rows in a block; part of the bits of dk and dv
  NL_KEYS = 64,      // keys in a block; part of the bits of everything
  NL_MAX_DIM = 256,
};

typedef struct {
  const nl_attention_shape *shape;
  const float *q, *k, *v;
  float *o, *row_max, *row_sum;  // forward: out
  const float *kept_o, *kept_max, *kept_sum, *d_o;
  float *dq, *dk, *dv;
} attention_arguments;

// One sequence as one key head sees it.
typedef struct {
  long group, dim, queries, keys, rows, window;
  long heads, line_base;      // row r is line line_base + r / group · heads + r mod group of q and the statistics
  long k_base, k_stride;      // element of the first key, and from one key to the next
} attention_head;

static inline attention_head nl_attention_head(const nl_attention_shape *s, long sequence, long kv_head) {
  long group = s->heads / s->kv_heads, q0 = s->q_offsets[sequence], k0 = s->k_offsets[sequence];
  attention_head h = {.group = group, .dim = s->dim, .window = s->window, .heads = s->heads};
  h.queries = s->q_offsets[sequence + 1] - q0;
  h.keys = s->k_offsets[sequence + 1] - k0;
  h.rows = h.queries * group;
  h.line_base = q0 * s->heads + kv_head * group;
  h.k_stride = s->kv_heads * s->dim;
  h.k_base = k0 * h.k_stride + kv_head * s->dim;
  return h;
}
// Last and first key that a row sees; last < first if it sees none.
static inline long nl_last_key(const attention_head *h, long row) { return row / h->group + h->keys - h->queries; }
static inline long nl_first_key(const attention_head *h, long row) {
  return h->window > 0 ? nl_max(0, nl_last_key(h, row) - h->window + 1) : 0;
}
#endif
