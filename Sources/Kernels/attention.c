// Causal attention, forward: one pass over the keys with a running maximum and sum.
#ifdef NL_PASS
#include "attention_block.h"
#define online_softmax NL_NAME(online_softmax)
#define forward_state NL_NAME(forward_state)
#define fade_rows NL_NAME(fade_rows)
#define store_rows NL_NAME(store_rows)

typedef struct {
  v16 most[NL_ROWS / 16], sum[NL_ROWS / 16], fade[NL_ROWS / 16];
} forward_state;

// Scores [count, NL_ROWS] of one block of keys become e^(s − most); `most` and `sum` go on, and `fade` is by what
// the sums so far are to be multiplied. Sums run down the keys of the block, ascending.
static void online_softmax(const row_limits *limits, long key, long count, float *s, forward_state *state) {
  for (int v = 0; v < NL_ROWS / 16; v++) {
    v16 old = state->most[v], most = old;
    float *column = s + 16 * v;
    for (long j = 0; j < count; j++) {
      v16 x = mask_scores(limits, v, key + j, load16(column + j * NL_ROWS));
      store16(column + j * NL_ROWS, x);
      most = max16(x, most);
    }
    v16 base = most == -INFINITY ? (v16)(0) : most, sum = 0;  // a row that has seen nothing yet
    for (long j = 0; j < count; j++) {
      v16 e = exp16(load16(column + j * NL_ROWS) - base);
      store16(column + j * NL_ROWS, e);
      sum += e;
    }
    state->most[v] = most;
    state->fade[v] = exp16(old - base);
    state->sum[v] = fma16(state->sum[v], state->fade[v], sum);
  }
}

static void fade_rows(const forward_state *state, long rows, long padded, float *sums) {
  for (long r = 0; r < rows; r++) {
    float fade = state->fade[r / 16][r % 16];
    if (fade == 1) continue;
    for (long d = 0; d < padded; d += 16) store16(sums + r * padded + d, load16(sums + r * padded + d) * fade);
  }
}

static void store_rows(const attention_arguments *p, const attention_head *h, long first, long rows,
                       const forward_state *state, long padded, const float *sums) {
  for (long r = 0; r < rows; r++) {
    float sum = state->sum[r / 16][r % 16], inverse = sum == 0 ? 0 : 1 / sum;
    float *o = p->o + nl_q_offset(h, first + r);
    for (long d = 0; d < h->dim; d++) o[d] = sums[r * padded + d] * inverse + 0.0f;  // never −0: see the tests
    long at = nl_stat_offset(h, first + r);
    if (p->row_max) p->row_max[at] = state->most[r / 16][r % 16];
    if (p->row_sum) p->row_sum[at] = sum;
  }
}

static void NL_NAME(attention_forward)(void *context, long part) {
  const attention_arguments *p = context;
  long first;
  attention_head head = find_row_block(p->shape, part, &first), *h = &head;
  long rows = nl_min(NL_ROWS, h->rows - first), padded = (h->dim + 15) / 16 * 16;
  float queries[NL_MAX_DIM * NL_ROWS], scores[NL_KEYS * NL_ROWS], sums[NL_ROWS * NL_MAX_DIM];
  float values[NL_KEYS * NL_MAX_DIM];
  pack_transposed(h, first, rows, p->q, p->shape->scale, queries);
  row_limits limits = find_limits(h, first, rows);
  forward_state state;
  for (int v = 0; v < NL_ROWS / 16; v++) {
    state.most[v] = (v16)(-INFINITY);
    state.sum[v] = (v16)(0);
  }
  memset(sums, 0, (size_t)(rows * padded) * sizeof(float));
  for (long key = limits.begin / NL_KEYS * NL_KEYS; key < limits.end; key += NL_KEYS) {
    long count = nl_min(NL_KEYS, limits.end - key), stride;
    const float *k = p->k + h->k_base + key * h->k_stride;
    product(count, NL_ROWS, h->dim, k, h->k_stride, 1, queries, NL_ROWS, scores, NL_ROWS, false);
    online_softmax(&limits, key, count, scores, &state);
    fade_rows(&state, rows, padded, sums);
    const float *v = pad_keys(h, p->v, key, count, padded, values, &stride);
    product(rows, padded, count, scores, 1, NL_ROWS, v, stride, sums, padded, true);
  }
  store_rows(p, h, first, rows, &state, padded, sums);
}

#else
#include "attention.h"

// The part-th block of rows, counted over key heads within sequences; the last and longest of a head come first.
static attention_head find_row_block(const nl_attention_shape *shape, long part, long *first) {
  for (long sequence = 0; sequence < shape->sequences; sequence++) {
    attention_head h = nl_attention_head(shape, sequence, 0);
    long blocks = nl_parts(h.rows, NL_ROWS);
    if (part < blocks * shape->kv_heads) {
      *first = (blocks - 1 - part % blocks) * NL_ROWS;
      return nl_attention_head(shape, sequence, part / blocks);
    }
    part -= blocks * shape->kv_heads;
  }
  *first = 0;
  return (attention_head){0};  // not reached: parts are counted the same way
}

#define NL_BODY "attention.c"
#include "every_isa.h"

void nl_attention_forward(nl_pool *pool, const nl_attention_shape *shape, const float *q, const float *k,
                          const float *v, float *o, float *row_max, float *row_sum) {
  attention_arguments p = {.shape = shape, .q = q, .k = k, .v = v, .o = o, .row_max = row_max, .row_sum = row_sum};
  long parts = 0;
  for (long s = 0; s < shape->sequences; s++)
    parts += nl_parts(nl_attention_head(shape, s, 0).rows, NL_ROWS) * shape->kv_heads;
  NL_RUN(pool, parts, attention_forward, &p);
}
#endif
