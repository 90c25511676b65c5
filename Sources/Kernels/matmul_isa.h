// The inner loops of the matrix product for one instruction set. A file that includes this has set LANES (floats in a
// vector), TILE_ROWS and TILE_VECTORS (the register tile) and TABLE (the name of the table), and the target.
// Vector extensions only, so that one text serves all.
typedef float vector __attribute__((ext_vector_type(LANES), aligned(4)));
typedef uint32_t words __attribute__((ext_vector_type(LANES), aligned(2)));
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

// ---- prefetching --------------------------------------------------------------------------------------------------
enum { LINE = 64, STRETCH = 32 };  // bytes of a cache line; k between two rounds of prefetching

// What is left of a block's nl_prefetch, and how many lines are asked for in a round.
typedef struct {
  nl_prefetch left;
  long offset, lines;
} ahead;

static ahead spread(const nl_prefetch *next, long rounds) {
  const long lines = next->rows * ((next->bytes + LINE - 1) / LINE);
  return (ahead){*next, 0, (lines + rounds - 1) / rounds};
}

INLINE void prefetch_round(ahead *next) {
  for (long line = 0; line < next->lines && next->left.rows > 0; line++) {
    __builtin_prefetch(next->left.at + next->offset, 0, 2);
    next->offset += LINE;
    if (next->offset < next->left.bytes) continue;
    next->offset = 0;
    next->left.at += next->left.stride;
    next->left.rows--;
  }
}

// ---- multiplication -----------------------------------------------------------------------------------------------
// c[i][j] (+)= Σ over ascending k of a[i*NL_KBLOCK + k] * b[k*b_row + j], one chain for each element
INLINE void tile(const int rows, const int vectors, long depth, const float *a, const float *b, long b_row, float *c,
                 long ldc, bool add, ahead *next) {
  vector sum[TILE_ROWS][TILE_VECTORS];
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = (vector)(0);
  UNROLL for (int i = 0; i < rows; i++) {
    __builtin_prefetch(c + i * ldc, 1);
    __builtin_prefetch(c + i * ldc + vectors * LANES - 1, 1);
  }
  for (long from = 0; from < depth; from += STRETCH) {
    const float *end = a + (depth - from < STRETCH ? depth - from : STRETCH);
    prefetch_round(next);
    for (; a < end; a++, b += b_row) {
      vector w[TILE_VECTORS];
      UNROLL for (int v = 0; v < vectors; v++) w[v] = *(const vector *)(b + v * LANES);
      UNROLL for (int i = 0; i < rows; i++) {
        vector x = (vector)(a[i * NL_KBLOCK]);
        UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = __builtin_elementwise_fma(x, w[v], sum[i][v]);
      }
    }
  }
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < vectors; v++) {
    vector *to = (vector *)(c + i * ldc + v * LANES);
    *to = add ? *to + sum[i][v] : sum[i][v];
  }
}

#define CASE(n)                                                       \
  case n:                                                             \
    if (vectors == 1)                                                 \
      tile(n, 1, depth, a, b, b_row, c, ldc, add, next);              \
    else                                                              \
      tile(n, TILE_VECTORS, depth, a, b, b_row, c, ldc, add, next);   \
    break;
