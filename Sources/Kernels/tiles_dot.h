// Operands of products by tiles, and their chains, by the dot products of AVX512_BF16: two fused multiply-adds at once,
// the one of the upper halves first. Its pairs are of k and k + 2, so that two links of one chain follow each other. Of
// 32 k a row has 16 words: eight pairs of the even k, eight of the odd ones. Included after matmul_bf16.h, and before
// tiles_order.h, which says what is to be defined here.
#include "tiles.h"
#include "tiles_terms.h"

typedef uint32_t tile_number;
enum { ROW_NUMBERS = NL_TILE_STEP / 2, TERM_NUMBERS = NL_TILE_PANEL * ROW_NUMBERS, CHAIN_NUMBERS = ROW_NUMBERS / 2 };
enum { COLUMNS_NUMBERS = 3 * NL_TILE_BLOCK / NL_TILE_STEP * TERM_NUMBERS, STRIP_PANELS = 4 };

// ---- rows of X ----------------------------------------------------------------------------------------------------
INLINE __m512i pairs_of_chains(__m512i row) {
#define EVEN(k) (k) + 2, (k)
  static const uint16_t order[NL_TILE_STEP] __attribute__((aligned(64))) = {
      EVEN(0), EVEN(4), EVEN(8), EVEN(12), EVEN(16), EVEN(20), EVEN(24), EVEN(28),
      EVEN(1), EVEN(5), EVEN(9), EVEN(13), EVEN(17), EVEN(21), EVEN(25), EVEN(29),
  };
#undef EVEN
  return _mm512_permutexvar_epi16(_mm512_load_si512(order), row);
}

INLINE void pack_tile_row(const nl_tile_rows *r, const int terms, long row, long k, uint32_t *to) {
  float numbers[NL_TILE_STEP];
  const long depth = r->depth - k;
  const float *x = r->at + row * r->row + k;
  if (r->column != 1 && row < r->rows) {
    for (long i = 0; i < NL_TILE_STEP; i++) numbers[i] = i < depth ? r->at[row * r->row + (k + i) * r->column] : 0;
    x = numbers;
  }
  __m512 low, high;
  __m512i parts[3];
  // Of each row there are two lines a step, which the processor does not take for streams: there are too many.
  __builtin_prefetch(x + 2 * NL_TILE_STEP);
  __builtin_prefetch(x + 2 * NL_TILE_STEP + LANES);
  load_floats(x, row < r->rows ? first_of(depth) : 0, &low, &high);
  split(low, high, terms, parts);
  UNROLL for (int t = 0; t < terms; t++) _mm512_store_si512(to + t * TERM_NUMBERS, pairs_of_chains(parts[t]));
}

INLINE void pack_terms(const nl_tile_rows *r, const int terms, uint32_t *to) {
  for (long k = 0; k < r->depth; k += NL_TILE_STEP, to += terms * TERM_NUMBERS)
    for (long row = 0; row < NL_TILE_PANEL; row++) pack_tile_row(r, terms, row, k, to + row * ROW_NUMBERS);
}

static void pack_tile_rows(const nl_tile_rows *r, char *to) {
  if (r->terms == 1)
    pack_terms(r, 1, (uint32_t *)(void *)to);
  else
    pack_terms(r, 3, (uint32_t *)(void *)to);
}

// ---- columns of W: [panel][step][term][pair][column] ---------------------------------------------------------------------
// Sixteen rows of 32 k of bf16 become sixteen columns.
INLINE void pack_square(const char *from, long stride, uint32_t *to) {
  UNROLL for (int c = 0; c < LANES; c += 4) {
    words w[4];
    transpose_four(from + 4 * c, stride, w);
    UNROLL for (int i = 0; i < 4; i += 2) {
      uint32_t *pair = to + (c + i) / 2 * NL_TILE_PANEL;
      *(words *)pair = w[i] << 16 | (w[i + 1] & 0xffff);
      *(words *)(pair + CHAIN_NUMBERS * NL_TILE_PANEL) = (w[i] & 0xffff0000u) | w[i + 1] >> 16;
    }
  }
}

INLINE void pack_row_columns(const char *from, long row, const nl_dtype type, const int terms, long depth, long columns,
                             uint32_t *to) {
  const long bytes = type == NL_F32 ? 4 : 2, stride = row * bytes;
  for (long k = 0; k < depth; k += NL_TILE_STEP, to += terms * TERM_NUMBERS)
    for (long n = 0; n < NL_TILE_PANEL; n += LANES) {
      const char *corner = from + n * stride + k * bytes;
      if (type == NL_BF16 && n + LANES <= columns && k + NL_TILE_STEP <= depth) {
        pack_square(corner, stride, to + n);
        continue;
      }
      uint32_t rows[3][LANES * LANES] __attribute__((aligned(64)));
      for (long i = 0; i < LANES; i++, corner += stride) {
        const uint32_t mask = n + i < columns ? first_of(depth - k) : 0;
        __m512i parts[3];
        load_terms(type, corner, mask, terms, parts);
        UNROLL for (int t = 0; t < terms; t++) _mm512_store_si512(rows[t] + i * LANES, parts[t]);
      }
      UNROLL for (int t = 0; t < terms; t++) pack_square((const char *)rows[t], LANES * 4, to + t * TERM_NUMBERS + n);
    }
}

