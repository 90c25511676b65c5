// The matrix product in mixed precision for the instruction set of matmul_isa.h: numbers rounded to bf16, sums in f32.
// BF16_TABLE is the name of its table, F32_TABLE that of the same instruction set in f32. With DOT the instruction
// for dot products of bf16 is there; elsewhere two fused multiply-adds do the same, the odd k first.
//
// B is packed in pairs of k, [k/2][NL_PANEL] words with the even k in the lower half, which the instruction wants and
// which are half as many bytes. What lacks of a block up to a multiple of STRETCH is packed as zeros (matmul_amx.h).
#define OF(name) name##_bf16
typedef uint32_t packed_b_bf16;
enum { goes_on_bf16 = 0 };
static inline long padded(long depth) { return (depth + STRETCH - 1) / STRETCH * STRETCH; }
typedef uint32_t pair __attribute__((may_alias));

// The upper 16 bits are those of the f32 in bf16: to nearest, ties to even; NaN stays NaN.
INLINE words rounded(words bits) {
  const words nearest = bits + 0x7fff + (bits >> 16 & 1);
  const words is_nan = (words)((bits & 0x7fffffff) > 0x7f800000);
  return ((is_nan & (bits | 0x400000)) | (~is_nan & nearest)) & 0xffff0000;
}

// The same with denormal numbers as zeros before, not only after, as instructions that round to bf16 do it: for products
// in the order of AMX. (In the state of nl_float_flush an addition takes them for zeros.)
INLINE words rounded_flushed(words bits) {
  return rounded(__builtin_bit_cast(words, __builtin_bit_cast(vector, bits) + (vector)(0)));
}
INLINE words rounded_for(const bool flush, words bits) { return flush ? rounded_flushed(bits) : rounded(bits); }

#if defined(DOT)
typedef uint16_t packed_a_bf16;
INLINE void store_a(words rounded, packed_a_bf16 *to) { *(halves *)to = __builtin_convertvector(rounded >> 16, halves); }

// sum[i][j] += Σ over ascending pairs of k
INLINE void chain_bf16(const int rows, const int vectors, long depth, const packed_a_bf16 *a, const uint32_t *b,
                       long b_row, vector sum[][TILE_VECTORS], ahead *next) {
  for (long from = 0; from < depth; from += STRETCH) {
    const packed_a_bf16 *end = a + (depth - from < STRETCH ? depth - from : STRETCH);
    prefetch_round(next);
    for (; a < end; a += 2, b += b_row) {
      words w[TILE_VECTORS];
      UNROLL for (int v = 0; v < vectors; v++) w[v] = *(const words *)(b + v * LANES);
      UNROLL for (int i = 0; i < rows; i++) {
        const words x = (words)(*(const pair *)(a + i * NL_KBLOCK));
        UNROLL for (int v = 0; v < vectors; v++)
          sum[i][v] = __builtin_bit_cast(vector, DOT(__builtin_bit_cast(__m512, sum[i][v]),
                                                     __builtin_bit_cast(__m512bh, x), __builtin_bit_cast(__m512bh, w[v])));
      }
    }
  }
}
#else
// As f32, so that they need not be widened for each use.
typedef float packed_a_bf16;
INLINE void store_a(words rounded, packed_a_bf16 *to) { *(words *)(void *)to = rounded; }

