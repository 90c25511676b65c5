// The matrix product in mixed precision with AMX where k lies one after another in the weights, as in Y = X·Wᵀ: these
// are used where they lie, as the left side of Yᵀ = W·Xᵀ, and of X pairs of k are packed. To pack W, which is used for
// few rows of X, would take a third of the time. Included after matmul_amx.h; the bits are the same.

// Sums [rows of W][rows of X] of a panel of X with 16 rows of W, or with `lower` 32.
INLINE void weights_tiles(const bool lower, const nl_weights_block *block, const char *pairs, float *sums,
                          ahead *next) {
  enum { ROW = NL_PANEL * 4 };
  const char *w = block->weights, *below = w + SIDE * block->row;
  _tile_zero(UPPER_LEFT);
  _tile_zero(UPPER_RIGHT);
  if (lower) _tile_zero(LOWER_LEFT);
  if (lower) _tile_zero(LOWER_RIGHT);
  for (long k = 0; k < block->depth; k += STRETCH, pairs += STRETCH / 2 * ROW) {
    prefetch_round(next);
    _tile_loadd(B_LEFT, pairs, ROW);
    _tile_loadd(A_UPPER, w + k * 2, block->row);
    _tile_dpbf16ps(UPPER_LEFT, A_UPPER, B_LEFT);
    _tile_loadd(B_RIGHT, pairs + SIDE * 4, ROW);
    _tile_dpbf16ps(UPPER_RIGHT, A_UPPER, B_RIGHT);
    if (lower) _tile_loadd(A_LOWER, below + k * 2, block->row);
    if (lower) _tile_dpbf16ps(LOWER_LEFT, A_LOWER, B_LEFT);
    if (lower) _tile_dpbf16ps(LOWER_RIGHT, A_LOWER, B_RIGHT);
  }
  _tile_stored(UPPER_LEFT, sums, ROW);
  _tile_stored(UPPER_RIGHT, sums + SIDE, ROW);
  if (lower) _tile_stored(LOWER_LEFT, sums + SIDE * NL_PANEL, ROW);
  if (lower) _tile_stored(LOWER_RIGHT, sums + SIDE * NL_PANEL + SIDE, ROW);
}

// c[m*ldc + n] = sums[n][m]
static void transpose_sums(const float *sums, long rows, long columns, float *c, long ldc) {
  for (long m = 0; m < rows; m += LANES)
    for (long n = 0; n < columns; n += LANES) {
      const char *corner = (const char *)(sums + n * NL_PANEL + m);
      float *to = c + m * ldc + n;
      if (m + LANES <= rows && n + LANES <= columns) {
        square_words(corner, NL_PANEL * 4, (uint32_t *)(void *)to, ldc);
        continue;
      }
      uint32_t part[LANES * LANES];
      square_words(corner, NL_PANEL * 4, part, LANES);
      const long count = columns - n < LANES ? columns - n : LANES;
      for (long i = 0; i < LANES && m + i < rows; i++)
        memcpy(to + i * ldc, part + i * LANES, (size_t)count * sizeof *to);
    }
}

static void weights_multiply(const nl_weights_block *block) {
  const bool lower = block->columns > SIDE;
  float sums[NL_PANEL * NL_PANEL] = {0};
  const long panels = (block->rows + NL_PANEL - 1) / NL_PANEL, panel = block->depth / 2 * NL_PANEL;
  ahead next = spread(&block->next, panels * (block->depth / STRETCH));
  set_rows(lower ? SIDE : block->columns, block->columns - SIDE);
  for (long p = 0; p < panels; p++) {
    const char *pairs = (const char *)((const uint32_t *)block->pairs + p * panel);
    if (lower)
      weights_tiles(true, block, pairs, sums, &next);
    else
      weights_tiles(false, block, pairs, sums, &next);
    transpose_sums(sums, block->rows - p * NL_PANEL < NL_PANEL ? block->rows - p * NL_PANEL : NL_PANEL, block->columns,
                   block->c + p * NL_PANEL * block->ldc, block->ldc);
  }
  _tile_release();
}

// Of 32 numbers the pairs, rounded to bf16.
INLINE words pairs_of(const float *x) {
  const words low = rounded_flushed(*(const words *)(const void *)x);
  const words high = rounded_flushed(*(const words *)(const void *)(x + LANES));
  const words even = SHUFFLE(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const words odd = SHUFFLE(low, high, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  return even >> 16 | odd;
}

// Panels [depth/2][NL_PANEL] of pairs. The rows that a last panel lacks are zeros, computed and dropped.
static void weights_pack(nl_matrix_part from, long rows, long depth, void *to) {
  uint32_t *packed = to, square[LANES * LANES];
  for (long m = 0; m < rows; m += NL_PANEL, packed += depth / 2 * NL_PANEL)
    for (long half = 0; half < NL_PANEL; half += LANES)
      for (long k = 0; k < depth; k += 2 * LANES) {
        const float *x = (const float *)from.at + (m + half) * from.row + k;
        for (long i = 0; i < LANES; i++, x += from.row)
          *(words *)(square + i * LANES) = m + half + i < rows ? pairs_of(x) : (words)(0);
        square_words((const char *)square, LANES * 4, packed + k / 2 * NL_PANEL + half, NL_PANEL);
      }
}

static const nl_weights_kernels amx_weights = {.multiply = weights_multiply, .pack = weights_pack};
