// The matrix product: how the work is cut for caches and threads. What is computed on a block is in matmul_isa.h.
//
// Three orders of work, the same bits:
//  - by panels: the rows of A are packed for a long stretch of k, then B is packed block by block and each panel of
//    it meets all rows. For everything large.
//  - by tiles: B is packed once for a block of k (or used where it lies) and the rows of A pass by it, a tile at a
//    time. For few columns (X·Aᵀ of LoRA) and for short sums (H·B of LoRA), where A, or C, is what costs.
//  - by weights: A is packed for all of k, and rows of W that lie k after k pass by it where they lie. For X·Wᵀ with
//    kernels that are so fast that to pack W is what costs.
#include "matmul.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "float_state.h"
#include "loop.h"
#include "tiles.h"

// Sizes, found by measurement on a CPU with 48 KB and 2 MB of cache a core. None has a part in the bits.
enum {
  ROWS = 516,    // rows of A that are packed at a time (43 tiles of 12), …
  DEPTH = 2048,  // … and how much of k of them
  GROUP = 256,   // columns for which k goes through the packed A before the next ones
  PAIRS_BYTES = 1280 << 10,  // of A while weights are used where they lie, …
  PAIRS_ROWS = 256,          // … and rows of it
  NARROW = 128,  // so few columns are not worth packing A as a whole
  SMALL_ROWS = 32,
  SMALL_GROUP = 2 * NL_PANEL,  // rows and columns for the scratch on the stack
  IN_PLACE = 64,               // B is not packed for so few rows (each number is used too seldom), …
  SHORT = 64,                  // … nor for sums as short as this
};
static const double FEW_OPERATIONS = 1 << 17;  // multiplications that are not worth a second thread
static const double FEWEST_SHARED = 1 << 16;   // numbers of A that threads pack together
static const double MOST_OF_A_NEAR = 1 << 19;  // numbers of A that are in a near cache when they are multiplied
static const double MOST_OF_C_NEAR = 1 << 22;  // the same of C, whose sums wait for it less

typedef struct {
  const nl_matmul_kernels *kernels;
  long M, N, K;
  nl_matrix_part a, b;  // all of A and B
  float *c;
  long ldc;
  bool accumulate;
  bool flushes;   // denormals count as zeros
  bool in_place;  // B is read where it lies
  bool by_tiles, by_weights;
  bool split_rows;
  long parts;
} multiplication;

typedef struct {
  long first, end;
} range;


// ---- scratch ------------------------------------------------------------------------------------------------------
// One piece of memory a thread. Huge pages, as a block of A spans more small pages than the processor keeps translations
// for.
typedef struct {
  void *a, *b;
  long a_rows, a_size;  // rows, and numbers in all
  long b_columns;
} scratch;

_Static_assert(((size_t)ROWS * DEPTH + (size_t)NARROW * NL_KBLOCK) * sizeof(float) <= NL_SCRATCH_BYTES, "scratch");
static const size_t MEMORY_BYTES = (size_t)NL_SCRATCH_BYTES + NL_SHARED_BYTES;
static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void release_scratch(void *memory) { munmap(memory, MEMORY_BYTES); }
static void make_scratch_key(void) { pthread_key_create(&scratch_key, release_scratch); }

void *nl_thread_scratch(void) {
  pthread_once(&scratch_once, make_scratch_key);
  void *memory = pthread_getspecific(scratch_key);
  if (memory) return memory;
  memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
  if (memory == MAP_FAILED) return NULL;
#if defined(MADV_HUGEPAGE)
  madvise(memory, MEMORY_BYTES, MADV_HUGEPAGE);
#endif
  pthread_setspecific(scratch_key, memory);
  return memory;
}

// ---- packing ------------------------------------------------------------------------------------------------------
static nl_matrix_part part_at(nl_matrix_part all, long row, long column) {
  const long bytes = all.type == NL_F32 ? 4 : 2;
  all.at = (const char *)all.at + (row * all.row + column * all.column) * bytes;
  return all;
}

static long block_depth(const multiplication *p, long k) { return nl_min(NL_KBLOCK, p->K - k); }

static void pack_a(const multiplication *p, range rows, long k, void *to) {
  p->kernels->pack_a(part_at(p->a, rows.first, k), rows.end - rows.first, block_depth(p, k), to);
}

