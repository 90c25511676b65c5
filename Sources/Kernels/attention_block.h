// What the forward and the backward pass of attention share: products of small blocks, packing, masks.
// Included in each pass of every_isa.h.
#include "lanes.h"

#ifndef NL_ATTENTION_BLOCK_H
#define NL_ATTENTION_BLOCK_H
#define vector NL_NAME(vector)
#define tile NL_NAME(tile)
#define strip NL_NAME(strip)
#define product NL_NAME(product)
#define pack_rows NL_NAME(pack_rows)
#define pack_transposed NL_NAME(pack_transposed)
#define pad_keys NL_NAME(pad_keys)
#define row_limits NL_NAME(row_limits)
#define find_limits NL_NAME(find_limits)
#define mask_scores NL_NAME(mask_scores)
#endif

// ---- products ----
#ifdef NL_EMULATED_FMA
typedef v16 vector;
#define NL_VECTOR 16
#define NL_VECTOR_FMA fma16
#else
typedef float vector __attribute__((ext_vector_type(NL_LANES), aligned(4)));
#define NL_VECTOR NL_LANES
#define NL_VECTOR_FMA __builtin_elementwise_fma
#endif

// C[rows, vecs·NL_VECTOR] = or += Σ_k a[i·lda + k·sk]·b[k·ldb + j]: a chain of fma from zero over ascending k.
NL_INLINE void tile(const int rows, const int vecs, long depth, const float *a, long lda, long sk, const float *b,
                    long ldb, float *c, long ldc, bool add) {
  vector sum[24];
  NL_UNROLL for (int i = 0; i < rows * vecs; i++) sum[i] = (vector)(0);
  for (long k = 0; k < depth; k++, b += ldb, a += sk) {
    vector w[4];
    NL_UNROLL for (int v = 0; v < vecs; v++) w[v] = *(const vector *)(b + v * NL_VECTOR);
    NL_UNROLL for (int i = 0; i < rows; i++) {
      vector x = (vector)(a[i * lda]);
      NL_UNROLL for (int v = 0; v < vecs; v++) sum[i * vecs + v] = NL_VECTOR_FMA(x, w[v], sum[i * vecs + v]);
    }
  }
  NL_UNROLL for (int i = 0; i < rows; i++) NL_UNROLL for (int v = 0; v < vecs; v++) {
    vector *y = (vector *)(c + i * ldc + v * NL_VECTOR);
    *y = add ? *y + sum[i * vecs + v] : sum[i * vecs + v];
  }
}

// A strip of columns, down all rows: tiles of `high` rows, then of 4, then single rows.
NL_INLINE void strip(const int high, const int vecs, long rows, long depth, const float *a, long lda, long sk,
                     const float *b, long ldb, float *c, long ldc, bool add) {
  long i = 0;
  for (; i + high <= rows; i += high) tile(high, vecs, depth, a + i * lda, lda, sk, b, ldb, c + i * ldc, ldc, add);
  for (; i + 4 <= rows; i += 4) tile(4, vecs, depth, a + i * lda, lda, sk, b, ldb, c + i * ldc, ldc, add);
  for (; i < rows; i++) tile(1, vecs, depth, a + i * lda, lda, sk, b, ldb, c + i * ldc, ldc, add);
}

// `columns` is a multiple of 16.
static void product(long rows, long columns, long depth, const float *a, long lda, long sk, const float *b, long ldb,
                    float *c, long ldc, bool add) {
  long j = 0;
#if NL_LANES == 16
  for (; columns - j == 48; j += 48) strip(8, 3, rows, depth, a, lda, sk, b + j, ldb, c + j, ldc, add);
  for (; columns - j >= 32; j += 32) strip(12, 2, rows, depth, a, lda, sk, b + j, ldb, c + j, ldc, add);
  for (; j < columns; j += 16) strip(12, 1, rows, depth, a, lda, sk, b + j, ldb, c + j, ldc, add);
#elif defined(NL_EMULATED_FMA)
  for (; j < columns; j += 16) strip(4, 1, rows, depth, a, lda, sk, b + j, ldb, c + j, ldc, add);
#elif NL_LANES == 8
  for (; j < columns; j += 16) strip(6, 2, rows, depth, a, lda, sk, b + j, ldb, c + j, ldc, add);
#else
  for (; j < columns; j += 16) strip(6, 4, rows, depth, a, lda, sk, b + j, ldb, c + j, ldc, add);
#endif
}
#undef NL_VECTOR
#undef NL_VECTOR_FMA

// ---- packing ----
// y[r, padded]: up to NL_ROWS rows of q (or o, or a gradient) one after the other, times `scale`, zeros beyond dim.
static inline void pack_rows(const attention_head *h, long first, long rows, const float *q, float scale, long padded,
                      float *y) {
  for (long r = 0; r < rows; r++) {
    const float *x = q + nl_q_offset(h, first + r);
    for (long d = 0; d < h->dim; d++) y[r * padded + d] = x[d] * scale;
    for (long d = h->dim; d < padded; d++) y[r * padded + d] = 0;
  }
}
// y[d, NL_ROWS], the same transposed, zeros beyond the last row.
static void pack_transposed(const attention_head *h, long first, long rows, const float *q, float scale, float *y) {
  if (rows < NL_ROWS) memset(y, 0, (size_t)h->dim * NL_ROWS * sizeof(float));
  for (long r = 0; r < rows; r++) {
    const float *x = q + nl_q_offset(h, first + r);
    for (long d = 0; d < h->dim; d++) y[d * NL_ROWS + r] = x[d] * scale;
  }
}
// Keys or values with the row stride `padded`, a multiple of 16: in place if they can be, else copied to `y`.
static const float *pad_keys(const attention_head *h, const float *k, long first, long count, long padded, float *y,
                             long *stride) {
  const float *x = k + h->k_base + first * h->k_stride;
  *stride = h->k_stride;
  if (padded == h->dim) return x;
  for (long j = 0; j < count; j++) {
    memcpy(y + j * padded, x + j * h->k_stride, (size_t)h->dim * sizeof(float));
    memset(y + j * padded + h->dim, 0, (size_t)(padded - h->dim) * sizeof(float));
  }
  *stride = padded;
  return y;
}

// ---- masks ----
// Last and first key of each row of a block, sixteen rows to a vector; rows beyond the last see nothing.
typedef struct {
  i16 last[NL_ROWS / 16], first[NL_ROWS / 16];
  long begin, end;  // the keys that any row of the block sees
} row_limits;

static row_limits find_limits(const attention_head *h, long first, long rows) {
  row_limits limits;
  for (long r = 0; r < NL_ROWS; r++) {
    limits.last[r / 16][r % 16] = r < rows ? (int32_t)nl_last_key(h, first + r) : -1;
    limits.first[r / 16][r % 16] = r < rows ? (int32_t)nl_first_key(h, first + r) : 0;
  }
  limits.begin = nl_first_key(h, first);
  limits.end = nl_min(nl_last_key(h, first + rows - 1) + 1, h->keys);
  return limits;
}
NL_INLINE v16 mask_scores(const row_limits *limits, int v, long key, v16 score) {
  i16 at = (i16)((int32_t)key);
  i16 seen = (at <= limits->last[v]) & (at >= limits->first[v]);
  return seen ? score : (v16)(-INFINITY);
}
