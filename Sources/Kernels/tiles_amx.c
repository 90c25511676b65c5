// Products by tiles with AMX: panels of W of 32 columns, packed while the panel before is multiplied, and rows of X that
// pass by them. tiles.h says what is what.
#include "tiles.h"
#if defined(__x86_64__)
#include <immintrin.h>

#include "matmul.h"
#include "tile_shapes.h"
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push( \
    __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma"))), \
    apply_to = function)
#define LANES 16
#include "matmul_isa.h"
#include "tiles_pack.h"

enum { SIDE = NL_TILE_SIDE, SUMS = SIDE * SIDE, PANEL_SUMS = 4 * SUMS };

// ---- products of a block ------------------------------------------------------------------------------------------
// Sums 0 and 1 are of the first tile of W with both of X, 2 and 3 of the second; 4, 5 hold W and 6, 7 X.
#define PRODUCT(sums, w, x)          \
  do {                               \
    if (forward)                     \
      _tile_dpbf16ps(sums, w, x);    \
    else                             \
      _tile_dpbf16ps(sums, x, w);    \
  } while (0)
#define LOAD_PAIR(first, second, at)                \
  do {                                              \
    _tile_loadd(first, (at), 64);                   \
    _tile_loadd(second, (at) + NL_TILE_BYTES, 64);  \
  } while (0)

// A block of W, packed or where it lies: bytes between rows of a tile, to the second tile, and to the next step.
typedef struct {
  const char *at;
  long row, second, step;
} w_block;

// Adds the products of one step of k. Whether a tile of W is loaded anew for each product is known when compiling.
INLINE void step_products(const nl_tile_pass *pass, const bool forward, const int products, const char *x,
                          const char *at, const w_block *w) {
  if (products < 5) {
    _tile_loadd(4, at, w->row);
    _tile_loadd(5, at + w->second, w->row);
  }
  UNROLL for (int i = 0; i < products; i++) {
    const char *xs = x + pass->order[i][0] * 2 * NL_TILE_BYTES;
    if (products >= 5) LOAD_PAIR(4, 5, at + pass->order[i][1] * 2 * NL_TILE_BYTES);
    _tile_loadd(6, xs, 64);
    PRODUCT(0, 4, 6);
    _tile_loadd(7, xs + NL_TILE_BYTES, 64);
    PRODUCT(1, 4, 7);
    PRODUCT(2, 5, 6);
    PRODUCT(3, 5, 7);
  }
}

// What is done between the products of a step and those of the next: a block of W is packed, and what comes after is
// asked for.
typedef struct {
  packing *next;  // NULL: there is none
  long pieces;    // of it, each time
  ahead after;
} errands;

// One panel of W with one of X for a block of k. The sums begin with those at `from`, or with zero.
typedef void multiply_block(const nl_tile_pass *pass, long steps, const char *x, const w_block *w, const float *from,
                            float *to, errands *errands);

INLINE void block_products(const nl_tile_pass *pass, const bool forward, const int products, long steps, const char *x,
                           const w_block *w, const float *from, float *to, errands *errands) {
  if (from) {
    LOAD_PAIR(0, 1, (const char *)from);
    LOAD_PAIR(2, 3, (const char *)(from + 2 * SUMS));
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  const char *at = w->at;
  for (long step = 0; step < steps; step++) {
    step_products(pass, forward, products, x, at, w);
    x += pass->x_terms * 2 * NL_TILE_BYTES;
    at += w->step;
    prefetch_round(&errands->after);
    if (errands->next) errands->next->advance(errands->next, errands->pieces);
  }
  _tile_stored(0, to, 64);
  _tile_stored(1, to + SUMS, 64);
  _tile_stored(2, to + 2 * SUMS, 64);
  _tile_stored(3, to + 3 * SUMS, 64);
}

#define MULTIPLY(name, forward, products)                                                                    \
  static void name(const nl_tile_pass *pass, long steps, const char *x, const w_block *w, const float *from, \
                   float *to, errands *errands) {                                                            \
    block_products(pass, forward, products, steps, x, w, from, to, errands);                                 \
  }
MULTIPLY(forward_one, true, 1)
MULTIPLY(forward_three, true, 3)
MULTIPLY(forward_five, true, 5)
MULTIPLY(forward_six, true, 6)
MULTIPLY(backward_one, false, 1)
MULTIPLY(backward_three, false, 3)
MULTIPLY(backward_five, false, 5)
MULTIPLY(backward_six, false, 6)
#undef MULTIPLY

static multiply_block *multiplier(const nl_tile_run *r) {
  switch (r->pass->products) {
    case 1: return r->forward ? forward_one : backward_one;
    case 3: return r->forward ? forward_three : backward_three;
    case 5: return r->forward ? forward_five : backward_five;
    default: return r->forward ? forward_six : backward_six;
  }
}

#include "tiles_sums.h"

// ---- the run of a thread ------------------------------------------------------------------------------------------
// A panel of W among those of all factors, and a block of k: what is multiplied after what.
typedef struct {
  long group, block, panel;  // the group's first panel, the block's first k (within the stretch), the panel
} place;

// k that are multiplied before the next panel. Where sums go on from C anyhow, the more the better.
static long block_size(const nl_tile_run *r) { return r->pass->blocks ? NL_TILE_BLOCK : NL_TILE_LONG_BLOCK; }
static long block_depth(const nl_tile_run *r, long block) {
  return r->depth - block < block_size(r) ? r->depth - block : block_size(r);
}

static long group_size(const nl_tile_run *r) { return NL_TILE_SUMS / nl_tile_panels(r->rows); }
static long group_end(const nl_tile_run *r, long group) {
  return group + group_size(r) < r->end_panel ? group + group_size(r) : r->end_panel;
}

// Panels of a group one after the other, block by block; then the next group. False after the last one.
static bool go_on(const nl_tile_run *r, place *at) {
  if (++at->panel < group_end(r, at->group)) return true;
  if ((at->block += block_size(r)) >= r->depth) {
    at->block = 0;
    at->group = group_end(r, at->group);
  }
  at->panel = at->group;
  return at->panel < r->end_panel;
}

static const nl_factor *factor_at(const nl_tile_run *r, long panel, long *column) {
  const nl_factor *f = r->list;
  for (; panel >= nl_tile_panels(f->N); f++) panel -= nl_tile_panels(f->N);
  *column = panel * NL_TILE_PANEL;
  return f;
}


// The columns of a factor, `count` of them, for a block of k, where they lie.
static nl_prefetch block_of(const nl_tile_run *r, const place *at, long count) {
  long column;
  const nl_factor *f = factor_at(r, at->panel, &column);
  const long bytes = f->b_type == NL_F32 ? 4 : 2, depth = block_depth(r, at->block);
  const long columns = f->N - column < count ? f->N - column : count;
  const char *from = (const char *)f->b + ((r->first_k + at->block) * f->b_row + column * f->b_col) * bytes;
  return r->forward ? (nl_prefetch){from, columns, f->b_col * bytes, depth * bytes}
                    : (nl_prefetch){from, depth, f->b_row * bytes, columns * bytes};
}

// W in bf16 whose k lie one after another is the left side of a product as it is, where nothing of a panel lacks.
static bool lies_ready(const nl_tile_run *r, const packing *p) {
  return r->forward && p->advance == rows_stored && p->whole;
}

static w_block view_of(const nl_tile_run *r, const packing *p) {
  return lies_ready(r, p) ? (w_block){p->from, p->row, SIDE * p->row, 64}
                          : (w_block){p->to, 64, NL_TILE_BYTES, r->pass->w_terms * 2 * NL_TILE_BYTES};
}

static packing packing_of(const nl_tile_run *r, const place *at, char *to) {
  long column;
  const nl_factor *f = factor_at(r, at->panel, &column);
  const nl_prefetch lines = block_of(r, at, NL_TILE_PANEL);
  const long columns = f->N - column < NL_TILE_PANEL ? f->N - column : NL_TILE_PANEL;
  const long depth = block_depth(r, at->block), steps = nl_tile_steps(depth);
  packing p = {
      .from = lines.at, .row = lines.stride,
      .columns = columns, .depth = depth,
      .whole = columns == NL_TILE_PANEL && depth % NL_TILE_STEP == 0,
      .pieces = steps * (r->forward ? ROW_PIECES : PAIR_PIECES), .steps = steps,
      .to = to,
      .advance = advance_of(r->forward, f->b_type, r->pass->w_terms),
  };
  if (lies_ready(r, &p)) p.pieces = 0;
  return p;
}

// A strip is some panels whose lines are asked for together, row by row, which the processor takes for streams.
static bool begins_strip(const place *at) { return (at->panel - at->group) % NL_TILE_STRIP == 0; }

// The strip after the one that begins here, to be asked for while this one is multiplied.
static ahead strip_after(const nl_tile_run *r, place at) {
  const long panels = nl_tile_panels(r->rows);
  long rounds = 0;
  do {
    rounds += panels * nl_tile_steps(block_depth(r, at.block));
    if (!go_on(r, &at)) return (ahead){{0}, 0, 0};
  } while (!begins_strip(&at));
  const long rest = group_end(r, at.group) - at.panel, width = rest < NL_TILE_STRIP ? rest : NL_TILE_STRIP;
  const nl_prefetch lines = block_of(r, &at, width * NL_TILE_PANEL);
  return spread(&lines, rounds);
}

// What one block of W adds to the sums of one panel of rows. C itself is read before the first block and written after
// the last.
static void multiply_rows(const nl_tile_run *r, const place *at, multiply_block *multiply, const char *x,
                          const w_block *w, float *sums, float *beside, const corner *c, errands *errands) {
  const bool first = at->block == 0, last = at->block + block_size(r) >= r->depth;
  const long steps = nl_tile_steps(block_depth(r, at->block));
  if (first && r->accumulate) take_in(r->forward, sums, c);
  const bool empty = first && !r->accumulate, beginning = r->pass->blocks || empty;
  float *to = r->pass->blocks && !empty ? beside : sums;
  if (last)
    for (long i = 0; i < c->rows; i++) {
      __builtin_prefetch(c->c + i * c->ldc, 1);
      __builtin_prefetch(c->c + i * c->ldc + c->columns - 1, 1);
    }
  multiply(r->pass, steps, x, w, beginning ? NULL : sums, to, errands);
  if (to == beside) add_sums(beside, sums);
  if (last) put_out(r->forward, sums, c);
}

static void multiply_panel(const nl_tile_run *r, const place *at, multiply_block *multiply, const w_block *w,
                           float *sums, errands *errands) {
  long column;
  const nl_factor *f = factor_at(r, at->panel, &column);
  const long panels = nl_tile_panels(r->rows), steps = nl_tile_steps(block_depth(r, at->block));
  const long x_step = r->pass->x_terms * 2 * NL_TILE_BYTES, x_panel = nl_tile_steps(r->depth) * x_step;
  packing *next = errands->next;
  if (next) errands->pieces = (next->pieces + panels * steps - 1) / (panels * steps);
  float *kept = sums + (at->panel - at->group) * panels * PANEL_SUMS;
  float *beside = sums + NL_TILE_SUMS * PANEL_SUMS;
  for (long p = 0; p < panels; p++) {
    const long row = p * NL_TILE_PANEL;
    const corner c = {
        f->c + (r->first_row + row) * f->ldc + column, f->ldc, r->rows - row < NL_TILE_PANEL ? r->rows - row : NL_TILE_PANEL,
        f->N - column < NL_TILE_PANEL ? f->N - column : NL_TILE_PANEL,
    };
    multiply_rows(r, at, multiply, r->x + p * x_panel + at->block / NL_TILE_STEP * x_step, w, kept + p * PANEL_SUMS,
                  beside, &c, errands);
  }
  if (next) next->advance(next, next->pieces);
}

static void run_panels(const nl_tile_run *r) {
  char *packed[2] = {r->scratch, r->scratch + NL_TILE_W_BYTES};
  float *sums = (float *)(void *)(r->scratch + 2 * NL_TILE_W_BYTES);
  multiply_block *multiply = multiplier(r);
  const tile_shapes shapes = whole_tiles();
  _tile_loadconfig(&shapes);
  place at = {r->first_panel, 0, r->first_panel};
  packing first = packing_of(r, &at, packed[0]);
  first.advance(&first, first.pieces);
  w_block w = view_of(r, &first);
  errands errands = {0};
  for (long turn = 0;; turn++) {
    place after = at;
    const bool more = go_on(r, &after);
    packing next;
    if (more) next = packing_of(r, &after, packed[(turn + 1) % 2]);
    errands.next = more && next.pieces > 0 ? &next : NULL;
    if (begins_strip(&at)) errands.after = strip_after(r, at);
    multiply_panel(r, &at, multiply, &w, sums, &errands);
    if (!more) break;
    w = view_of(r, &next);
    at = after;
  }
  // The kernel saves what tiles hold at every change of threads, unless they are let go.
  _tile_release();
}

const nl_tile_kernels nl_tiles_amx = {.number_bytes = sizeof(uint16_t), .pack = pack_panel, .run = run_panels};
#pragma clang attribute pop
#endif