// How far `columns` are used in place. A panel that is not whole is packed always: vectors would read past its end.
static long end_in_place(const multiplication *p, range columns) {
  return p->in_place ? columns.first + (columns.end - columns.first) / NL_PANEL * NL_PANEL : columns.first;
}

static void pack_b(const multiplication *p, long k, range columns, void *to) {
  const long first = end_in_place(p, columns);
  if (first < columns.end)
    p->kernels->pack_b(part_at(p->b, k, first), block_depth(p, k), columns.end - first, to);
}

// ---- blocks -------------------------------------------------------------------------------------------------------
// The lines of memory that are needed next, for nl_matmul_block.next.
static nl_prefetch lines(nl_matrix_part from, long rows, long columns) {
  const long width = from.type == NL_F32 ? 4 : 2;
  return from.column == 1 ? (nl_prefetch){from.at, rows, from.row * width, columns * width}
                          : (nl_prefetch){from.at, columns, from.column * width, rows * width};
}

static nl_prefetch b_lines(const multiplication *p, long k, range columns) {
  return lines(part_at(p->b, k, columns.first), block_depth(p, k), columns.end - columns.first);
}

static nl_prefetch a_lines(const multiplication *p, range rows, long k) {
  return lines(part_at(p->a, rows.first, k), rows.end - rows.first, block_depth(p, k));
}

static nl_prefetch c_lines(const multiplication *p, range rows, range columns) {
  const char *at = (const char *)(p->c + rows.first * p->ldc + columns.first);
  return (nl_prefetch){at, rows.end - rows.first, p->ldc * 4, (columns.end - columns.first) * 4};
}

// C[rows, columns] (+)= the block of k; `packed` is what pack_b made of the columns.
static void multiply(const multiplication *p, range rows, range columns, long k, const void *a, const void *packed,
                     nl_prefetch next) {
  const long border = end_in_place(p, columns);
  nl_matmul_block block = {
      .rows = rows.end - rows.first,
      .columns = border - columns.first,
      .depth = block_depth(p, k),
      .a = a,
      .b = part_at(p->b, k, columns.first).at,
      .b_row = p->b.row,
      .b_panel = NL_PANEL,
      .c = p->c + rows.first * p->ldc + columns.first,
      .ldc = p->ldc,
      .add = p->accumulate || k > 0,
      .next = next,
  };
  if (block.columns > 0) p->kernels->multiply(&block);
  if (border == columns.end) return;
  block.c += block.columns;
  block.columns = columns.end - border;
  block.b = packed;
  block.b_row = NL_PANEL;
  block.b_panel = p->kernels->b_words;
  p->kernels->multiply(&block);
}

// ---- orders of work -----------------------------------------------------------------------------------------------
// Columns that are packed at a time: the fewer, the more is still in the first cache when it is used. But rows of B
// that lie in memory k after k are cut into pieces of four cache lines of bf16, no shorter, as each row may be in a page
// of its own; and kernels that are faster than the second cache use what they have of A more than once.
static long packed_at_once(const multiplication *p, const scratch *s) {
  if (p->b.column == 1) return nl_min(4 * NL_PANEL, s->b_columns);
  return (p->kernels->panels == 2 ? 2 : 1) * NL_PANEL;
}
static range some_from(long n, long count, range columns) { return (range){n, nl_min(n + count, columns.end)}; }

// What is packed after this panel of the block of k; `count` columns at a time.
static nl_prefetch lines_after(const multiplication *p, long k, range panel, long count, range group, range after,
                               range stretch) {
  if (panel.end < group.end) return b_lines(p, k, some_from(panel.end, count, group));
  if (k + NL_KBLOCK < stretch.end) return b_lines(p, k + NL_KBLOCK, some_from(group.first, count, group));
  if (after.first < after.end) return b_lines(p, stretch.first, some_from(after.first, count, after));
  return (nl_prefetch){0};
}

// The rows of A for k, of those packed from `first` on.
static void *packed_rows(const multiplication *p, const scratch *s, long k, long first, long rows) {
  return (char *)s->a + (k - first) * rows * p->kernels->a_bytes;
}

