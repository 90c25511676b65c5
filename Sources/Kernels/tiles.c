// Products by tiles: rows of X are packed once, by all threads, and panels of all factors that share X are divided among
// them. What is computed on a panel is in tiles_amx.c.
#include "tiles.h"

#include "float_state.h"
#include "loop.h"
#include "matmul.h"

// Sizes, none of which has a part in the bits.
enum {
  ROWS = 512,              // of X that are packed at a time …
  BEYOND = 4096,           // bytes after packed rows that a tile of the fused multiply-adds may read
  PACKED_BYTES = NL_SHARED_BYTES - BEYOND,  // … for a stretch of k, into so much
  SMALL_BYTES = 256 << 10, // the same on the stack, for a panel of rows
  PACKED_STEPS = 16,        // of k that one part of the packing takes
  FEWEST_PANELS = 4,        // that are worth a thread's turn
  FEW_ROWS = 4,             // fewer than these are bound by reading W, which is packed for them as well
};

// ---- a stretch of k for some rows ---------------------------------------------------------------------------------
typedef struct {
  const nl_tile_kernels *kernels;
  const nl_tile_pass *pass;
  bool forward;
  const float *x;  // where the rows and the stretch begin
  long x_row, x_column, rows, first_k, depth;
  char *packed;
  const nl_factor *list;
  long first_row, panels;
  bool accumulate;
  long row_parts, panel_parts, step_parts;
} stretch;

static long step_bytes(const nl_tile_kernels *kernels, const nl_tile_pass *pass) {
  return pass->x_terms * NL_TILE_PANEL * NL_TILE_STEP * kernels->number_bytes;
}
static long panel_bytes(const stretch *s) { return nl_tile_steps(s->depth) * step_bytes(s->kernels, s->pass); }

static void pack_part(void *context, long part) {
  const stretch *s = context;
  const long panel = part / s->step_parts, row = panel * NL_TILE_PANEL, k = part % s->step_parts * PACKED_STEPS * NL_TILE_STEP;
  const nl_float_state state = nl_float_flush();
  s->kernels->pack(
      &(nl_tile_rows){
          .at = s->x + row * s->x_row + k * s->x_column,
          .row = s->x_row, .column = s->x_column,
          .rows = nl_min(NL_TILE_PANEL, s->rows - row), .depth = nl_min(PACKED_STEPS * NL_TILE_STEP, s->depth - k),
          .terms = s->pass->x_terms, .pairs = s->forward,
      },
      s->packed + panel * panel_bytes(s) + k / NL_TILE_STEP * step_bytes(s->kernels, s->pass));
  nl_float_end(state);
}

static void multiply_in(const stretch *s, long part, char *scratch) {
  const long rows = part % s->row_parts, turn = part / s->row_parts, first_row = rows * NL_TILE_PANELS * NL_TILE_PANEL;
  const nl_float_state state = nl_float_flush();
  s->kernels->run(&(nl_tile_run){
      .pass = s->pass, .forward = s->forward,
      .x = s->packed + rows * NL_TILE_PANELS * panel_bytes(s),
      .rows = nl_min(NL_TILE_PANELS * NL_TILE_PANEL, s->rows - first_row), .depth = s->depth,
      .list = s->list, .first_row = s->first_row + first_row, .first_k = s->first_k,
      .first_panel = s->panels * turn / s->panel_parts, .end_panel = s->panels * (turn + 1) / s->panel_parts,
      .accumulate = s->accumulate,
      .scratch = scratch,
  });
  nl_float_end(state);
}

static __attribute__((noinline)) void multiply_on_stack(const stretch *s, long part) {
  _Alignas(64) char scratch[NL_TILE_SCRATCH];
  multiply_in(s, part, scratch);
}

static void multiply_part(void *context, long part) {
  char *scratch = nl_thread_scratch();
  if (scratch)
    multiply_in(context, part, scratch);
  else
    multiply_on_stack(context, part);
}

static void run_stretch(nl_pool *pool, stretch *s) {
  const long threads = nl_pool_threads(pool);
  s->step_parts = nl_parts(nl_tile_steps(s->depth), PACKED_STEPS);
  nl_pool_run(pool, nl_tile_panels(s->rows) * s->step_parts, pack_part, s);
  s->row_parts = nl_parts(nl_tile_panels(s->rows), NL_TILE_PANELS);
  s->panel_parts = threads == 1 ? 1 : nl_max(1, nl_min(s->panels / FEWEST_PANELS, 2 * threads));
  nl_pool_run(pool, s->row_parts * s->panel_parts, multiply_part, s);
}

// ---- entry --------------------------------------------------------------------------------------------------------
static const nl_tile_kernels *kernels(void) {
#if defined(__aarch64__)
  return &nl_tiles_neon;
#else
  switch (nl_isa_current()) {
#if defined(__x86_64__)
    case NL_ISA_AMX: return &nl_tiles_amx;
    case NL_ISA_AVX512_BF16: return &nl_tiles_dot;
    case NL_ISA_AVX512: return &nl_tiles_avx512;
    case NL_ISA_AVX2: return &nl_tiles_avx2;
#endif
    default: return &nl_tiles_baseline;
  }
#endif
}

