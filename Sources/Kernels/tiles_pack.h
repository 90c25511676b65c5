// Packing for tiles_amx.c: rows of X, and blocks of W.
#include "tiles_terms.h"

// ---- rows of X ----------------------------------------------------------------------------------------------------
static void gather_numbers(const nl_tile_rows *r, long row, long k, float to[NL_TILE_STEP]) {
  for (long i = 0; i < NL_TILE_STEP; i++) to[i] = k + i < r->depth ? r->at[row * r->row + (k + i) * r->column] : 0;
}

INLINE void pack_rows(const nl_tile_rows *r, const int terms, char *to) {
  for (long k = 0; k < r->depth; k += NL_TILE_STEP)
    for (long half = 0; half < 2; half++) {
      uint32_t rows[3][NL_TILE_SIDE * LANES] __attribute__((aligned(64)));
      float numbers[NL_TILE_STEP];
      const uint32_t mask = first_of(r->depth - k);
      for (long i = 0; i < NL_TILE_SIDE; i++) {
        const long row = half * NL_TILE_SIDE + i;
        const float *x = r->at + row * r->row + k;
        if (r->column != 1 && row < r->rows) gather_numbers(r, row, k, numbers), x = numbers;
        __m512 low, high;
        __m512i parts[3];
        load_floats(x, row < r->rows ? mask : 0, &low, &high);
        split(low, high, terms, parts);
        UNROLL for (int t = 0; t < terms; t++) _mm512_store_si512(rows[t] + i * LANES, parts[t]);
      }
      char *tile = to + (k / NL_TILE_STEP * terms * 2 + half) * NL_TILE_BYTES;
      UNROLL for (int t = 0; t < terms; t++) {
        uint32_t *into = (uint32_t *)(tile + t * 2 * NL_TILE_BYTES);
        if (r->pairs)
          square_words((const char *)rows[t], LANES * 4, into, LANES);
        else
          memcpy(into, rows[t], NL_TILE_BYTES);
      }
    }
}

static void pack_panel(const nl_tile_rows *rows, char *to) {
  if (rows->terms == 1)
    pack_rows(rows, 1, to);
  else
    pack_rows(rows, 3, to);
}

// ---- blocks of W --------------------------------------------------------------------------------------------------
// A block of W, packed piece by piece between the products of the block before it: piece `at` of a step is a row of 32 k
// if W lies k after k, else a pair of rows of k.
typedef struct packing {
  const char *from;
  long row;                  // bytes from one row to the next
  long columns, depth;       // what exists of the block
  bool whole;                // all of it
  long at, pieces;
  long line, step, steps;  // where `at` is, if pieces are rows
  char *to;
  void (*advance)(struct packing *packing, long count);
} packing;

enum { ROW_PIECES = NL_TILE_PANEL, PAIR_PIECES = NL_TILE_SIDE };

// A row of 32 k of W becomes a row of a tile of each term.
INLINE void pack_k_rows(packing *p, const int terms, const nl_dtype type, long count) {
  const long end = p->at + count < p->pieces ? p->at + count : p->pieces, bytes = type == NL_F32 ? 4 : 2;
  for (; p->at < end; p->at++, p->step++) {
    if (p->step == p->steps) {
      p->step = 0;
      p->line++;
    }
    const long row = p->line, step = p->step, offset = row * p->row + step * NL_TILE_STEP * bytes;
    const uint32_t mask = p->whole ? ~0u : row < p->columns ? first_of(p->depth - step * NL_TILE_STEP) : 0;
    char *to = p->to + step * terms * 2 * NL_TILE_BYTES + row * 64;
    __m512i parts[3];
    load_terms(type, p->from + offset, mask, terms, parts);
    UNROLL for (int t = 0; t < terms; t++) _mm512_store_si512(to + t * 2 * NL_TILE_BYTES, parts[t]);
  }
}

// Rows k and k + 1 become a row of pairs in both tiles. Of 32 columns the first tile gets those whose number has bit 2
// clear, the second the others, which takes one instruction each; results are put right in `permuted`.
INLINE void pack_pairs(packing *p, const int terms, const nl_dtype type, long count) {
  const long end = p->at + count < p->pieces ? p->at + count : p->pieces;
  const uint32_t mask = first_of(p->columns);
  for (; p->at < end; p->at++) {
    const long k = p->at * 2, offset = k * p->row;
    const uint32_t even_mask = k < p->depth ? mask : 0, odd_mask = k + 1 < p->depth ? mask : 0;
    const char *even = p->from + offset, *odd = even + p->row;
    char *to = p->to + p->at / PAIR_PIECES * terms * 2 * NL_TILE_BYTES + p->at % PAIR_PIECES * 64;
    __m512i a[3], b[3];
    load_terms(type, even, even_mask, terms, a);
    load_terms(type, odd, odd_mask, terms, b);
    UNROLL for (int t = 0; t < terms; t++) {
      _mm512_store_si512(to + t * 2 * NL_TILE_BYTES, _mm512_unpacklo_epi16(a[t], b[t]));
      _mm512_store_si512(to + (t * 2 + 1) * NL_TILE_BYTES, _mm512_unpackhi_epi16(a[t], b[t]));
    }
  }
}

#define ADVANCE(name, how, terms, type) \
  static void name(packing *p, long count) { how(p, terms, type, count); }
ADVANCE(rows_stored, pack_k_rows, 1, NL_BF16)
ADVANCE(rows_rounded, pack_k_rows, 1, NL_F32)
ADVANCE(rows_split, pack_k_rows, 3, NL_F32)
ADVANCE(half_rows_rounded, pack_k_rows, 1, NL_F16)
ADVANCE(half_rows_split, pack_k_rows, 2, NL_F16)
ADVANCE(pairs_stored, pack_pairs, 1, NL_BF16)
ADVANCE(pairs_rounded, pack_pairs, 1, NL_F32)
ADVANCE(pairs_split, pack_pairs, 3, NL_F32)
ADVANCE(half_pairs_rounded, pack_pairs, 1, NL_F16)
ADVANCE(half_pairs_split, pack_pairs, 2, NL_F16)
#undef ADVANCE

typedef void advance(packing *packing, long count);
static advance *advance_of(bool rows, nl_dtype type, int terms) {
  if (type == NL_BF16) return rows ? rows_stored : pairs_stored;
  if (type == NL_F16 && terms == 1) return rows ? half_rows_rounded : half_pairs_rounded;
  if (type == NL_F16) return rows ? half_rows_split : half_pairs_split;
  if (terms == 1) return rows ? rows_rounded : pairs_rounded;
  return rows ? rows_split : pairs_split;
}
