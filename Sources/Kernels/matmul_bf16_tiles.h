// The matrix product in mixed precision in the order of AMX, for CPUs without it; BF16_TILES_TABLE is the name of its table.
// Included after matmul_bf16.h, which packs for it.
//
// Of each 32 k the even ones make a chain of fused multiply-adds from zero, the odd ones another, and the sum of the two
// is added to C: what TDPBF16PS computes, zeros up to the 32nd included.
#undef OF
#define OF(name) name##_bf16_tiles
typedef packed_a_bf16 packed_a_bf16_tiles;
typedef uint32_t packed_b_bf16_tiles;
enum { goes_on_bf16_tiles = 1 };

INLINE void half_chain(const int rows, const int vectors, const int odd, const packed_a_bf16_tiles *a, const uint32_t *b,
                       long b_row, vector sum[][TILE_VECTORS]) {
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = (vector)(0);
  for (const packed_a_bf16_tiles *end = a + STRETCH; a < end; a += 2, b += b_row) {
    vector w[TILE_VECTORS];
    UNROLL for (int v = 0; v < vectors; v++) {
      const words both = *(const words *)(b + v * LANES);
      w[v] = __builtin_bit_cast(vector, odd ? both & 0xffff0000u : both << 16);
    }
    UNROLL for (int i = 0; i < rows; i++) {
      const vector x = (vector)(a[i * NL_KBLOCK + odd]);
      UNROLL for (int v = 0; v < vectors; v++) sum[i][v] = __builtin_elementwise_fma(x, w[v], sum[i][v]);
    }
  }
}

INLINE void chain_bf16_tiles(const int rows, const int vectors, long depth, const packed_a_bf16_tiles *a, const uint32_t *b, long b_row,
                      vector sum[][TILE_VECTORS], ahead *next) {
  for (long k = 0; k < depth; k += STRETCH, a += STRETCH, b += STRETCH / 2 * b_row) {
    vector even[TILE_ROWS][TILE_VECTORS], odd[TILE_ROWS][TILE_VECTORS];
    prefetch_round(next);
    half_chain(rows, vectors, 0, a, b, b_row, even);
    half_chain(rows, vectors, 1, a, b, b_row, odd);
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < vectors; v++) sum[i][v] += even[i][v] + odd[i][v];
  }
}

#include "matmul_tiles.h"

const nl_matmul_kernels BF16_TILES_TABLE = {
    .tile_rows = TILE_ROWS,
    .a_bytes = sizeof(packed_a_bf16_tiles),
    .b_words = NL_KBLOCK / 2 * NL_PANEL,
    .multiply = multiply_bf16_tiles,
    .pack_a = pack_a_flushed,
    .pack_b = pack_b_flushed,
};
#undef OF