static void tile_of(long rows, int vectors, long depth, const float *a, const float *b, long b_row, float *c, long ldc,
                    bool add, ahead *next) {
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

// By fours, as LoRA's ranks go: calls of memcpy for so few bytes would cost more than the product.
static void copy_columns(long rows, long columns, const float *from, long from_row, float *to, long to_row) {
  typedef float four __attribute__((ext_vector_type(4), aligned(4)));
  for (long i = 0; i < rows; i++, from += from_row, to += to_row) {
    long j = 0;
    for (; j + 4 <= columns; j += 4) *(four *)(to + j) = *(const four *)(from + j);
    for (; j < columns; j++) to[j] = from[j];
  }
}

// A tile of which only `columns` columns exist in C: computed beside it.
static void edge_tile(long rows, long columns, int vectors, const nl_matmul_block *block, const float *a,
                      const float *b, float *c, ahead *next) {
  enum { WIDTH = TILE_VECTORS * LANES };
  float beside[TILE_ROWS * WIDTH] = {0};
  if (block->add) copy_columns(rows, columns, c, block->ldc, beside, WIDTH);
  tile_of(rows, vectors, block->depth, a, b, block->b_row, beside, WIDTH, block->add, next);
  copy_columns(rows, columns, beside, WIDTH, c, block->ldc);
}

// The tiles of one panel for the rows from i on.
static void panel_tiles(const nl_matmul_block *block, long panel, long i, ahead *next) {
  const long rows = block->rows - i < TILE_ROWS ? block->rows - i : TILE_ROWS;
  const long rest = block->columns - panel * NL_PANEL, end = rest < NL_PANEL ? rest : NL_PANEL;
  const float *a = block->a + i * NL_KBLOCK, *b = block->b + panel * block->b_panel;
  float *c = block->c + i * block->ldc + panel * NL_PANEL;
  for (long j = 0; j < end;) {
    const int vectors = end - j > LANES ? TILE_VECTORS : 1;
    const long width = vectors * LANES;
    if (end - j >= width)
      tile_of(rows, vectors, block->depth, a, b + j, block->b_row, c + j, block->ldc, block->add, next);
    else
      edge_tile(rows, end - j, vectors, block, a, b + j, c + j, next);
    j += width;
  }
}

static void multiply(const nl_matmul_block *block) {
  const long panels = (block->columns + NL_PANEL - 1) / NL_PANEL, tiles = (block->rows + TILE_ROWS - 1) / TILE_ROWS;
  ahead next = spread(&block->next, panels * tiles * ((block->depth + STRETCH - 1) / STRETCH));
  for (long panel = 0; panel < panels; panel++)
    for (long i = 0; i < block->rows; i += TILE_ROWS) panel_tiles(block, panel, i, &next);
}

// ---- packing ------------------------------------------------------------------------------------------------------
INLINE float widen(uint16_t x) { return __builtin_bit_cast(float, (uint32_t)x << 16); }

// Interleaving within each four words of two vectors, by words and by pairs: one instruction each.
#define SHUFFLE __builtin_shufflevector
#if LANES == 16
#define LOW1(x, y) SHUFFLE(x, y, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define HIGH1(x, y) SHUFFLE(x, y, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define LOW2(x, y) SHUFFLE(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define HIGH2(x, y) SHUFFLE(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#elif LANES == 8
#define LOW1(x, y) SHUFFLE(x, y, 0, 8, 1, 9, 4, 12, 5, 13)
#define HIGH1(x, y) SHUFFLE(x, y, 2, 10, 3, 11, 6, 14, 7, 15)
#define LOW2(x, y) SHUFFLE(x, y, 0, 1, 8, 9, 4, 5, 12, 13)
#define HIGH2(x, y) SHUFFLE(x, y, 2, 3, 10, 11, 6, 7, 14, 15)
#else
#define LOW1(x, y) SHUFFLE(x, y, 0, 4, 1, 5)
#define HIGH1(x, y) SHUFFLE(x, y, 2, 6, 3, 7)
#define LOW2(x, y) SHUFFLE(x, y, 0, 1, 4, 5)
#define HIGH2(x, y) SHUFFLE(x, y, 2, 3, 6, 7)
#endif

// Four words of every fourth row, from `row` on: side by side.
INLINE words four_of_rows(const char *from, long stride, int row) {
  typedef uint32_t four __attribute__((ext_vector_type(4), aligned(2)));
#define FOUR(i) (*(const four *)(from + (row + (i)) * stride))
#if LANES == 16
  return SHUFFLE(SHUFFLE(FOUR(0), FOUR(4), 0, 1, 2, 3, 4, 5, 6, 7), SHUFFLE(FOUR(8), FOUR(12), 0, 1, 2, 3, 4, 5, 6, 7),
                 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#elif LANES == 8
  return SHUFFLE(FOUR(0), FOUR(4), 0, 1, 2, 3, 4, 5, 6, 7);
#else
  return FOUR(0);
#endif
#undef FOUR
}

// Four words of LANES rows become four vectors, one for each word. Putting pieces of rows together while they are
// loaded leaves but half of the shuffles of a transposition.
INLINE void transpose_four(const char *from, long stride, words to[4]) {
  const words a = four_of_rows(from, stride, 0), b = four_of_rows(from, stride, 1);
  const words c = four_of_rows(from, stride, 2), d = four_of_rows(from, stride, 3);
  const words ab = LOW1(a, b), cd = LOW1(c, d), ab_high = HIGH1(a, b), cd_high = HIGH1(c, d);
  to[0] = LOW2(ab, cd);
  to[1] = HIGH2(ab, cd);
  to[2] = LOW2(ab_high, cd_high);
  to[3] = HIGH2(ab_high, cd_high);
}

// LANES rows of LANES words: as many f32, or twice as many bf16, which travel as pairs and are widened on arrival.
INLINE void square_f32(const float *from, long from_row, float *to, long to_row) {
  UNROLL for (int c = 0; c < LANES; c += 4) {
    words w[4];
    transpose_four((const char *)(from + c), from_row * 4, w);
    UNROLL for (int i = 0; i < 4; i++) *(words *)(to + (c + i) * to_row) = w[i];
  }
}
INLINE void square_bf16(const uint16_t *from, long from_row, float *to, long to_row) {
  UNROLL for (int c = 0; c < LANES; c += 4) {
    words w[4];
    transpose_four((const char *)(from + 2 * c), from_row * 2, w);
    UNROLL for (int i = 0; i < 4; i++) {
      *(words *)(to + 2 * (c + i) * to_row) = w[i] << 16;
      *(words *)(to + (2 * (c + i) + 1) * to_row) = w[i] & 0xffff0000u;
    }
  }
}

// Where there is no whole square, what lacks is taken as zero, and of the result only existing columns are written.
#define TRANSPOSE(name, type, SQUARE, WIDTH)                                                                         \
  static void name##_part(const type *from, long from_row, long rows, long columns, float *to, long to_row) {       \
    type part[LANES * WIDTH] = {0};                                                                                 \
    float result[WIDTH * LANES];                                                                                    \
    for (long r = 0; r < rows; r++)                                                                                 \
      for (long c = 0; c < columns; c++) part[r * WIDTH + c] = from[r * from_row + c];                              \
    SQUARE(part, WIDTH, result, LANES);                                                                             \
    for (long c = 0; c < columns; c++) *(vector *)(to + c * to_row) = *(const vector *)(result + c * LANES);        \
  }                                                                                                                 \
  static void name(const type *from, long from_row, long rows, long columns, float *to, long to_row) {              \
    for (long r = 0; r < rows; r += LANES)                                                                          \
      for (long c = 0; c < columns; c += WIDTH) {                                                                   \
        const type *f = from + r * from_row + c;                                                                    \
        float *t = to + c * to_row + r;                                                                             \
        if (r + LANES <= rows && c + WIDTH <= columns)                                                              \
          SQUARE(f, from_row, t, to_row);                                                                           \
        else                                                                                                        \
          name##_part(f, from_row, rows - r < LANES ? rows - r : LANES, columns - c < WIDTH ? columns - c : WIDTH,  \
                      t, to_row);                                                                                   \
      }                                                                                                             \
  }