// The columns of one group, for all k of a stretch whose A is packed. Each panel is used as soon as it is packed,
// while it is in the first cache; the group is as wide as A's block stays in the second one worth coming back to.
static void group_by_panels(const multiplication *p, range rows, range group, range after, range stretch,
                            const scratch *s) {
  const long row_count = rows.end - rows.first, count = packed_at_once(p, s);
  for (long k = stretch.first; k < stretch.end; k += NL_KBLOCK)
    for (long n = group.first; n < group.end; n += count) {
      const range panel = some_from(n, count, group);
      pack_b(p, k, panel, s->b);
      multiply(p, rows, panel, k, packed_rows(p, s, k, stretch.first, row_count), s->b,
               lines_after(p, k, panel, count, group, after, stretch));
    }
}

static void columns_by_panels(const multiplication *p, range rows, range columns, range stretch, const scratch *s) {
  for (long n = columns.first; n < columns.end; n += GROUP) {
    const range group = some_from(n, GROUP, columns);
    group_by_panels(p, rows, group, some_from(group.end, GROUP, columns), stretch, s);
  }
}

// How much of k is packed for so many rows.
static long packed_depth(const scratch *s, long rows) {
  return nl_min(DEPTH, s->a_size / rows / NL_KBLOCK * NL_KBLOCK);
}

static void run_by_panels(const multiplication *p, range rows, range columns, const scratch *s) {
  for (long m = rows.first; m < rows.end; m += s->a_rows) {
    const range some = some_from(m, s->a_rows, rows);
    const long count = some.end - some.first, length = packed_depth(s, count);
    for (long from = 0; from < p->K; from += length) {
      const range stretch = {from, nl_min(from + length, p->K)};
      for (long k = from; k < stretch.end; k += NL_KBLOCK)
        pack_a(p, some, k, packed_rows(p, s, k, from, count));
      columns_by_panels(p, some, columns, stretch, s);
    }
  }
}

static range tile_at(const multiplication *p, long m, range rows) {
  return (range){m, nl_min(m + p->kernels->tile_rows, rows.end)};
}

static void run_by_tiles(const multiplication *p, range rows, range columns, const scratch *s) {
  const long group = p->in_place ? p->N : s->b_columns;
  // Of short sums C is what comes from memory, else A. What is near is not asked for beforehand, which costs, too.
  const bool is_short = p->K <= SHORT, is_far = is_short ? (double)p->M * (double)p->N > MOST_OF_C_NEAR
                                                         : (double)p->M * (double)p->K > MOST_OF_A_NEAR;
  for (long n = columns.first; n < columns.end; n += group) {
    const range some = {n, nl_min(n + group, columns.end)};
    for (long k = 0; k < p->K; k += NL_KBLOCK) {
      pack_b(p, k, some, s->b);
      for (long m = rows.first; m < rows.end; m += p->kernels->tile_rows) {
        const range tile = tile_at(p, m, rows), after = tile_at(p, tile.end, rows);
        pack_a(p, tile, k, s->a);
        const nl_prefetch next = is_short ? c_lines(p, after, some) : a_lines(p, after, k);
        multiply(p, tile, some, k, s->a, s->b, is_far ? next : (nl_prefetch){0});
      }
    }
  }
}

// Rows of A at a time: their pairs, of all k, stay in the second cache beside the weights that pass by, and their rows
// of C in as many pages as the processor keeps translations for.
static long rows_by_weights(const multiplication *p, const scratch *s) {
  const long room = nl_min(PAIRS_BYTES, s->a_size * (long)sizeof(float)) / (p->K * 2);
  return nl_min(PAIRS_ROWS, room) / NL_PANEL * NL_PANEL;
}

static void columns_by_weights(const multiplication *p, range rows, range columns, const scratch *s) {
  for (long n = columns.first; n < columns.end; n += NL_PANEL) {
    const range some = some_from(n, NL_PANEL, columns), after = some_from(some.end, NL_PANEL, columns);
    p->kernels->weights->multiply(&(nl_weights_block){
        .rows = rows.end - rows.first,
        .columns = some.end - some.first,
        .depth = p->K,
        .pairs = s->a,
        .weights = part_at(p->b, 0, n).at,
        .row = p->b.column * 2,
        .c = p->c + rows.first * p->ldc + n,
        .ldc = p->ldc,
        .next = lines(part_at(p->b, 0, after.first), p->K, after.end - after.first),
    });
  }
}