// Rows k (above) and k + 2 of 32 columns become a row of pairs.
INLINE void pack_pair(__m512i above, __m512i below, uint32_t *to) {
#define WORDS(i) (i), (i) + 32, (i) + 1, (i) + 33, (i) + 2, (i) + 34, (i) + 3, (i) + 35
  static const uint16_t order[2][NL_TILE_STEP] __attribute__((aligned(64))) = {
      {WORDS(0), WORDS(4), WORDS(8), WORDS(12)}, {WORDS(16), WORDS(20), WORDS(24), WORDS(28)}};
#undef WORDS
  _mm512_store_si512(to, _mm512_permutex2var_epi16(below, _mm512_load_si512(order[0]), above));
  _mm512_store_si512(to + LANES, _mm512_permutex2var_epi16(below, _mm512_load_si512(order[1]), above));
}

// Rows `above` and `above` + 2 of all panels, one row after the other, since each may lie in a page of its own.
INLINE void pack_two_rows(const nl_matrix_part *from, const nl_dtype type, const int terms, long above, long depth,
                          long columns, uint32_t *to) {
  const long bytes = type == NL_F32 ? 4 : 2;
  const char *first = (const char *)from->at + above * from->row * bytes, *second = first + 2 * from->row * bytes;
  for (long n = 0; n < columns; n += NL_TILE_PANEL, to += COLUMNS_NUMBERS) {
    const uint32_t mask = first_of(columns - n);
    __m512i a[3], b[3];
    load_terms(type, first + n * bytes, above < depth ? mask : 0, terms, a);
    load_terms(type, second + n * bytes, above + 2 < depth ? mask : 0, terms, b);
    UNROLL for (int t = 0; t < terms; t++) pack_pair(a[t], b[t], to + t * TERM_NUMBERS);
  }
}

INLINE void pack_k_columns(const nl_matrix_part *from, const nl_dtype type, const int terms, long depth, long columns,
                           uint32_t *to) {
  for (long k = 0; k < depth; k += NL_TILE_STEP, to += terms * TERM_NUMBERS)
    for (long pair = 0; pair < ROW_NUMBERS; pair++)
      pack_two_rows(from, type, terms, k + pair % CHAIN_NUMBERS * 4 + pair / CHAIN_NUMBERS, depth, columns,
                    to + pair * NL_TILE_PANEL);
}

INLINE void pack_stored(const nl_matrix_part *from, const nl_dtype type, const int terms, long depth, long columns,
                        uint32_t *to) {
  if (from->row != 1) return pack_k_columns(from, type, terms, depth, columns, to);
  const char *rows = from->at;
  const long bytes = type == NL_F32 ? 4 : 2;
  for (long n = 0; n < columns; n += NL_TILE_PANEL, to += COLUMNS_NUMBERS)
    pack_row_columns(rows + n * from->column * bytes, from->column, type, terms, depth, columns - n, to);
}

static void pack_tile_columns(nl_matrix_part from, long depth, long columns, int terms, uint32_t *to) {
  if (from.type == NL_BF16) return pack_stored(&from, NL_BF16, 1, depth, columns, to);
  if (from.type == NL_F16 && terms == 1) return pack_stored(&from, NL_F16, 1, depth, columns, to);
  if (from.type == NL_F16) return pack_stored(&from, NL_F16, 2, depth, columns, to);
  if (terms == 1) return pack_stored(&from, NL_F32, 1, depth, columns, to);
  pack_stored(&from, NL_F32, 3, depth, columns, to);
}

INLINE const uint32_t *tile_columns(const uint32_t *packed, int terms, long step, int term) {
  return packed + (step * terms + term) * TERM_NUMBERS;
}

// ---- chains -------------------------------------------------------------------------------------------------------
INLINE void step_chain(const int rows, const int odd, const uint32_t *x, const uint32_t *w, vector sum[][TILE_VECTORS]) {
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < TILE_VECTORS; v++) sum[i][v] = (vector)(0);
  for (long i = 0; i < CHAIN_NUMBERS; i++) {
    const long pair = odd * CHAIN_NUMBERS + i;
    words column[TILE_VECTORS];
    UNROLL for (int v = 0; v < TILE_VECTORS; v++) column[v] = *(const words *)(w + pair * NL_TILE_PANEL + v * LANES);
    UNROLL for (int i = 0; i < rows; i++) {
      const words both = (words)(x[i * ROW_NUMBERS + pair]);
      UNROLL for (int v = 0; v < TILE_VECTORS; v++)
        sum[i][v] = __builtin_bit_cast(vector, DOT(__builtin_bit_cast(__m512, sum[i][v]),
                                                   __builtin_bit_cast(__m512bh, both),
                                                   __builtin_bit_cast(__m512bh, column[v])));
    }
  }
}
