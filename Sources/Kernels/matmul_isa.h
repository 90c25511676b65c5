// The inner loops of the matrix product for one instruction set. A file that includes this has set LANES (floats in a
// vector), TILE_ROWS and TILE_VECTORS (the register tile) and TABLE (the name of the table), and the target.
// Vector extensions only, so that one text serves all.
typedef float vector __attribute__((ext_vector_type(LANES), aligned(4)));
typedef uint32_t words __attribute__((ext_vector_type(LANES), aligned(2)));
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

// ---- multiplication -----------------------------------------------------------------------------------------------
// c[i][j] (+)= Σ over ascending k of a[i*NL_KBLOCK + k] * b[k*b_row + j], one chain for each element
INLINE void tile(const int rows, const int vectors, long depth, const float *a, const float *b, long b_row, float *c,
                 long ldc, bool add) {
  vector sum[TILE_ROWS][TILE_VECTORS];
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = (vector)(0);
  UNROLL for (int i = 0; i < rows; i++) {
    __builtin_prefetch(c + i * ldc, 1);
    __builtin_prefetch(c + i * ldc + vectors * LANES - 1, 1);
  }
  for (long k = 0; k < depth; k++, a++, b += b_row) {
    vector w[TILE_VECTORS];
    UNROLL for (int v = 0; v < vectors; v++) w[v] = *(const vector *)(b + v * LANES);
    UNROLL for (int i = 0; i < rows; i++) {
      vector x = (vector)(a[i * NL_KBLOCK]);
      UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = __builtin_elementwise_fma(x, w[v], sum[i][v]);
    }
  }
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < vectors; v++) {
    vector *to = (vector *)(c + i * ldc + v * LANES);
    *to = add ? *to + sum[i][v] : sum[i][v];
  }
}

#define CASE(n)                                                               \
  case n:                                                                     \
    if (vectors == 1)                                                         \
      tile(n, 1, depth, a, b, b_row, c, ldc, add);                            \
    else                                                                      \
      tile(n, TILE_VECTORS, depth, a, b, b_row, c, ldc, add);                 \
    break;
static void tile_of(long rows, int vectors, long depth, const float *a, const float *b, long b_row, float *c, long ldc,
                    bool add) {
  switch (rows) {
    CASE(1) CASE(2) CASE(3) CASE(4)
#if TILE_ROWS >= 6
    CASE(5) CASE(6)
#endif
#if TILE_ROWS >= 12
    CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#endif
  }
}
#undef CASE

// A tile of which only `columns` columns exist in C: computed beside it.
static void edge_tile(long rows, long columns, int vectors, const nl_matmul_block *block, const float *a,
                      const float *b, float *c) {
  float beside[TILE_ROWS * TILE_VECTORS * LANES];
  const long ld = TILE_VECTORS * LANES;
  if (block->add)
    for (long i = 0; i < rows; i++) memcpy(beside + i * ld, c + i * block->ldc, (size_t)columns * sizeof *c);
  else
    memset(beside, 0, sizeof beside);
  // The columns beyond start from zero too: what is added there is dropped, but must not be slow.
  if (block->add)
    for (long i = 0; i < rows; i++)
      memset(beside + i * ld + columns, 0, (size_t)(ld - columns) * sizeof *c);
  tile_of(rows, vectors, block->depth, a, b, block->b_row, beside, ld, block->add);
  for (long i = 0; i < rows; i++) memcpy(c + i * block->ldc, beside + i * ld, (size_t)columns * sizeof *c);
}

static void prefetch_some(nl_prefetch *next, long pieces) {
  for (; pieces > 0 && next->rows > 0; pieces--, next->rows--, next->at += next->stride)
    for (long x = 0; x < next->bytes; x += 64) __builtin_prefetch(next->at + x, 0, 2);
}

static void multiply(const nl_matmul_block *block) {
  nl_prefetch next = block->next;
  const long tiles = (block->rows + TILE_ROWS - 1) / TILE_ROWS * ((block->columns + NL_PANEL - 1) / NL_PANEL);
  const long share = (next.rows + tiles - 1) / tiles;
  for (long panel = 0; panel * NL_PANEL < block->columns; panel++)
    for (long i = 0; i < block->rows; i += TILE_ROWS) {
      const long rows = block->rows - i < TILE_ROWS ? block->rows - i : TILE_ROWS;
      const long end = block->columns - panel * NL_PANEL < NL_PANEL ? block->columns - panel * NL_PANEL : NL_PANEL;
      prefetch_some(&next, share);
      for (long j = 0; j < end;) {
        const int vectors = end - j > LANES ? TILE_VECTORS : 1;
        const long width = vectors * LANES;
        const float *a = block->a + i * NL_KBLOCK, *b = block->b + panel * block->b_panel + j;
        float *c = block->c + i * block->ldc + panel * NL_PANEL + j;
        if (end - j >= width)
          tile_of(rows, vectors, block->depth, a, b, block->b_row, c, block->ldc, block->add);
        else
          edge_tile(rows, end - j, vectors, block, a, b, c);
        j += width;
      }
    }
}