static void multiply_rows(nl_pool *pool, stretch s, long M, long K, long most_rows, long bytes) {
  const float *x = s.x;
  for (s.first_row = 0; s.first_row < M; s.first_row += most_rows) {
    s.rows = nl_min(most_rows, M - s.first_row);
    const long steps = bytes / (nl_tile_panels(s.rows) * step_bytes(s.kernels, s.pass));
    const long length = steps * NL_TILE_STEP / NL_TILE_BLOCK * NL_TILE_BLOCK;
    for (s.first_k = 0; s.first_k < K; s.first_k += length) {
      s.depth = nl_min(length, K - s.first_k);
      s.x = x + s.first_row * s.x_row + s.first_k * s.x_column;
      s.accumulate = s.list[0].accumulate || s.first_k > 0;
      run_stretch(pool, &s);
    }
  }
}

static __attribute__((noinline)) void multiply_rows_on_stack(nl_pool *pool, stretch s, long M, long K) {
  _Alignas(64) char packed[SMALL_BYTES + BEYOND];
  s.packed = packed;
  multiply_rows(pool, s, M, K, NL_TILE_PANEL, SMALL_BYTES);
}

void nl_tiles_multiply(nl_pool *pool, const nl_tile_pass *pass, long M, long K, const float *x, long x_row, long x_col,
                       const nl_factor *list, long count) {
  char *memory = nl_thread_scratch();
  stretch s = {.kernels = kernels(), .pass = pass, .forward = list[0].b_row == 1,
               .packed = memory ? memory + NL_SCRATCH_BYTES : NULL,
               .list = list, .x = x, .x_row = x_row, .x_column = x_col};
  for (long i = 0; i < count; i++) s.panels += nl_tile_panels(list[i].N);
  if (s.packed)
    multiply_rows(pool, s, M, K, ROWS, PACKED_BYTES);
  else
    multiply_rows_on_stack(pool, s, M, K);
}

// With f32 the products that reach 2⁻²⁴ of the largest, the smallest first.
static const nl_tile_pass three = {3, 1, 3, {{2, 0}, {1, 0}, {0, 0}}, true};
static const nl_tile_pass five = {3, 2, 5, {{2, 0}, {1, 1}, {1, 0}, {0, 1}, {0, 0}}, true};
static const nl_tile_pass six = {3, 3, 6, {{2, 0}, {1, 1}, {0, 2}, {1, 0}, {0, 1}, {0, 0}}, true};

// As many terms of W as hold what its type can store.
static const nl_tile_pass *exact_pass(nl_dtype type) {
  return type == NL_BF16 ? &three : type == NL_F16 ? &five : &six;
}

// With tiles, where rows of W have to be interleaved, which is done here while the panel before is multiplied, and rows of
// X are packed once for all threads. With dot products wherever matmul.c's fused multiply-adds would do half as much at
// a time.
bool nl_tiles_suit_bf16(long M, long N, long K, long b_col) {
  switch (nl_isa_current()) {
    case NL_ISA_AMX: return b_col == 1 && M >= NL_TILE_SIDE && N > 4 * NL_TILE_PANEL && K > 2 * NL_TILE_STEP;
    case NL_ISA_AVX512_BF16: return M >= FEW_ROWS && K > 0 && N > 0;
    default: return false;
  }
}

void nl_tiles_multiply_bf16(nl_pool *pool, long M, long K, const float *x, long x_row, long x_col,
                            const nl_factor *factor) {
  static const nl_tile_pass one = {1, 1, 1, {{0, 0}}, false};
  nl_tiles_multiply(pool, &one, M, K, x, x_row, x_col, factor, 1);
}

void nl_matmul_f32_tiles(nl_pool *pool, long M, long N, long K, const float *a, long a_row, long a_col, const void *b,
                         nl_dtype b_type, long b_row, long b_col, float *c, long ldc, bool accumulate) {
  if (M <= 0 || N <= 0) return;
  for (long m = 0; K <= 0 && !accumulate && m < M; m++) memset(c + m * ldc, 0, (size_t)N * sizeof *c);
  if (K <= 0) return;
  const nl_factor factor = {b, b_type, b_row, b_col, N, c, ldc, accumulate};
  nl_tiles_multiply(pool, exact_pass(b_type), M, K, a, a_row, a_col, &factor, 1);
}

static bool alike(const nl_factor *list, long count) {
  for (long i = 0; i < count; i++)
    if (list[i].N <= 0 || list[i].b_type != list[0].b_type || (list[i].b_row == 1) != (list[0].b_row == 1) ||
        list[i].accumulate != list[0].accumulate)
      return false;
  return count > 0;
}

void nl_matmul_f32_tiles_each(nl_pool *pool, long M, long K, const float *a, long a_row, long a_col,
                              const nl_factor *list, long count) {
  if (M > 0 && K > 0 && alike(list, count))
    return nl_tiles_multiply(pool, exact_pass(list[0].b_type), M, K, a, a_row, a_col, list, count);
  for (const nl_factor *f = list; f < list + count; f++)
    nl_matmul_f32_tiles(pool, M, f->N, K, a, a_row, a_col, f->b, f->b_type, f->b_row, f->b_col, f->c, f->ldc,
                        f->accumulate);
}