static void run_by_weights(const multiplication *p, range rows, range columns, const scratch *s) {
  for (long m = rows.first; m < rows.end; m += rows_by_weights(p, s)) {
    const range some = some_from(m, rows_by_weights(p, s), rows);
    p->kernels->weights->pack(part_at(p->a, m, 0), some.end - some.first, p->K, s->a);
    columns_by_weights(p, some, columns, s);
  }
}

static void run(const multiplication *p, range rows, range columns, const scratch *s) {
  if (p->by_weights && rows_by_weights(p, s) > 0)
    run_by_weights(p, rows, columns, s);
  else if (p->by_tiles)
    run_by_tiles(p, rows, columns, s);
  else
    run_by_panels(p, rows, columns, s);
}

// Without memory for the scratch: the same in smaller pieces.
static __attribute__((noinline)) void run_on_stack(const multiplication *p, range rows, range columns) {
  float a[SMALL_ROWS * NL_KBLOCK], b[SMALL_GROUP * NL_KBLOCK];
  run(p, rows, columns, &(scratch){a, b, SMALL_ROWS, SMALL_ROWS * NL_KBLOCK, SMALL_GROUP});
}

// ---- threads ------------------------------------------------------------------------------------------------------
// Part `part` of `parts` of n, cut at multiples of `unit`.
static range share(long n, long unit, long part, long parts) {
  const long units = nl_parts(n, unit);
  return (range){nl_min(n, units * part / parts * unit), nl_min(n, units * (part + 1) / parts * unit)};
}

static scratch scratch_in(const multiplication *p, float *memory) {
  return (scratch){memory, memory + (long)ROWS * DEPTH, ROWS / p->kernels->tile_rows * p->kernels->tile_rows,
                   (long)ROWS * DEPTH, NARROW};
}

static nl_float_state begin(const multiplication *p) { return p->flushes ? nl_float_flush() : nl_float_begin(); }

static void run_part(void *context, long part) {
  const multiplication *p = context;
  range rows = {0, p->M}, columns = {0, p->N};
  if (p->split_rows)
    rows = share(p->M, p->kernels->tile_rows, part, p->parts);
  else
    columns = share(p->N, NL_PANEL, part, p->parts);
  if (rows.first >= rows.end || columns.first >= columns.end) return;
  float *memory = nl_thread_scratch();
  const nl_float_state state = begin(p);
  if (!memory) {
    run_on_stack(p, rows, columns);
  } else {
    const scratch s = scratch_in(p, memory);
    run(p, rows, columns, &s);
  }
  nl_float_end(state);
}

// ---- columns by threads that share the packed rows of A -------------------------------------------------------------
// In the caller's scratch: packed once, by all threads, whatever the number of threads and of parts.
typedef struct {
  const multiplication *p;
  scratch shared;
  range rows, stretch;
  long row_parts;
} shared_rows;

enum { SHARED_ROWS = 96 };  // in one part of the packing: a multiple of all kernels' tiles and panels

static void pack_shared_part(void *context, long part) {
  const shared_rows *w = context;
  const multiplication *p = w->p;
  const range rows = some_from(w->rows.first + part % w->row_parts * SHARED_ROWS, SHARED_ROWS, w->rows);
  const nl_float_state state = begin(p);
  if (p->by_weights) {
    p->kernels->weights->pack(part_at(p->a, rows.first, 0), rows.end - rows.first, p->K,
                              (char *)w->shared.a + (rows.first - w->rows.first) * p->K * 2);
  } else {
    const long k = w->stretch.first + part / w->row_parts * NL_KBLOCK, count = w->rows.end - w->rows.first;
    char *block = packed_rows(p, &w->shared, k, w->stretch.first, count);
    pack_a(p, rows, k, block + (rows.first - w->rows.first) * NL_KBLOCK * p->kernels->a_bytes);
  }
  nl_float_end(state);
}

static void multiply_shared(const shared_rows *w, range columns, void *b, long b_columns) {
  scratch s = w->shared;
  s.b = b;
  s.b_columns = b_columns;
  if (w->p->by_weights)
    columns_by_weights(w->p, w->rows, columns, &s);
  else
    columns_by_panels(w->p, w->rows, columns, w->stretch, &s);
}

