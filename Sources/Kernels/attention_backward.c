// Causal attention, backward: scores are computed again from the kept maximum and sum of each row.
//   p = e^(s − max)/sum,  dv = pᵀ·do,  ds = p∘(do·vᵀ − rowsum(do∘o)),  dq = scale·ds·k,  dk = scale·dsᵀ·q
// dq is a sum over blocks of keys, ascending; dk and dv are sums over blocks of rows, ascending; within a block
// each is a chain from zero. So one walk over all pairs of blocks gives the same bits as two walks that divide the
// work more finely, one for dq and one for dk and dv.
#ifdef NL_PASS
#include "attention_block.h"
#define packed_rows NL_NAME(packed_rows)
#define prepare_rows NL_NAME(prepare_rows)
#define finish_scores NL_NAME(finish_scores)
#define score_gradients NL_NAME(score_gradients)
#define add_query_gradient NL_NAME(add_query_gradient)
#define add_key_gradient NL_NAME(add_key_gradient)
#define store_query_gradient NL_NAME(store_query_gradient)
#define walk_blocks NL_NAME(walk_blocks)

// A block of rows, packed; `scaled` is q·scale.
typedef struct {
  row_block rows;
  float scaled[NL_ROWS * NL_MAX_DIM], scaled_columns[NL_MAX_DIM * NL_ROWS];
  float d_o[NL_ROWS * NL_MAX_DIM], d_o_columns[NL_MAX_DIM * NL_ROWS];
  v16 most[NL_ROWS / 16], inverse[NL_ROWS / 16], delta[NL_ROWS / 16];  // row maximum, 1/sum, rowsum(do∘o)
} packed_rows;

static void prepare_rows(const attention_arguments *p, const attention_head *h, long first, long padded,
                         packed_rows *b) {
  b->rows = make_rows(h, first);
  pack_rows(h, &b->rows, p->q, p->shape->scale, padded, b->scaled_columns, b->scaled);
  pack_rows(h, &b->rows, p->d_o, 1, padded, b->d_o_columns, b->d_o);
  float most[NL_ROWS] = {0}, inverse[NL_ROWS] = {0}, delta[NL_ROWS] = {0};
  for (long r = 0; r < b->rows.count; r++) {
    long line = b->rows.line[r], d = 0;
    const float *o = p->kept_o + line * h->dim, *d_o = b->d_o + r * padded;
    v16 lanes = 0;
    for (; d + 16 <= h->dim; d += 16) lanes = fma16(load16(d_o + d), load16(o + d), lanes);
    if (d < h->dim) lanes = fma16(load16(d_o + d), load_some16(o + d, h->dim - d), lanes);
    delta[r] = fold16(lanes);
    most[r] = p->kept_max[line] == -INFINITY ? 0 : p->kept_max[line];
    inverse[r] = p->kept_sum[line] == 0 ? 0 : 1 / p->kept_sum[line];
  }
  memcpy(b->most, most, sizeof most);
  memcpy(b->inverse, inverse, sizeof inverse);
  memcpy(b->delta, delta, sizeof delta);
}

// Scores to p, do·vᵀ to ds.
NL_INLINE void finish_scores(const bool masked, const packed_rows *b, long key, long count, float *probability,
                             float *ds) {
  for (long j = 0; j < count; j++)
    NL_UNROLL for (int c = 0; c < NL_ROWS / 16; c++) {
      long at = j * NL_ROWS + 16 * c;
      v16 score = load16(probability + at);
      if (masked) score = mask_scores(&b->rows, c, key + j, score);
      v16 e = exp_negative16(score - b->most[c]) * b->inverse[c];
      store16(probability + at, e);
      store16(ds + at, e * (load16(ds + at) - b->delta[c]));
    }
}

