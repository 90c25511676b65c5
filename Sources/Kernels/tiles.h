// Products by tiles of bf16 as AMX has them, 16×16 sums from 32 k at a time: what is computed, and how the parts of the
// kernel are told of it. tiles.c divides the work; tiles_amx.c computes, with tiles_pack.h and
// tiles_sums.h; tiles_order.h does the same by dot products (tiles_dot.h) or fused multiply-adds (tiles_fma.h).
//
// A number of f32 is the sum of bf16 terms, each the nearest to what those before it leave. A product of tiles is of one
// term of X and one term of W.
#ifndef NL_TILES_H
#define NL_TILES_H
#include "Kernels.h"

enum {
  NL_TILE_SIDE = 16,                 // rows and columns of a tile of sums
  NL_TILE_STEP = 32,                 // k of a tile of operands
  NL_TILE_BYTES = 1024,              // of any tile
  NL_TILE_PANEL = 2 * NL_TILE_SIDE,  // rows of X, or columns of C, that are computed together
  NL_TILE_BLOCK = 512,               // k whose products begin with zero before they are added to C, where they do so
};

// What is added up for each 32 k, in this order: terms of X with terms of W, 0 being the largest.
typedef struct {
  int x_terms, w_terms, products;
  unsigned char order[6][2];  // term of X, term of W
  bool blocks;                // sums begin with zero every NL_TILE_BLOCK k; else they go on from C
} nl_tile_pass;

static inline long nl_tile_steps(long depth) { return (depth + NL_TILE_STEP - 1) / NL_TILE_STEP; }
static inline long nl_tile_panels(long count) { return (count + NL_TILE_PANEL - 1) / NL_TILE_PANEL; }

// Rows of X are packed to panels, these to steps of k, and these to terms: two tiles, or 32×32 numbers, each.

// Rows of X for k from `first` on; where `pairs`, tiles are columns of pairs of k, as the right side of a product is.
typedef struct {
  const float *at;
  long row, column;  // from one to the next, in numbers
  long rows, depth;  // at most NL_TILE_PANEL rows; what lacks of a tile becomes zero
  int terms;
  bool pairs;
} nl_tile_rows;

// Panels of C that one thread computes, for a stretch of k.
typedef struct {
  const nl_tile_pass *pass;
  bool forward;                        // W lies k after k, and is the left side of a product
  const char *x;                       // packed: so many rows, and so much of k
  long rows, depth;
  const nl_factor *list;               // the factors, whose panels are counted through all of them
  long first_row, first_k, first_panel, end_panel;
  bool accumulate;                     // whatever a factor says: an earlier stretch has been there
  char *scratch;                       // NL_TILE_SCRATCH bytes
} nl_tile_run;

enum {
  NL_TILE_PANELS = 8,  // of rows of X that pass by one panel of W
  NL_TILE_SUMS = 128,  // pairs of panels whose sums are kept while k goes on
  NL_TILE_STRIP = 8,   // panels of W that are prefetched together
  NL_TILE_LONG_BLOCK = 3 * NL_TILE_BLOCK,  // the same of one term, where that has no part in the bits
  NL_TILE_W_BYTES = NL_TILE_BLOCK * NL_TILE_PANEL * 2 * 3,  // a packed block of W
  NL_TILE_SUM_BYTES = NL_TILE_PANEL * NL_TILE_PANEL * 4,
  NL_TILE_SCRATCH = 2 * NL_TILE_W_BYTES + (NL_TILE_SUMS + 1) * NL_TILE_SUM_BYTES,
};

// The functions of one instruction set.
typedef struct {
  long number_bytes;  // of a packed term of X
  void (*pack)(const nl_tile_rows *rows, char *to);
  void (*run)(const nl_tile_run *run);
} nl_tile_kernels;

#if defined(__x86_64__)
extern const nl_tile_kernels nl_tiles_amx, nl_tiles_dot, nl_tiles_avx512, nl_tiles_avx2;
#endif
#if defined(__aarch64__)
extern const nl_tile_kernels nl_tiles_neon;
#else
extern const nl_tile_kernels nl_tiles_baseline;
#endif

// The products of a list of factors that share X, all of them the one way or the other: X·W_i, or X·W_iᵀ. M, K and the
// list's columns are not 0, and all accumulate or none.
void nl_tiles_multiply(nl_pool *pool, const nl_tile_pass *pass, long M, long K, const float *x, long x_row, long x_col,
                       const nl_factor *list, long count);

// One product in bf16 as AMX adds, and whether it is faster this way than by matmul.c's.
void nl_tiles_multiply_bf16(nl_pool *pool, long M, long K, const float *x, long x_row, long x_col,
                            const nl_factor *factor);
bool nl_tiles_suit_bf16(long M, long N, long K, long b_col);

#endif
