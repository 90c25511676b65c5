// The tiles of C that come of one block, for one way to compute: OF(name) is this way's version of a name. Included by
// matmul_f32.h, matmul_bf16.h and matmul_bf16_tiles.h, which define OF(packed_a) and OF(packed_b), the types of packed
// numbers, OF(chain), which adds a block's products to the sums of a tile, and OF(goes_on): whether these sums go on from
// C, or begin with zero and are added to it.

INLINE void OF(tile)(const int rows, const int vectors, long depth, const OF(packed_a) *a, const OF(packed_b) *b,
                     long b_row, float *c, long ldc, bool add, ahead *next) {
  vector sum[TILE_ROWS][TILE_VECTORS];
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < vectors; v++)
    sum[i][v] = OF(goes_on) && add ? *(vector *)(c + i * ldc + v * LANES) : (vector)(0);
  UNROLL for (int i = 0; i < rows; i++) {
    __builtin_prefetch(c + i * ldc, 1);
    __builtin_prefetch(c + i * ldc + vectors * LANES - 1, 1);
  }
  OF(chain)(rows, vectors, depth, a, b, b_row, sum, next);
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < vectors; v++) {
    vector *to = (vector *)(c + i * ldc + v * LANES);
    *to = add && !OF(goes_on) ? *to + sum[i][v] : sum[i][v];
  }
}

#define CASE(n)                                                           \
  case n:                                                                 \
    if (vectors == 1)                                                     \
      OF(tile)(n, 1, depth, a, b, b_row, c, ldc, add, next);              \
    else                                                                  \
      OF(tile)(n, TILE_VECTORS, depth, a, b, b_row, c, ldc, add, next);   \
    break;
static void OF(tile_of)(long rows, int vectors, long depth, const OF(packed_a) *a, const OF(packed_b) *b, long b_row,
                        float *c, long ldc, bool add, ahead *next) {
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
static void OF(copy_columns)(long rows, long columns, const float *from, long from_row, float *to, long to_row) {
  typedef float four __attribute__((ext_vector_type(4), aligned(4)));
  for (long i = 0; i < rows; i++, from += from_row, to += to_row) {
    long j = 0;
    for (; j + 4 <= columns; j += 4) *(four *)(to + j) = *(const four *)(from + j);
    for (; j < columns; j++) to[j] = from[j];
  }
}

// A tile of which only `columns` columns exist in C: computed beside it.
static void OF(edge_tile)(long rows, long columns, int vectors, const nl_matmul_block *block, const OF(packed_a) *a,
                          const OF(packed_b) *b, float *c, ahead *next) {
  enum { WIDTH = TILE_VECTORS * LANES };
  float beside[TILE_ROWS * WIDTH] = {0};
  if (block->add) OF(copy_columns)(rows, columns, c, block->ldc, beside, WIDTH);
  OF(tile_of)(rows, vectors, block->depth, a, b, block->b_row, beside, WIDTH, block->add, next);
  OF(copy_columns)(rows, columns, beside, WIDTH, c, block->ldc);
}

// The tiles of one panel for the rows from i on.
static void OF(panel_tiles)(const nl_matmul_block *block, long panel, long i, ahead *next) {
  const long rows = block->rows - i < TILE_ROWS ? block->rows - i : TILE_ROWS;
  const long rest = block->columns - panel * NL_PANEL, end = rest < NL_PANEL ? rest : NL_PANEL;
  const OF(packed_a) *a = (const OF(packed_a) *)block->a + i * NL_KBLOCK;
  const OF(packed_b) *b = (const OF(packed_b) *)block->b + panel * block->b_panel;
  float *c = block->c + i * block->ldc + panel * NL_PANEL;
  for (long j = 0; j < end;) {
    const int vectors = end - j > LANES ? TILE_VECTORS : 1;
    const long width = vectors * LANES;
    if (end - j >= width)
      OF(tile_of)(rows, vectors, block->depth, a, b + j, block->b_row, c + j, block->ldc, block->add, next);
    else
      OF(edge_tile)(rows, end - j, vectors, block, a, b + j, c + j, next);
    j += width;
  }
}

static void OF(multiply)(const nl_matmul_block *block) {
  const long panels = (block->columns + NL_PANEL - 1) / NL_PANEL, tiles = (block->rows + TILE_ROWS - 1) / TILE_ROWS;
  ahead next = spread(&block->next, panels * tiles * ((block->depth + STRETCH - 1) / STRETCH));
  for (long panel = 0; panel < panels; panel++)
    for (long i = 0; i < block->rows; i += TILE_ROWS) OF(panel_tiles)(block, panel, i, &next);
}