// p and ds of one block of keys, both [count, NL_ROWS].
static void score_gradients(const attention_arguments *p, const attention_head *h, const packed_rows *b, long key,
                            long count, float *probability, float *ds) {
  const float *k = p->k + h->k_base + key * h->k_stride, *v = p->v + h->k_base + key * h->k_stride;
  block_product(count, NL_ROWS, h->dim, k, h->k_stride, 1, b->scaled_columns, NL_ROWS, probability, NL_ROWS, false);
  block_product(count, NL_ROWS, h->dim, v, h->k_stride, 1, b->d_o_columns, NL_ROWS, ds, NL_ROWS, false);
  if (needs_mask(&b->rows, key, count)) {
    finish_scores(true, b, key, count, probability, ds);
  } else {
    finish_scores(false, b, key, count, probability, ds);
  }
}

// y[rows, dim] += a[rows, padded]
static void NL_NAME(add_rows)(long rows, long dim, const float *a, long padded, float *y, long stride) {
  for (long r = 0; r < rows; r++)
    for (long d = 0; d < dim; d++) y[r * stride + d] += a[r * padded + d];
}

// dk or dv of a block of keys += aᵀ·b, a [count, NL_ROWS] as it lies, b [rows, padded].
static void add_key_gradient(const attention_head *h, long key, long count, long rows, const float *a, const float *b,
                             long padded, float *gradient) {
  float *y = gradient + h->k_base + key * h->k_stride;
  if (padded == h->dim) {
    block_product(count, padded, rows, a, NL_ROWS, 1, b, padded, y, h->k_stride, true);
  } else {
    float sums[NL_KEYS * NL_MAX_DIM];
    block_product(count, padded, rows, a, NL_ROWS, 1, b, padded, sums, padded, false);
    NL_NAME(add_rows)(count, h->dim, sums, padded, y, h->k_stride);
  }
}

static void store_query_gradient(const attention_arguments *p, long dim, const row_block *rows, long padded,
                                 const float *sums) {
  for (long r = 0; r < rows->count; r++) {
    float *dq = p->dq + rows->line[r] * dim;
    for (long d = 0; d < dim; d++) dq[d] = sums[r * padded + d] * p->shape->scale;
  }
}

// All pairs of the rows [row_begin, row_end) and the keys [key_begin, key_end), both cut at whole blocks.
static void walk_blocks(const attention_arguments *p, const attention_head *h, nl_range row_range, nl_range key_range,
                        bool for_queries, bool for_keys) {
  long padded = nl_parts(h->dim, 16) * 16;
  packed_rows b;
  float probability[NL_KEYS * NL_ROWS], ds[NL_KEYS * NL_ROWS], dq[NL_ROWS * NL_MAX_DIM], keys[NL_KEYS * NL_MAX_DIM];
  if (for_keys)
    for (long j = key_range.begin; j < key_range.end; j++) {
      memset(p->dk + h->k_base + j * h->k_stride, 0, (size_t)h->dim * sizeof(float));
      memset(p->dv + h->k_base + j * h->k_stride, 0, (size_t)h->dim * sizeof(float));
    }
  for (long first = row_range.begin; first < row_range.end; first += NL_ROWS) {
    long last = nl_min(first + NL_ROWS, h->rows) - 1;
    if (!for_queries && (nl_last_key(h, last) < key_range.begin || nl_first_key(h, first) >= key_range.end)) continue;
    prepare_rows(p, h, first, padded, &b);
    if (for_queries) memset(dq, 0, (size_t)(b.rows.count * padded) * sizeof(float));
    long begin = nl_max(key_range.begin, b.rows.begin / NL_KEYS * NL_KEYS);
    long end = nl_min(key_range.end, b.rows.end);
    for (long key = begin; key < end; key += NL_KEYS) {
      long count = nl_min(NL_KEYS, end - key);
      score_gradients(p, h, &b, key, count, probability, ds);
      if (for_keys) {
        add_key_gradient(h, key, count, b.rows.count, probability, b.d_o, padded, p->dv);
        add_key_gradient(h, key, count, b.rows.count, ds, b.scaled, padded, p->dk);
      }
      if (for_queries) {
        long stride;
        const float *k = pad_keys(h, p->k, key, count, padded, keys, &stride);
        block_product(b.rows.count, padded, count, ds, 1, NL_ROWS, k, stride, dq, padded, true);
      }
    }
    if (for_queries) store_query_gradient(p, h->dim, &b.rows, padded, dq);
  }
}

