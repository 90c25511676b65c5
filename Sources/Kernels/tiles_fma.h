// Operands of products by tiles, and their chains, by fused multiply-adds: for CPUs without tiles. Included after
// matmul_f32.h, whose packing it uses, and before tiles_order.h, which says what is to be defined here.
#include "tiles.h"

typedef float tile_number;
enum { ROW_NUMBERS = NL_TILE_STEP, TERM_NUMBERS = NL_TILE_PANEL * ROW_NUMBERS };
enum { COLUMNS_NUMBERS = 3 * NL_TILE_BLOCK * NL_TILE_PANEL, STRIP_PANELS = 1 };

// Numbers become their terms: `to` and the next ones, `apart` numbers from each other.
static void split_terms(const float *from, long count, int terms, float *to, long apart) {
  for (long i = 0; i < count; i += LANES) {
    vector rest = *(const vector *)(from + i);
    for (int t = 0; t < terms; t++) {
      const vector term = __builtin_bit_cast(vector, rounded_flushed(__builtin_bit_cast(words, rest)));
      *(vector *)(to + t * apart + i) = term;
      rest -= term;
    }
  }
}

static void pack_tile_rows(const nl_tile_rows *r, char *to) {
  float *packed = (float *)(void *)to;
  for (long k = 0; k < r->depth; k += NL_TILE_STEP, packed += r->terms * TERM_NUMBERS) {
    float numbers[TERM_NUMBERS] = {0};
    const long depth = r->depth - k < NL_TILE_STEP ? r->depth - k : NL_TILE_STEP;
    for (long i = 0; i < r->rows; i++) {
      const float *x = r->at + i * r->row + k * r->column;
      for (long j = 0; j < depth; j++) numbers[i * NL_TILE_STEP + j] = x[j * r->column];
    }
    split_terms(numbers, TERM_NUMBERS, r->terms, packed, TERM_NUMBERS);
  }
}

// [term][k][column], zeros beyond what exists.
static void pack_tile_panel(nl_matrix_part from, long depth, long columns, int terms, float *to) {
  const long steps = nl_tile_steps(depth) * NL_TILE_STEP;
  const long bytes = (from.type == NL_F32 ? 4 : 2) * from.row;
  for (long k = 0; k < depth; k += NL_KBLOCK) {
    const nl_matrix_part part = {(const char *)from.at + k * bytes, from.type, from.row, from.column};
    F32_TABLE.pack_b(part, depth - k < NL_KBLOCK ? depth - k : NL_KBLOCK, columns, to + k * NL_TILE_PANEL);
  }
  memset(to + depth * NL_TILE_PANEL, 0, (size_t)((steps - depth) * NL_TILE_PANEL) * sizeof *to);
  if (terms > 1) split_terms(to, steps * NL_TILE_PANEL, terms, to, NL_TILE_BLOCK * NL_TILE_PANEL);
}

static void pack_tile_columns(nl_matrix_part from, long depth, long columns, int terms, float *to) {
  const long bytes = (from.type == NL_F32 ? 4 : 2) * from.column;
  for (long n = 0; n < columns; n += NL_TILE_PANEL, to += COLUMNS_NUMBERS) {
    const nl_matrix_part part = {(const char *)from.at + n * bytes, from.type, from.row, from.column};
    pack_tile_panel(part, depth, columns - n < NL_TILE_PANEL ? columns - n : NL_TILE_PANEL, terms, to);
  }
}

INLINE const float *tile_columns(const float *packed, int terms, long step, int term) {
  (void)terms;
  return packed + (term * NL_TILE_BLOCK + step * NL_TILE_STEP) * NL_TILE_PANEL;
}

INLINE void step_chain(const int rows, const int odd, const float *x, const float *w, vector sum[][TILE_VECTORS]) {
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < TILE_VECTORS; v++) sum[i][v] = (vector)(0);
  for (long k = odd; k < NL_TILE_STEP; k += 2) {
    vector column[TILE_VECTORS];
    UNROLL for (int v = 0; v < TILE_VECTORS; v++) column[v] = *(const vector *)(w + k * NL_TILE_PANEL + v * LANES);
    UNROLL for (int i = 0; i < rows; i++) {
      const vector number = (vector)(x[i * NL_TILE_STEP + k]);
      UNROLL for (int v = 0; v < TILE_VECTORS; v++)
        sum[i][v] = __builtin_elementwise_fma(number, column[v], sum[i][v]);
    }
  }
}
