// What the forward and the backward pass of attention share: products of small blocks, packing, masks.
// Included in each pass of every_isa.h.
#include "lanes.h"

#ifndef NL_ATTENTION_BLOCK_H
#define NL_ATTENTION_BLOCK_H
#define vector NL_NAME(vector)
#define tile NL_NAME(tile)
#define strip NL_NAME(strip)
#define block_product NL_NAME(block_product)
#define gather16 NL_NAME(gather16)
#define pack_rows NL_NAME(pack_rows)
#define transpose16 NL_NAME(transpose16)
#define pad_keys NL_NAME(pad_keys)
#define row_block NL_NAME(row_block)
#define make_rows NL_NAME(make_rows)
#define needs_mask NL_NAME(needs_mask)
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
static void block_product(long rows, long columns, long depth, const float *a, long lda, long sk, const float *b,
                          long ldb, float *c, long ldc, bool add) {
  long j = 0;
#if NL_LANES == 16
  for (; columns - j >= 64; j += 64) strip(6, 4, rows, depth, a, lda, sk, b + j, ldb, c + j, ldc, add);
  for (; columns - j >= 48; j += 48) strip(8, 3, rows, depth, a, lda, sk, b + j, ldb, c + j, ldc, add);
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

// ---- a block of rows ----
typedef struct {
  long count;                           // at most NL_ROWS
  long line[NL_ROWS];                   // where each row is in q, o and the statistics
  i16 last[NL_ROWS / 16], first[NL_ROWS / 16];  // the keys that each row sees; rows beyond the last see nothing
  long begin, end;                      // the keys that any row sees
  long all_begin, all_end;              // the keys that every row sees
} row_block;

static row_block make_rows(const attention_head *h, long row) {
  row_block b = {.count = nl_min(NL_ROWS, h->rows - row)};
  long position = row / h->group, head = row % h->group;
  for (int v = 0; v < NL_ROWS / 16; v++) {
    int32_t last[16], first[16];
    for (int i = 0; i < 16; i++) {
      long r = 16 * v + i, key = position + h->keys - h->queries;
      b.line[r] = h->line_base + position * h->heads + head;
      last[i] = r < b.count ? (int32_t)key : -1;
      first[i] = h->window > 0 ? (int32_t)(key - h->window + 1) : 0;
      if (++head == h->group) {
        head = 0;
        position++;
      }
    }
    memcpy(&b.last[v], last, sizeof last);
    memcpy(&b.first[v], first, sizeof first);
  }
  b.begin = nl_first_key(h, row);
  b.end = nl_last_key(h, row + b.count - 1) + 1;
  b.all_begin = nl_first_key(h, row + b.count - 1);
  b.all_end = nl_last_key(h, row) + 1;
  return b;
}
NL_INLINE bool needs_mask(const row_block *rows, long key, long count) {
  return key < rows->all_begin || key + count > rows->all_end;
}
NL_INLINE v16 mask_scores(const row_block *rows, int v, long key, v16 score) {
  i16 at = (i16)((int32_t)key), seen = (at <= rows->last[v]) & (at >= rows->first[v]);
  return seen ? score : (v16)(-INFINITY);
}

// ---- packing ----
// Sixteen vectors as rows of a matrix become its columns: for each distance d = 8, 4, 2, 1 the d×d blocks beside the
// diagonal change places.
#define NL_LOW(d, j) ((j) & (d) ? 16 + (j) - (d) : (j))
#define NL_HIGH(d, j) ((j) & (d) ? 16 + (j) : (j) + (d))
#define NL_SIXTEEN(f, d)                                                                                       \
  f(d, 0), f(d, 1), f(d, 2), f(d, 3), f(d, 4), f(d, 5), f(d, 6), f(d, 7), f(d, 8), f(d, 9), f(d, 10), f(d, 11), \
      f(d, 12), f(d, 13), f(d, 14), f(d, 15)
#define NL_EXCHANGE(d)                                                        \
  NL_UNROLL for (int i = 0; i < 16; i++) if (!(i & d)) {                      \
    v16 a = x[i], b = x[i + d];                                               \
    x[i] = __builtin_shufflevector(a, b, NL_SIXTEEN(NL_LOW, d));              \
    x[i + d] = __builtin_shufflevector(a, b, NL_SIXTEEN(NL_HIGH, d));         \
  }
NL_INLINE void transpose16(v16 x[16]) {
  NL_EXCHANGE(8)
  NL_EXCHANGE(4)
  NL_EXCHANGE(2)
  NL_EXCHANGE(1)
}

// Sixteen rows of q (or a gradient of it) from channel d, times `scale`; zeros beyond `rows` and beyond dim.
NL_INLINE void gather16(const attention_head *h, const long line[16], long rows, long d, const float *q, float scale,
                        v16 x[16]) {
  if (rows >= 16 && h->dim - d >= 16) {
    NL_UNROLL for (int i = 0; i < 16; i++) x[i] = load16(q + line[i] * h->dim + d) * scale;
  } else {
    for (int i = 0; i < 16; i++)
      x[i] = i < rows ? load_some16(q + line[i] * h->dim + d, nl_min(16, h->dim - d)) * scale : (v16)(0);
  }
}

// A block of rows, transposed to `columns` [dim, NL_ROWS], with zeros beyond the last row; and unless NULL as they
// are to `lines` [NL_ROWS, padded], with zeros beyond dim.
static void pack_rows(const attention_head *h, const row_block *b, const float *q, float scale, long padded,
                      float *columns, float *lines) {
  for (long group = 0; group < NL_ROWS; group += 16)
    for (long d = 0; d < h->dim; d += 16) {
      v16 x[16];
      gather16(h, b->line + group, b->count - group, d, q, scale, x);
      if (lines) NL_UNROLL for (int i = 0; i < 16; i++) store16(lines + (group + i) * padded + d, x[i]);
      transpose16(x);
      float *to = columns + d * NL_ROWS + group;
      NL_UNROLL for (int i = 0; i < 16; i++) store16(to + i * NL_ROWS, x[i]);
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