// sum[i][j] += Σ over ascending pairs of k
INLINE void chain_bf16(const int rows, const int vectors, long depth, const packed_a_bf16 *a, const uint32_t *b,
                       long b_row, vector sum[][TILE_VECTORS], ahead *next) {
  for (long from = 0; from < depth; from += STRETCH) {
    const packed_a_bf16 *end = a + (depth - from < STRETCH ? depth - from : STRETCH);
    prefetch_round(next);
    for (; a < end; a += 2, b += b_row)
      UNROLL for (int odd = 1; odd >= 0; odd--) {
        // Both halves are taken from memory: keeping the pairs meanwhile costs registers that the sums need.
        __asm__ volatile("" ::: "memory");
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
}
#endif

#include "matmul_tiles.h"

// ---- packing ------------------------------------------------------------------------------------------------------
// A row of A; `step` is 1 in all that is large.
INLINE void pack_row(const bool flush, const float *from, long step, long depth, packed_a_bf16 *to) {
  float part[LANES];
  for (long k = 0; k < padded(depth); k += LANES) {
    const long count = depth - k < LANES ? depth - k : LANES;
    if (step == 1 && count == LANES) {
      store_a(rounded_for(flush, *(const words *)(const void *)(from + k)), to + k);
      continue;
    }
    memset(part, 0, sizeof part);
    for (long i = 0; i < count; i++) part[i] = from[(k + i) * step];
    store_a(rounded_for(flush, *(const words *)(const void *)part), to + k);
  }
}

// While row `row` of A is packed: asks for the one that is packed some rows later. Pieces of rows are too short for the
// processor to see by itself what comes next.
INLINE void prefetch_later_row(const nl_matrix_part *from, long row, long rows, long depth) {
  enum { LATER = 4 };
  if (from->column != 1 || row + LATER >= rows) return;
  const float *later = (const float *)from->at + (row + LATER) * from->row;
  for (long k = 0; k < depth; k += LINE / (long)sizeof *later) __builtin_prefetch(later + k);
}

INLINE void pack_rows_of(const bool flush, nl_matrix_part from, long rows, long depth, packed_a_bf16 *to) {
  for (long i = 0; i < rows; i++) {
    prefetch_later_row(&from, i, rows, depth);
    pack_row(flush, (const float *)from.at + i * from.row, from.column, depth, to + i * NL_KBLOCK);
  }
}
static void pack_a_bf16(nl_matrix_part from, long rows, long depth, void *to) {
  pack_rows_of(false, from, rows, depth, to);
}
static inline void pack_a_flushed(nl_matrix_part from, long rows, long depth, void *to) {
  pack_rows_of(true, from, rows, depth, to);
}

// A panel whose columns lie k after k: 32-bit words of two k are transposed. Where there is no whole square, what lacks
// is taken as zero, and of the result only existing pairs are written.
static void transpose_pairs(const uint16_t *from, long from_row, long columns, long depth, uint32_t *to) {
  const long pairs = (depth + 1) / 2;
  for (long j = 0; j < columns; j += LANES)
    for (long p = 0; p < pairs; p += LANES) {
      const uint16_t *corner = from + j * from_row + 2 * p;
      uint32_t *t = to + p * NL_PANEL + j;
      if (j + LANES <= columns && 2 * (p + LANES) <= depth) {
        square_words((const char *)corner, from_row * 2, t, NL_PANEL);
        continue;
      }
      uint32_t part[LANES * LANES] = {0}, result[LANES * LANES];
      const long width = depth - 2 * p < 2 * LANES ? depth - 2 * p : 2 * LANES;
      for (long r = 0; r < LANES && j + r < columns; r++)
        memcpy(part + r * LANES, corner + r * from_row, (size_t)width * sizeof *corner);
      square_words((const char *)part, LANES * 4, result, LANES);
      for (long r = 0; r < LANES && p + r < pairs; r++)
        *(words *)(t + r * NL_PANEL) = *(const words *)(result + r * LANES);
    }
}

// Panels from rows of B: rows k and k+1 give a row of pairs of every panel.
static void interleave_rows(const uint16_t *from, long from_row, long depth, long columns, uint32_t *to) {
  static const long panel = NL_KBLOCK / 2 * NL_PANEL;
  const long whole = columns / NL_PANEL * NL_PANEL;
  for (long k = 0; k < depth; k += 2, from += 2 * from_row, to += NL_PANEL) {
    const bool alone = k + 1 == depth;
    const uint16_t *second = alone ? from : from + from_row;
    const uint32_t mask = alone ? 0 : 0xffff0000u;
    for (long j = 0; j < whole; j += NL_PANEL)
      UNROLL for (int v = 0; v < NL_PANEL; v += LANES)
        *(words *)(to + j / NL_PANEL * panel + v) =
            widen_halves(from + j + v) | (widen_halves(second + j + v) << 16 & mask);
    for (long j = whole; j < columns; j++)
      to[whole / NL_PANEL * panel + j - whole] = from[j] | ((uint32_t)second[j] << 16 & mask);
  }
}

// Panels of f32 become panels of pairs where they stand: what is written never overtakes what is read.
INLINE void fold_into_pairs(const bool flush, long depth, long columns, uint32_t *to) {
  for (long n = 0; n < columns; n += NL_PANEL) {
    const uint32_t *from = to + n * NL_KBLOCK;
    uint32_t *pairs = to + n * NL_KBLOCK / 2;
    for (long k = 0; k < depth; k += 2, from += 2 * NL_PANEL, pairs += NL_PANEL)
      UNROLL for (long j = 0; j < NL_PANEL; j += LANES) {
        const words even = rounded_for(flush, *(const words *)(from + j));
        const words odd = k + 1 < depth ? rounded_for(flush, *(const words *)(from + NL_PANEL + j)) : (words)(0);
        *(words *)(pairs + j) = odd | even >> 16;
      }
  }
}

static void pad_pairs(long depth, long columns, uint32_t *to) {
  const long first = (depth + 1) / 2, rows = padded(depth) / 2 - first;
  for (long n = 0; n < columns && rows > 0; n += NL_PANEL, to += NL_KBLOCK / 2 * NL_PANEL)
    memset(to + first * NL_PANEL, 0, (size_t)(rows * NL_PANEL) * sizeof *to);
}

static void pack_b_bf16(nl_matrix_part from, long depth, long columns, void *to) {
  uint32_t *packed = to;
  if (from.type != NL_BF16) {
    F32_TABLE.pack_b(from, depth, columns, to);
    fold_into_pairs(false, depth, columns, packed);
    return pad_pairs(depth, columns, packed);
  }
  pad_pairs(depth, columns, packed);
  const long panel = NL_KBLOCK / 2 * NL_PANEL, whole = columns / NL_PANEL;
  // The columns that a last panel lacks are computed too, and dropped.
  if (columns % NL_PANEL) memset(packed + whole * panel, 0, (size_t)((depth + 1) / 2 * NL_PANEL) * sizeof *packed);
  if (from.column == 1) return interleave_rows(from.at, from.row, depth, columns, packed);
  for (long n = 0; n < columns; n += NL_PANEL, packed += panel) {
    const long width = columns - n < NL_PANEL ? columns - n : NL_PANEL;
    transpose_pairs((const uint16_t *)from.at + n * from.column, from.column, width, depth, packed);
  }
}

static inline void pack_b_flushed(nl_matrix_part from, long depth, long columns, void *to) {
  if (from.type == NL_BF16) return pack_b_bf16(from, depth, columns, to);
  F32_TABLE.pack_b(from, depth, columns, to);
  fold_into_pairs(true, depth, columns, to);
  pad_pairs(depth, columns, to);
}

const nl_matmul_kernels BF16_TABLE = {
    .tile_rows = TILE_ROWS,
    .a_bytes = sizeof(packed_a_bf16),
    .b_words = NL_KBLOCK / 2 * NL_PANEL,
    .multiply = multiply_bf16,
    .pack_a = pack_a_bf16,
    .pack_b = pack_b_bf16,
};
#undef OF
