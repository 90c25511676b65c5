// The matrix product in f32 for the instruction set of matmul_isa.h; F32_TABLE is the name of its table.
#define OF(name) name##_f32
typedef float packed_a_f32, packed_b_f32;
enum { goes_on_f32 = 0 };

// sum[i][j] += Σ over ascending k of a[i*NL_KBLOCK + k] * b[k*b_row + j], one chain for each element
INLINE void chain_f32(const int rows, const int vectors, long depth, const float *a, const float *b, long b_row,
                      vector sum[][TILE_VECTORS], ahead *next) {
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
}

#include "matmul_tiles.h"

// ---- packing ------------------------------------------------------------------------------------------------------
// A transposition to[c*to_row + r] = from[r*from_row + c] by squares; bf16 and f16 travel as pairs and are widened on
// arrival.
INLINE void square_of_f32(const float *from, long from_row, float *to, long to_row) {
  square_words((const char *)from, from_row * 4, (uint32_t *)to, to_row);
}
INLINE vector lower_bf16(words pair) { return __builtin_bit_cast(vector, pair << 16); }
INLINE vector upper_bf16(words pair) { return __builtin_bit_cast(vector, pair & 0xffff0000u); }
INLINE vector lower_f16(words pair) { return widened_f16(__builtin_convertvector(pair, halves)); }
INLINE vector upper_f16(words pair) { return widened_f16(__builtin_convertvector(pair >> 16, halves)); }
#define SQUARE_OF_PAIRS(name, LOWER, UPPER)                                                       \
  INLINE void name(const uint16_t *from, long from_row, float *to, long to_row) {                 \
    UNROLL for (int c = 0; c < LANES; c += 4) {                                                   \
      words w[4];                                                                                 \
      transpose_four((const char *)(from + 2 * c), from_row * 2, w);                              \
      UNROLL for (int i = 0; i < 4; i++) {                                                        \
        *(vector *)(to + 2 * (c + i) * to_row) = LOWER(w[i]);                                     \
        *(vector *)(to + (2 * (c + i) + 1) * to_row) = UPPER(w[i]);                               \
      }                                                                                           \
    }                                                                                             \
  }
SQUARE_OF_PAIRS(square_of_bf16, lower_bf16, upper_bf16)
SQUARE_OF_PAIRS(square_of_f16, lower_f16, upper_f16)
#undef SQUARE_OF_PAIRS

// Rows are taken by vectors: beyond the last one, up to a multiple of LANES, zeros are written. Where there is no whole
// square, what lacks is taken as zero, and of the result only existing columns are written.
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
TRANSPOSE(transpose_f32, float, square_of_f32, LANES)
TRANSPOSE(transpose_bf16, uint16_t, square_of_bf16, (2 * LANES))
TRANSPOSE(transpose_f16, uint16_t, square_of_f16, (2 * LANES))
#undef TRANSPOSE

// Panels from rows of B: row k gives row k of every panel. Whole rows at a time, as they lie in memory.
INLINE float widen(uint16_t x) { return __builtin_bit_cast(float, (uint32_t)x << 16); }
INLINE float widen_f16(uint16_t x) { return widened_f16((halves)(x))[0]; }
INLINE vector load_f32(const float *x) { return *(const vector *)x; }
INLINE vector load_bf16(const uint16_t *x) { return __builtin_bit_cast(vector, widen_halves(x) << 16); }
INLINE vector load_f16(const uint16_t *x) { return widened_f16(*(const halves *)x); }
#define PACK_ROWS(name, type, VECTOR, NUMBER)                                                                       \
  static void name(const type *from, long from_row, long rows, long columns, float *to) {                          \
    for (long k = 0; k < rows; k++, from += from_row, to += NL_PANEL) {                                             \
      const long whole = columns / NL_PANEL * NL_PANEL;                                                             \
      for (long j = 0; j < whole; j += NL_PANEL)                                                                    \
        UNROLL for (int v = 0; v < NL_PANEL; v += LANES) *(vector *)(to + j * NL_KBLOCK + v) = VECTOR(from + j + v); \
      for (long j = whole; j < columns; j++) to[whole * NL_KBLOCK + j - whole] = NUMBER(from[j]);                   \
    }                                                                                                               \
  }
PACK_ROWS(pack_rows_f32, float, load_f32, )
PACK_ROWS(pack_rows_bf16, uint16_t, load_bf16, widen)
PACK_ROWS(pack_rows_f16, uint16_t, load_f16, widen_f16)
#undef PACK_ROWS

static void pack_a_f32(nl_matrix_part from, long rows, long depth, void *to) {
  const float *a = from.at;
  float *packed = to;
  if (from.column != 1) return transpose_f32(a, from.column, depth, rows, packed, NL_KBLOCK);
  for (long i = 0; i < rows; i++) memcpy(packed + i * NL_KBLOCK, a + i * from.row, (size_t)depth * sizeof *packed);
}

static void pack_rows(nl_matrix_part from, long depth, long columns, float *to) {
  switch (from.type) {
    case NL_F32: return pack_rows_f32(from.at, from.row, depth, columns, to);
    case NL_BF16: return pack_rows_bf16(from.at, from.row, depth, columns, to);
    case NL_F16: return pack_rows_f16(from.at, from.row, depth, columns, to);
  }
}

// The columns of one panel from `first` on.
static void transpose_panel(nl_matrix_part from, long first, long width, long depth, float *to) {
  const long row = from.column;
  switch (from.type) {
    case NL_F32: return transpose_f32((const float *)from.at + first * row, row, width, depth, to, NL_PANEL);
    case NL_BF16: return transpose_bf16((const uint16_t *)from.at + first * row, row, width, depth, to, NL_PANEL);
    case NL_F16: return transpose_f16((const uint16_t *)from.at + first * row, row, width, depth, to, NL_PANEL);
  }
}

static void pack_b_f32(nl_matrix_part from, long depth, long columns, void *to) {
  float *packed = to;
  const long whole = columns / NL_PANEL * NL_PANEL;
  // The columns that a last panel lacks are computed too, and dropped: as zeros, which are never slow.
  if (columns > whole) memset(packed + whole * NL_KBLOCK, 0, (size_t)(depth * NL_PANEL) * sizeof *packed);
  if (from.column == 1) return pack_rows(from, depth, columns, packed);
  for (long n = 0; n < columns; n += NL_PANEL, packed += NL_KBLOCK * NL_PANEL)
    transpose_panel(from, n, columns - n < NL_PANEL ? columns - n : NL_PANEL, depth, packed);
}

const nl_matmul_kernels F32_TABLE = {
    .tile_rows = TILE_ROWS,
    .a_bytes = sizeof(packed_a_f32),
    .b_words = NL_KBLOCK * NL_PANEL,
    .multiply = multiply_f32,
    .pack_a = pack_a_f32,
    .pack_b = pack_b_f32,
};
#undef OF