static __attribute__((noinline)) void multiply_shared_on_stack(const shared_rows *w, range columns) {
  float b[SMALL_GROUP * NL_KBLOCK];
  multiply_shared(w, columns, b, SMALL_GROUP);
}

static void multiply_shared_part(void *context, long part) {
  const shared_rows *w = context;
  const range columns = share(w->p->N, NL_PANEL, part, w->p->parts);
  if (columns.first >= columns.end) return;
  float *memory = nl_thread_scratch();
  const nl_float_state state = begin(w->p);
  if (memory)
    multiply_shared(w, columns, scratch_in(w->p, memory).b, NARROW);
  else
    multiply_shared_on_stack(w, columns);
  nl_float_end(state);
}

static void run_shared(nl_pool *pool, const multiplication *p, float *memory) {
  shared_rows w = {.p = p, .shared = scratch_in(p, memory)};
  const range all = {0, p->M};
  const long most_rows = p->by_weights ? rows_by_weights(p, &w.shared) : w.shared.a_rows;
  for (long m = 0; m < p->M; m += most_rows) {
    w.rows = some_from(m, most_rows, all);
    w.row_parts = nl_parts(w.rows.end - m, SHARED_ROWS);
    const long length = p->by_weights ? p->K : packed_depth(&w.shared, w.rows.end - m);
    for (long from = 0; from < p->K; from += length) {
      w.stretch = (range){from, nl_min(from + length, p->K)};
      const long blocks = p->by_weights ? 1 : nl_parts(w.stretch.end - from, NL_KBLOCK);
      nl_pool_run(pool, w.row_parts * blocks, pack_shared_part, &w);
      nl_pool_run(pool, p->parts, multiply_shared_part, &w);
    }
  }
}

// Whether it is worth a second region of threads, and possible.
static bool shares_rows(const multiplication *p, float *memory) {
  if (!memory || p->parts == 1 || p->split_rows || p->by_tiles) return false;
  if ((double)p->M * (double)p->K < FEWEST_SHARED) return false;
  const scratch s = scratch_in(p, memory);
  return !p->by_weights || rows_by_weights(p, &s) > 0;
}

// Columns or rows, whichever leaves the threads the more even shares. Rows must win clearly: each thread then packs
// the whole of B for itself.
static void divide(multiplication *p, long threads) {
  p->parts = 1;
  if (threads == 1 || (double)p->M * (double)p->N * (double)p->K < FEW_OPERATIONS) return;
  const long panels = nl_parts(p->N, NL_PANEL), tiles = nl_parts(p->M, p->kernels->tile_rows);
  const double by_columns = (double)nl_parts(panels, threads) / (double)panels;
  const double by_rows = (double)nl_parts(tiles, threads) / (double)tiles;
  p->split_rows = by_rows < 0.9 * by_columns;
  p->parts = nl_min(threads, p->split_rows ? tiles : panels);
  // Many columns are cut finer, so that a thread that is held up holds up less.
  if (!p->split_rows && panels >= 64 * threads) p->parts = 4 * threads;
}

// ---- entry --------------------------------------------------------------------------------------------------------
static const nl_matmul_kernels *kernels_f32(long columns, long a_col) {
  const bool narrow = columns <= NL_FEW_COLUMNS && a_col == 1;
#if defined(__aarch64__)
  return &nl_matmul_neon;
#else
  switch (nl_isa_current()) {
#if defined(__x86_64__)
    case NL_ISA_AMX:
    case NL_ISA_AVX512_BF16:
    case NL_ISA_AVX512: return narrow ? &nl_matmul_avx512_narrow : &nl_matmul_avx512;
    case NL_ISA_AVX2: return &nl_matmul_avx2;
#endif
    default: return &nl_matmul_baseline;
  }
#endif
}

static const nl_matmul_kernels *kernels_bf16_dot(void) {
#if defined(__aarch64__)
  return &nl_matmul_bf16_dot_neon;
#else
  switch (nl_isa_current()) {
#if defined(__x86_64__)
    case NL_ISA_AVX512_BF16: return &nl_matmul_bf16_dot_avx512_bf16;
    // CPUs with AMX do a dot product in four times the time of a fused multiply-add, which makes two of these faster.
    case NL_ISA_AMX:
    case NL_ISA_AVX512: return &nl_matmul_bf16_dot_avx512;
    case NL_ISA_AVX2: return &nl_matmul_bf16_dot_avx2;
#endif
    default: return &nl_matmul_bf16_dot_baseline;
  }
#endif
}

