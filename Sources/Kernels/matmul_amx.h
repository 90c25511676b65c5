// The matrix product in mixed precision with AMX: four tiles of 16×16 sums, from two of A and two of B. Included after
// matmul_bf16.h, which packs for it: a row of pairs of a panel of B is two rows of tiles side by side.
//
// matmul_bf16_tiles.h computes the same bits without it.
#include "tile_shapes.h"

enum { SIDE = 16, UPPER_LEFT = 0, UPPER_RIGHT, LOWER_LEFT, LOWER_RIGHT, A_UPPER, A_LOWER, B_LEFT, B_RIGHT };

// Sets the rows of the tiles of A and C, those of the upper ones and those below them.
static void set_rows(long upper, long lower) {
  tile_shapes shapes = whole_tiles();
  shapes.rows[UPPER_LEFT] = shapes.rows[UPPER_RIGHT] = shapes.rows[A_UPPER] = (uint8_t)upper;
  // A tile that is not used needs a row all the same.
  shapes.rows[LOWER_LEFT] = shapes.rows[LOWER_RIGHT] = shapes.rows[A_LOWER] = (uint8_t)(lower > 0 ? lower : 1);
  _tile_loadconfig(&shapes);
}

// Two tiles of C side by side, or one; with `lower` the same below them.
INLINE void amx_tiles(const bool lower, const bool right, long depth, const uint16_t *a, const uint32_t *b, long b_row,
                      float *c, long ldc, bool add, ahead *next) {
  const long c_bytes = ldc * 4, a_bytes = NL_KBLOCK * 2, b_bytes = b_row * 4;
  float *below = c + SIDE * ldc;
  if (add) {
    _tile_loadd(UPPER_LEFT, c, c_bytes);
    if (right) _tile_loadd(UPPER_RIGHT, c + SIDE, c_bytes);
    if (lower) _tile_loadd(LOWER_LEFT, below, c_bytes);
    if (lower && right) _tile_loadd(LOWER_RIGHT, below + SIDE, c_bytes);
  } else {
    _tile_zero(UPPER_LEFT);
    if (right) _tile_zero(UPPER_RIGHT);
    if (lower) _tile_zero(LOWER_LEFT);
    if (lower && right) _tile_zero(LOWER_RIGHT);
  }
  for (long k = 0; k < depth; k += STRETCH, a += STRETCH, b += STRETCH / 2 * b_row) {
    prefetch_round(next);
    _tile_loadd(B_LEFT, b, b_bytes);
    _tile_loadd(A_UPPER, a, a_bytes);
    _tile_dpbf16ps(UPPER_LEFT, A_UPPER, B_LEFT);
    if (right) _tile_loadd(B_RIGHT, b + SIDE, b_bytes);
    if (right) _tile_dpbf16ps(UPPER_RIGHT, A_UPPER, B_RIGHT);
    if (lower) _tile_loadd(A_LOWER, a + SIDE * NL_KBLOCK, a_bytes);
    if (lower) _tile_dpbf16ps(LOWER_LEFT, A_LOWER, B_LEFT);
    if (lower && right) _tile_dpbf16ps(LOWER_RIGHT, A_LOWER, B_RIGHT);
  }
  _tile_stored(UPPER_LEFT, c, c_bytes);
  if (right) _tile_stored(UPPER_RIGHT, c + SIDE, c_bytes);
  if (lower) _tile_stored(LOWER_LEFT, below, c_bytes);
  if (lower && right) _tile_stored(LOWER_RIGHT, below + SIDE, c_bytes);
}

static void amx_columns(bool lower, bool right, long depth, const uint16_t *a, const uint32_t *b, long b_row, float *c,
                        long ldc, bool add, ahead *next) {
  if (lower && right) amx_tiles(true, true, depth, a, b, b_row, c, ldc, add, next);
  if (lower && !right) amx_tiles(true, false, depth, a, b, b_row, c, ldc, add, next);
  if (!lower && right) amx_tiles(false, true, depth, a, b, b_row, c, ldc, add, next);
  if (!lower && !right) amx_tiles(false, false, depth, a, b, b_row, c, ldc, add, next);
}

// One panel for the rows from i on, `rows` of them: 2 · SIDE at most. Where fewer columns exist in C, beside it.
static void amx_panel(const nl_matmul_block *block, long panel, long i, long rows, ahead *next) {
  const long rest = block->columns - panel * NL_PANEL, end = rest < NL_PANEL ? rest : NL_PANEL;
  const uint16_t *a = (const uint16_t *)block->a + i * NL_KBLOCK;
  const uint32_t *b = (const uint32_t *)block->b + panel * block->b_panel;
  float *c = block->c + i * block->ldc + panel * NL_PANEL;
  const bool lower = rows > SIDE, right = end > SIDE;
  if (end % SIDE == 0)
    return amx_columns(lower, right, block->depth, a, b, block->b_row, c, block->ldc, block->add, next);
  float beside[2 * SIDE * NL_PANEL] = {0};
  if (block->add) copy_columns_bf16(rows, end, c, block->ldc, beside, NL_PANEL);
  amx_columns(lower, right, block->depth, a, b, block->b_row, beside, NL_PANEL, block->add, next);
  copy_columns_bf16(rows, end, beside, NL_PANEL, c, block->ldc);
}

static void amx_multiply(const nl_matmul_block *block) {
  const long panels = (block->columns + NL_PANEL - 1) / NL_PANEL, whole = block->rows / (2 * SIDE) * (2 * SIDE);
  const long left = block->rows - whole, tiles = whole / (2 * SIDE) + (left > 0);
  ahead next = spread(&block->next, panels * tiles * ((block->depth + STRETCH - 1) / STRETCH));
  if (whole > 0) set_rows(SIDE, SIDE);
  for (long i = 0; i < whole; i += 2 * SIDE)
    for (long panel = 0; panel < panels; panel++) amx_panel(block, panel, i, 2 * SIDE, &next);
  if (left > 0) set_rows(left < SIDE ? left : SIDE, left - SIDE);
  for (long panel = 0; panel < panels && left > 0; panel++) amx_panel(block, panel, whole, left, &next);
  // The kernel saves what tiles hold at every change of threads, unless they are let go.
  _tile_release();
}

#include "matmul_amx_weights.h"

const nl_matmul_kernels nl_matmul_bf16_tiles_amx = {
    .tile_rows = 2 * SIDE,
    .a_bytes = sizeof(uint16_t),
    .b_words = NL_KBLOCK / 2 * NL_PANEL,
    .panels = 2,
    .multiply = amx_multiply,
    .pack_a = pack_a_flushed,
    .pack_b = pack_b_flushed,
    .weights = &amx_weights,
};