TRANSPOSE(transpose_f32, float, square_f32, LANES)
TRANSPOSE(transpose_bf16, uint16_t, square_bf16, (2 * LANES))

// Panels from rows of B: row k gives row k of every panel. Whole rows at a time, as they lie in memory.
#define PACK_ROWS(name, type, VECTOR, NUMBER)                                                                       \
  static void name(const type *from, long from_row, long rows, long columns, float *to) {                          \
    for (long k = 0; k < rows; k++, from += from_row, to += NL_PANEL) {                                             \
      const long whole = columns / NL_PANEL * NL_PANEL;                                                             \
      for (long j = 0; j < whole; j += NL_PANEL)                                                                    \
        UNROLL for (int v = 0; v < NL_PANEL; v += LANES) *(vector *)(to + j * NL_KBLOCK + v) = VECTOR(from + j + v); \
      for (long j = whole; j < columns; j++) to[whole * NL_KBLOCK + j - whole] = NUMBER(from[j]);                   \
    }                                                                                                               \
  }
typedef uint16_t halves __attribute__((ext_vector_type(LANES), aligned(2)));
INLINE vector load_f32(const float *x) { return *(const vector *)x; }
INLINE vector load_bf16(const uint16_t *x) {
  typedef uint32_t wide __attribute__((ext_vector_type(LANES)));
  return __builtin_bit_cast(vector, __builtin_convertvector(*(const halves *)x, wide) << 16);
}
PACK_ROWS(pack_rows_f32, float, load_f32, )
PACK_ROWS(pack_rows_bf16, uint16_t, load_bf16, widen)

const nl_matmul_kernels TABLE = {
    .tile_rows = TILE_ROWS,
    .multiply = multiply,
    .transpose_f32 = transpose_f32,
    .transpose_bf16 = transpose_bf16,
    .pack_rows_f32 = pack_rows_f32,
    .pack_rows_bf16 = pack_rows_bf16,
};
