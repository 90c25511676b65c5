// Causal attention, forward: one pass over the keys with a running maximum and sum.
#ifdef NL_PASS
#include "attention_block.h"
#define online_softmax NL_NAME(online_softmax)
#define forward_state NL_NAME(forward_state)
#define softmax_block NL_NAME(softmax_block)
#define fade_rows NL_NAME(fade_rows)
#define store_rows NL_NAME(store_rows)

typedef struct {
  v16 most[NL_ROWS / 16], sum[NL_ROWS / 16], fade[NL_ROWS / 16];
} forward_state;

// For `vecs` vectors of rows: scores of one block of keys, columns of s [count, NL_ROWS], become e^(s − most); `most`
// and `sum` go on, and `fade` is by what the sums so far are to be multiplied. Sums run down the keys, ascending.
NL_INLINE void online_softmax(const int vecs, const bool masked, const row_block *rows, int v0, long key,
                              long count, float *s, forward_state *state) {
  v16 most[3], base[3], sum[3];
  NL_UNROLL for (int v = 0; v < vecs; v++) most[v] = state->most[v0 + v];
  for (long j = 0; j < count; j++)
    NL_UNROLL for (int v = 0; v < vecs; v++) {
      float *at = s + j * NL_ROWS + 16 * (v0 + v);
      v16 x = load16(at);
      if (masked) {
        x = mask_scores(rows, v0 + v, key + j, x);
        store16(at, x);
      }
      most[v] = max16(x, most[v]);
    }
  NL_UNROLL for (int v = 0; v < vecs; v++) {
    base[v] = most[v] == -INFINITY ? (v16)(0) : most[v];  // a row that has seen nothing yet
    sum[v] = (v16)(0);
  }
  for (long j = 0; j < count; j++)
    NL_UNROLL for (int v = 0; v < vecs; v++) {
      float *at = s + j * NL_ROWS + 16 * (v0 + v);
      v16 e = exp_negative16(load16(at) - base[v]);
      store16(at, e);
      sum[v] += e;
    }
  NL_UNROLL for (int v = 0; v < vecs; v++) {
    v16 fade = exp_negative16(state->most[v0 + v] - base[v]);
    state->most[v0 + v] = most[v];
    state->fade[v0 + v] = fade;
    state->sum[v0 + v] = fma16(state->sum[v0 + v], fade, sum[v]);
  }
}

static void softmax_block(const row_block *rows, long key, long count, float *s, forward_state *state) {
  bool masked = needs_mask(rows, key, count);
  if (rows->count > NL_ROWS - 16) {
    if (masked) {
      online_softmax(NL_ROWS / 16, true, rows, 0, key, count, s, state);
    } else {
      online_softmax(NL_ROWS / 16, false, rows, 0, key, count, s, state);
    }
  } else {
    for (int v = 0; 16 * v < rows->count; v++) online_softmax(1, true, rows, v, key, count, s, state);
  }
}

static void fade_rows(const forward_state *state, long rows, long padded, float *sums) {
  for (long r = 0; r < rows; r++) {
    float fade = state->fade[r / 16][r % 16];
    if (fade == 1) continue;
    for (long d = 0; d < padded; d += 16) store16(sums + r * padded + d, load16(sums + r * padded + d) * fade);
  }
}

static void store_rows(const attention_arguments *p, long dim, const row_block *rows, const forward_state *state,
                       long padded, const float *sums) {
  for (long r = 0; r < rows->count; r++) {
    float sum = state->sum[r / 16][r % 16], inverse = sum == 0 ? 0 : 1 / sum;
    float *o = p->o + rows->line[r] * dim;
    const float *x = sums + r * padded;
    // Plus zero, so that a result is never −0: blocks of keys that a row does not see may or may not be added to it.
    long d = 0;
    for (; d + 16 <= dim; d += 16) store16(o + d, load16(x + d) * inverse + 0.0f);
    for (; d < dim; d++) o[d] = x[d] * inverse + 0.0f;
    if (p->row_max) p->row_max[rows->line[r]] = state->most[r / 16][r % 16];
    if (p->row_sum) p->row_sum[rows->line[r]] = sum;
  }
}

static void NL_NAME(attention_forward)(void *context, long part) {
  const attention_arguments *p = context;
  long first;
  attention_head head = find_row_block(p->shape, part, &first), *h = &head;
  row_block rows = make_rows(h, first);
  long columns = nl_parts(rows.count, 16) * 16, padded = nl_parts(h->dim, 16) * 16;
  float queries[NL_MAX_DIM * NL_ROWS], scores[NL_KEYS * NL_ROWS], sums[NL_ROWS * NL_MAX_DIM];
  float values[NL_KEYS * NL_MAX_DIM];
  pack_rows(h, &rows, p->q, p->shape->scale, padded, queries, NULL);
  forward_state state;
  for (int v = 0; v < NL_ROWS / 16; v++) {
    state.most[v] = (v16)(-INFINITY);
    state.sum[v] = (v16)(0);
  }
  long begin = rows.begin / NL_KEYS * NL_KEYS;
  if (begin >= rows.end) memset(sums, 0, (size_t)(rows.count * padded) * sizeof(float));
  for (long key = begin; key < rows.end; key += NL_KEYS) {
    bool first_block = key == begin;
    long count = nl_min(NL_KEYS, rows.end - key), stride;
    const float *k = p->k + h->k_base + key * h->k_stride;
    block_product(count, columns, h->dim, k, h->k_stride, 1, queries, NL_ROWS, scores, NL_ROWS, false);
    softmax_block(&rows, key, count, scores, &state);
    if (!first_block) fade_rows(&state, rows.count, padded, sums);
    const float *v = pad_keys(h, p->v, key, count, padded, values, &stride);
    block_product(rows.count, padded, count, scores, 1, NL_ROWS, v, stride, sums, padded, !first_block);
  }
  store_rows(p, h->dim, &rows, &state, padded, sums);
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