// One part: everything of one key head of one sequence.
static void NL_NAME(backward_whole)(void *context, long part) {
  const attention_arguments *p = context;
  attention_head h = nl_attention_head(p->shape, part / p->shape->kv_heads, part % p->shape->kv_heads);
  walk_blocks(p, &h, (nl_range){0, h.rows}, (nl_range){0, h.keys}, true, true);
}
// One part: dq of a stretch of rows.
static void NL_NAME(backward_queries)(void *context, long part) {
  const attention_arguments *p = context;
  backward_piece piece = find_piece(p->shape, part, NL_ROW_STRETCH, true);
  walk_blocks(p, &piece.head, piece.range, (nl_range){0, piece.head.keys}, true, false);
}
// One part: dk and dv of a stretch of keys.
static void NL_NAME(backward_keys)(void *context, long part) {
  const attention_arguments *p = context;
  backward_piece piece = find_piece(p->shape, part, NL_KEY_STRETCH, false);
  walk_blocks(p, &piece.head, (nl_range){0, piece.head.rows}, piece.range, false, true);
}

#else
#include "attention.h"

enum { NL_ROW_STRETCH = 4 * NL_ROWS, NL_KEY_STRETCH = 4 * NL_KEYS };

typedef struct {
  attention_head head;
  nl_range range;
} backward_piece;

// The part-th stretch of rows or keys, counted over key heads within sequences.
static backward_piece find_piece(const nl_attention_shape *shape, long part, long size, bool of_rows) {
  for (long sequence = 0; sequence < shape->sequences; sequence++) {
    attention_head h = nl_attention_head(shape, sequence, 0);
    long count = of_rows ? h.rows : h.keys, pieces = nl_parts(count, size);
    if (part < pieces * shape->kv_heads)
      return (backward_piece){nl_attention_head(shape, sequence, part / pieces), nl_piece(count, size, part % pieces)};
    part -= pieces * shape->kv_heads;
  }
  return (backward_piece){0};  // not reached: parts are counted the same way
}

// Whether one part for each key head keeps the threads busy enough. Two walks cost seven products instead of five.
static bool whole_heads_suffice(const nl_attention_shape *shape, int threads) {
  double total = 0, largest = 0;
  for (long s = 0; s < shape->sequences; s++) {
    attention_head h = nl_attention_head(shape, s, 0);
    double work = (double)h.rows * (double)h.keys;
    total += work * (double)shape->kv_heads;
    if (work > largest) largest = work;
  }
  return total * 7 >= largest * threads * 5;
}

#define NL_BODY "attention_backward.c"
#include "every_isa.h"

void nl_attention_backward(nl_pool *pool, const nl_attention_shape *shape, const float *q, const float *k,
                           const float *v, const float *o, const float *row_max, const float *row_sum,
                           const float *d_o, float *dq, float *dk, float *dv) {
  attention_arguments p = {.shape = shape, .q = q, .k = k, .v = v, .kept_o = o, .kept_max = row_max,
                           .kept_sum = row_sum, .d_o = d_o, .dq = dq, .dk = dk, .dv = dv};
  if (whole_heads_suffice(shape, pool ? nl_pool_threads(pool) : 1)) {
    NL_RUN(pool, shape->sequences * shape->kv_heads, backward_whole, &p);
    return;
  }
  long row_parts = 0, key_parts = 0;
  for (long s = 0; s < shape->sequences; s++) {
    attention_head h = nl_attention_head(shape, s, 0);
    row_parts += nl_parts(h.rows, NL_ROW_STRETCH) * shape->kv_heads;
    key_parts += nl_parts(h.keys, NL_KEY_STRETCH) * shape->kv_heads;
  }
  NL_RUN(pool, row_parts, backward_queries, &p);
  NL_RUN(pool, key_parts, backward_keys, &p);
}
#endif
