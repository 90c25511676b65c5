// Products by tiles, in their order and to their bits, by fused multiply-adds: for CPUs without tiles. Included after
// matmul_f32.h, whose packing it uses; TILES_TABLE is the name of its table.
//
// Of each 32 k the even ones make a chain from zero, the odd ones another, and the sum of both is added to the sums so
// far: once for each product of terms.
#include "tiles.h"

enum { TERM_NUMBERS = NL_TILE_PANEL * NL_TILE_STEP };

// Numbers become their terms: `to` and the next ones, `apart` numbers from each other.
static void split_terms(const float *from, long count, int terms, float *to, long apart) {
  for (long i = 0; i < count; i += LANES) {
    vector rest = *(const vector *)(from + i);
    for (int t = 0; t < terms; t++) {
      const vector term = __builtin_bit_cast(vector, rounded(__builtin_bit_cast(words, rest)));
      *(vector *)(to + t * apart + i) = term;
      rest -= term;
    }
  }
}

// ---- packing ------------------------------------------------------------------------------------------------------
static void pack_panel_terms(const nl_tile_rows *r, char *to) {
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

// A panel of W for a block of k: [term][k][column], zeros beyond what exists.
static void pack_columns(const nl_tile_run *r, const nl_factor *f, long column, long block, long depth, float *to) {
  const long columns = f->N - column < NL_TILE_PANEL ? f->N - column : NL_TILE_PANEL;
  const long bytes = f->b_type == NL_F32 ? 4 : 2, steps = nl_tile_steps(depth) * NL_TILE_STEP;
  for (long k = 0; k < depth; k += NL_KBLOCK) {
    const char *at = (const char *)f->b + ((r->first_k + block + k) * f->b_row + column * f->b_col) * bytes;
    F32_TABLE.pack_b((nl_matrix_part){at, f->b_type, f->b_row, f->b_col}, depth - k < NL_KBLOCK ? depth - k : NL_KBLOCK,
                     columns, to + k * NL_TILE_PANEL);
  }
  memset(to + depth * NL_TILE_PANEL, 0, (size_t)((steps - depth) * NL_TILE_PANEL) * sizeof *to);
  if (r->pass->w_terms > 1)
    split_terms(to, steps * NL_TILE_PANEL, r->pass->w_terms, to, NL_TILE_BLOCK * NL_TILE_PANEL);
}

// ---- products -----------------------------------------------------------------------------------------------------
// The chain over the even k of a step, or with `odd` over the others.
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

// Sums of `rows` rows and TILE_VECTORS vectors of columns for a block of k, into [row][NL_TILE_PANEL].
INLINE void block_sums(const nl_tile_pass *pass, const int rows, long steps, const float *x, const float *w, float *to) {
  vector sum[TILE_ROWS][TILE_VECTORS];
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < TILE_VECTORS; v++) sum[i][v] = (vector)(0);
  for (long step = 0; step < steps; step++)
    for (int p = 0; p < pass->products; p++) {
      const float *xs = x + (step * pass->x_terms + pass->order[p][0]) * TERM_NUMBERS;
      const float *ws = w + (pass->order[p][1] * NL_TILE_BLOCK + step * NL_TILE_STEP) * NL_TILE_PANEL;
      vector even[TILE_ROWS][TILE_VECTORS], odd[TILE_ROWS][TILE_VECTORS];
      step_chain(rows, 0, xs, ws, even);
      step_chain(rows, 1, xs, ws, odd);
      UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < TILE_VECTORS; v++)
        sum[i][v] += even[i][v] + odd[i][v];
    }
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < TILE_VECTORS; v++)
    *(vector *)(to + i * NL_TILE_PANEL + v * LANES) = sum[i][v];
}

static void add_block(const nl_tile_pass *pass, long rows, long columns, long steps, const float *x, const float *w,
                      float *c, long ldc, bool add) {
  float sums[TILE_ROWS * NL_TILE_PANEL];
  for (long i = 0; i < rows; i += TILE_ROWS) {
    for (long j = 0; j < columns; j += TILE_VECTORS * LANES)
      // Rows beyond the last one are zeros of the panel, or what lies after it (BEYOND in tiles.c): not used.
      block_sums(pass, TILE_ROWS, steps, x + i * NL_TILE_STEP, w + j, sums + j);
    for (long r = 0; r < TILE_ROWS && i + r < rows; r++)
      for (long j = 0; j < columns; j++) {
        float *to = c + (i + r) * ldc + j;
        *to = add ? *to + sums[r * NL_TILE_PANEL + j] : sums[r * NL_TILE_PANEL + j];
      }
  }
}

static void run_panel(const nl_tile_run *r, const nl_factor *f, long column) {
  float *w = (float *)(void *)r->scratch;
  const long columns = f->N - column < NL_TILE_PANEL ? f->N - column : NL_TILE_PANEL;
  const long x_step = r->pass->x_terms * TERM_NUMBERS, x_panel = nl_tile_steps(r->depth) * x_step;
  for (long block = 0; block < r->depth; block += NL_TILE_BLOCK) {
    const long depth = r->depth - block < NL_TILE_BLOCK ? r->depth - block : NL_TILE_BLOCK;
    pack_columns(r, f, column, block, depth, w);
    for (long row = 0; row < r->rows; row += NL_TILE_PANEL)
      add_block(r->pass, r->rows - row < NL_TILE_PANEL ? r->rows - row : NL_TILE_PANEL, columns, nl_tile_steps(depth),
                (const float *)(const void *)r->x + row / NL_TILE_PANEL * x_panel + block / NL_TILE_STEP * x_step, w,
                f->c + (r->first_row + row) * f->ldc + column, f->ldc, r->accumulate || block > 0);
  }
}

static void run_panels_terms(const nl_tile_run *r) {
  const nl_factor *f = r->list;
  long before = 0;  // panels of the factors before this one
  for (long panel = r->first_panel; panel < r->end_panel; panel++) {
    for (; panel - before >= nl_tile_panels(f->N); f++) before += nl_tile_panels(f->N);
    run_panel(r, f, (panel - before) * NL_TILE_PANEL);
  }
}

const nl_tile_kernels TILES_TABLE = {
    .number_bytes = sizeof(float), .pack = pack_panel_terms, .run = run_panels_terms};