// ---- packing ------------------------------------------------------------------------------------------------------
// One round of a transposition by interleaving: rows i and i + s change their off-diagonal pieces of s words.
#define SHUFFLE __builtin_shufflevector
#if LANES == 16
#define ROUND1(x, y, lo, hi)                                                                       \
  lo = SHUFFLE(x, y, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30);                   \
  hi = SHUFFLE(x, y, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31);
#define ROUND2(x, y, lo, hi)                                                                       \
  lo = SHUFFLE(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);                    \
  hi = SHUFFLE(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
#define ROUND4(x, y, lo, hi)                                                                       \
  lo = SHUFFLE(x, y, 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);                    \
  hi = SHUFFLE(x, y, 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
#define ROUND8(x, y, lo, hi)                                                                       \
  lo = SHUFFLE(x, y, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);                      \
  hi = SHUFFLE(x, y, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
#elif LANES == 8
#define ROUND1(x, y, lo, hi)                             \
  lo = SHUFFLE(x, y, 0, 8, 2, 10, 4, 12, 6, 14);         \
  hi = SHUFFLE(x, y, 1, 9, 3, 11, 5, 13, 7, 15);
#define ROUND2(x, y, lo, hi)                             \
  lo = SHUFFLE(x, y, 0, 1, 8, 9, 4, 5, 12, 13);          \
  hi = SHUFFLE(x, y, 2, 3, 10, 11, 6, 7, 14, 15);
#define ROUND4(x, y, lo, hi)                             \
  lo = SHUFFLE(x, y, 0, 1, 2, 3, 8, 9, 10, 11);          \
  hi = SHUFFLE(x, y, 4, 5, 6, 7, 12, 13, 14, 15);
#else
#define ROUND1(x, y, lo, hi)             \
  lo = SHUFFLE(x, y, 0, 4, 2, 6);        \
  hi = SHUFFLE(x, y, 1, 5, 3, 7);
#define ROUND2(x, y, lo, hi)             \
  lo = SHUFFLE(x, y, 0, 1, 4, 5);        \
  hi = SHUFFLE(x, y, 2, 3, 6, 7);
#endif

#define TRANSPOSE_ROUND(s, ROUND)                             \
  UNROLL for (int i = 0; i < LANES; i++) if (!(i & s)) {      \
    words low, high;                                          \
    ROUND(r[i], r[i + s], low, high)                          \
    r[i] = low;                                               \
    r[i + s] = high;                                          \
  }

// r[i][j] becomes r[j][i]
INLINE void transpose(words r[LANES]) {
  TRANSPOSE_ROUND(1, ROUND1)
  TRANSPOSE_ROUND(2, ROUND2)
#if LANES >= 8
  TRANSPOSE_ROUND(4, ROUND4)
#endif
#if LANES >= 16
  TRANSPOSE_ROUND(8, ROUND8)
#endif
}

static void transpose_f32(const float *from, long from_row, long rows, long columns, float *to, long to_row) {
  long r = 0;
  for (; r + LANES <= rows; r += LANES) {
    const float *f = from + r * from_row;
    long c = 0;
    for (; c + LANES <= columns; c += LANES) {
      words w[LANES];
      UNROLL for (int i = 0; i < LANES; i++) w[i] = *(const words *)(f + i * from_row + c);
      transpose(w);
      UNROLL for (int i = 0; i < LANES; i++) *(words *)(to + (c + i) * to_row + r) = w[i];
    }
    for (; c < columns; c++)
      for (int i = 0; i < LANES; i++) to[c * to_row + r + i] = f[i * from_row + c];
  }
  for (; r < rows; r++)
    for (long c = 0; c < columns; c++) to[c * to_row + r] = from[r * from_row + c];
}

INLINE float widen(uint16_t x) { return __builtin_bit_cast(float, (uint32_t)x << 16); }

// A pair of bf16 travels as one word; both are widened when they have arrived.
static void transpose_bf16(const uint16_t *from, long from_row, long rows, long columns, float *to, long to_row) {
  long r = 0;
  for (; r + LANES <= rows; r += LANES) {
    const uint16_t *f = from + r * from_row;
    long c = 0;
    for (; c + 2 * LANES <= columns; c += 2 * LANES) {
      words w[LANES];
      UNROLL for (int i = 0; i < LANES; i++) w[i] = *(const words *)(f + i * from_row + c);
      transpose(w);
      UNROLL for (int i = 0; i < LANES; i++) {
        *(words *)(to + (c + 2 * i) * to_row + r) = w[i] << 16;
        *(words *)(to + (c + 2 * i + 1) * to_row + r) = w[i] & 0xffff0000u;
      }
    }
    for (; c < columns; c++)
      for (int i = 0; i < LANES; i++) to[c * to_row + r + i] = widen(f[i * from_row + c]);
  }
  for (; r < rows; r++)
    for (long c = 0; c < columns; c++) to[c * to_row + r] = widen(from[r * from_row + c]);
}

static void widen_bf16(const uint16_t *from, long count, float *to) {
  for (long i = 0; i < count; i++) to[i] = widen(from[i]);
}

const nl_matmul_kernels TABLE = {TILE_ROWS, multiply, transpose_f32, transpose_bf16, widen_bf16};