static const nl_matmul_kernels *kernels_bf16_tiles(void) {
#if defined(__aarch64__)
  return &nl_matmul_bf16_tiles_neon;
#else
  switch (nl_isa_current()) {
#if defined(__x86_64__)
    case NL_ISA_AMX: return &nl_matmul_bf16_tiles_amx;
    case NL_ISA_AVX512_BF16:
    case NL_ISA_AVX512: return &nl_matmul_bf16_tiles_avx512;
    case NL_ISA_AVX2: return &nl_matmul_bf16_tiles_avx2;
#endif
    default: return &nl_matmul_bf16_tiles_baseline;
  }
#endif
}

static void clear(long M, long N, float *c, long ldc) {
  for (long m = 0; m < M; m++) memset(c + m * ldc, 0, (size_t)N * sizeof *c);
}

static void start(nl_pool *pool, multiplication p) {
  if (p.M <= 0 || p.N <= 0) return;
  if (p.K <= 0) {
    if (!p.accumulate) clear(p.M, p.N, p.c, p.ldc);
    return;
  }
  p.by_tiles = p.N <= NARROW || p.K <= SHORT;
  p.by_weights = !p.by_tiles && p.kernels->weights && !p.accumulate && p.K % 32 == 0 && p.a.column == 1 &&
                 p.b.type == NL_BF16 && p.b.row == 1;
  divide(&p, nl_pool_threads(pool));
  float *memory = nl_thread_scratch();
  if (shares_rows(&p, memory))
    run_shared(pool, &p, memory);
  else
    nl_pool_run(pool, p.parts, run_part, &p);
}

void nl_matmul(nl_pool *pool, long M, long N, long K, const float *a, long a_row, long a_col, const void *b,
               nl_dtype b_type, long b_row, long b_col, float *c, long ldc, bool accumulate) {
  start(pool, (multiplication){
      .kernels = kernels_f32(N, a_col),
      .M = M, .N = N, .K = K,
      .a = {a, NL_F32, a_row, a_col},
      .b = {b, b_type, b_row, b_col},
      .c = c, .ldc = ldc, .accumulate = accumulate,
      .in_place = b_type == NL_F32 && b_col == 1 && (M <= IN_PLACE || K <= SHORT),
  });
}

static void start_mixed(const nl_matmul_kernels *kernels, nl_pool *pool, long M, long N, long K, const float *a,
                        long a_row, long a_col, const void *b, nl_dtype b_type, long b_row, long b_col, float *c,
                        long ldc, bool accumulate) {
  start(pool, (multiplication){
      .kernels = kernels,
      .M = M, .N = N, .K = K,
      .a = {a, NL_F32, a_row, a_col},
      .b = {b, b_type, b_row, b_col},
      .c = c, .ldc = ldc, .accumulate = accumulate,
      .flushes = true,
  });
}

void nl_matmul_bf16_dot(nl_pool *pool, long M, long N, long K, const float *a, long a_row, long a_col, const void *b,
                    nl_dtype b_type, long b_row, long b_col, float *c, long ldc, bool accumulate) {
  start_mixed(kernels_bf16_dot(), pool, M, N, K, a, a_row, a_col, b, b_type, b_row, b_col, c, ldc, accumulate);
}

void nl_matmul_bf16_tiles(nl_pool *pool, long M, long N, long K, const float *a, long a_row, long a_col, const void *b,
                   nl_dtype b_type, long b_row, long b_col, float *c, long ldc, bool accumulate) {
  if (nl_tiles_suit_bf16(M, N, K, b_col))
    return nl_tiles_multiply_bf16(pool, M, K, a, a_row, a_col, &(nl_factor){b, b_type, b_row, b_col, N, c, ldc, accumulate});
  start_mixed(kernels_bf16_tiles(), pool, M, N, K, a, a_row, a_col, b, b_type, b_row, b_col, c, ldc, accumulate);
}
