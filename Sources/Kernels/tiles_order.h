// Products by tiles, in their order and to their bits, for CPUs without tiles; TILES_TABLE is the name of its table.
// Included after tiles_fma.h or tiles_dot.h, which define
//  - tile_number, a packed number, or a pair of them; ROW_NUMBERS and TERM_NUMBERS, those of a row and of a term of a step
//  - pack_tile_rows, as nl_tile_kernels.pack
//  - pack_tile_columns, at most STRIP_PANELS panels of W for a block of k, COLUMNS_NUMBERS from each other
//  - tile_columns, where of such a panel a term of a step is
//  - step_chain, the chain over the even k of a step, or with `odd` over the others, from zero.
//
// Of each 32 k the even ones make a chain from zero, the odd ones another, and the sum of both is added to the sums so
// far: once for each product of terms.

// What a panel of W and one of X add to C for a block of k: a sum from zero, or one that goes on from C.
typedef struct {
  float *c;
  long ldc, rows, columns;
  bool add;
} tile_corner;

// `rows` rows and TILE_VECTORS vectors of columns.
INLINE void block_sums(const nl_tile_pass *pass, const int rows, long steps, const tile_number *x, const tile_number *w,
                       float *c, long ldc, bool add, ahead *next) {
  vector sum[TILE_ROWS][TILE_VECTORS];
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < TILE_VECTORS; v++)
    sum[i][v] = add && !pass->blocks ? *(const vector *)(c + i * ldc + v * LANES) : (vector)(0);
  UNROLL for (int i = 0; i < rows; i++) __builtin_prefetch(c + i * ldc, 1);
  for (long step = 0; step < steps; step++) {
    prefetch_round(next);
    for (int p = 0; p < pass->products; p++) {
      const tile_number *xs = x + (step * pass->x_terms + pass->order[p][0]) * TERM_NUMBERS;
      const tile_number *ws = tile_columns(w, pass->w_terms, step, pass->order[p][1]);
      vector even[TILE_ROWS][TILE_VECTORS], odd[TILE_ROWS][TILE_VECTORS];
      step_chain(rows, 0, xs, ws, even);
      step_chain(rows, 1, xs, ws, odd);
      UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < TILE_VECTORS; v++)
        sum[i][v] += even[i][v] + odd[i][v];
    }
  }
  UNROLL for (int i = 0; i < rows; i++) UNROLL for (int v = 0; v < TILE_VECTORS; v++) {
    vector *to = (vector *)(c + i * ldc + v * LANES);
    *to = add && pass->blocks ? *to + sum[i][v] : sum[i][v];
  }
}

// Rows that are computed at a time, when so many are left: those beyond the last one are zeros of the panel, or what lies
// after it (BEYOND in tiles.c), and not used.
enum { FEW_ROWS = TILE_ROWS > 8 ? 8 : TILE_ROWS, FEWEST_ROWS = 4 };
static long rows_at_once(long left) { return left > FEW_ROWS ? TILE_ROWS : left > FEWEST_ROWS ? FEW_ROWS : FEWEST_ROWS; }

static void sums_of_rows(const nl_tile_pass *pass, long rows, long steps, const tile_number *x, const tile_number *w,
                         float *c, long ldc, bool add, ahead *next) {
  if (rows == TILE_ROWS)
    block_sums(pass, TILE_ROWS, steps, x, w, c, ldc, add, next);
  else if (rows == FEW_ROWS)
    block_sums(pass, FEW_ROWS, steps, x, w, c, ldc, add, next);
  else
    block_sums(pass, FEWEST_ROWS, steps, x, w, c, ldc, add, next);
}

// The same of which only some rows and columns exist in C: computed beside it.
static void sums_beside(const nl_tile_pass *pass, long rows, long steps, const tile_number *x, const tile_number *w,
                        const tile_corner *to, ahead *next) {
  enum { WIDTH = TILE_VECTORS * LANES };
  float beside[TILE_ROWS * WIDTH] = {0};
  for (long i = 0; i < to->rows && to->add; i++)
    memcpy(beside + i * WIDTH, to->c + i * to->ldc, (size_t)to->columns * sizeof *beside);
  sums_of_rows(pass, rows, steps, x, w, beside, WIDTH, to->add, next);
  for (long i = 0; i < to->rows; i++)
    memcpy(to->c + i * to->ldc, beside + i * WIDTH, (size_t)to->columns * sizeof *beside);
}

static void add_block(const nl_tile_pass *pass, long steps, const tile_number *x, const tile_number *w,
                      const tile_corner *to, ahead *next) {
  for (long i = 0, rows; i < to->rows; i += rows) {
    const long left = to->rows - i;
    rows = rows_at_once(left);
    for (long j = 0; j < to->columns; j += TILE_VECTORS * LANES) {
      const tile_corner corner = {
          to->c + i * to->ldc + j, to->ldc, left < rows ? left : rows,
          to->columns - j < TILE_VECTORS * LANES ? to->columns - j : TILE_VECTORS * LANES, to->add};
      if (corner.rows == rows && corner.columns == TILE_VECTORS * LANES)
        sums_of_rows(pass, rows, steps, x + i * ROW_NUMBERS, w + j, corner.c, to->ldc, to->add, next);
      else
        sums_beside(pass, rows, steps, x + i * ROW_NUMBERS, w + j, &corner, next);
    }
  }
}

// Columns of a factor for a block of k, where they lie.
static nl_matrix_part columns_at(const nl_tile_run *r, const nl_factor *f, long column, long block) {
  const long bytes = f->b_type == NL_F32 ? 4 : 2;
  const char *at = (const char *)f->b + ((r->first_k + block) * f->b_row + column * f->b_col) * bytes;
  return (nl_matrix_part){at, f->b_type, f->b_row, f->b_col};
}

enum {
  STRIP_COLUMNS = STRIP_PANELS * NL_TILE_PANEL,
  TILES_AT_ONCE = NL_TILE_PANEL / (TILE_VECTORS * LANES),  // of the columns of a panel
};
_Static_assert(STRIP_PANELS * COLUMNS_NUMBERS * sizeof(tile_number) <= NL_TILE_SCRATCH, "scratch");

static long block_end(const nl_tile_run *r, long block) {
  return block + NL_TILE_BLOCK < r->depth ? block + NL_TILE_BLOCK : r->depth;
}

static nl_prefetch lines_of(const nl_tile_run *r, const nl_factor *f, long column, long columns, long block) {
  const nl_matrix_part from = columns_at(r, f, column, block);
  const long depth = block_end(r, block) - block, bytes = f->b_type == NL_F32 ? 4 : 2;
  return from.row == 1 ? (nl_prefetch){from.at, columns, from.column * bytes, depth * bytes}
                       : (nl_prefetch){from.at, depth, from.row * bytes, columns * bytes};
}

// What is packed after a block of these columns: the next block of k, or the same number of columns beyond them.
static nl_prefetch lines_after(const nl_tile_run *r, const nl_factor *f, long column, long columns, long block) {
  if (block_end(r, block) < r->depth) return lines_of(r, f, column, columns, block_end(r, block));
  const long rest = f->N - column - columns;
  return rest > 0 ? lines_of(r, f, column + columns, rest < columns ? rest : columns, 0) : (nl_prefetch){0};
}

// One panel of W, packed for a block of k, with all rows of X.
static void multiply_panel(const nl_tile_run *r, const nl_factor *f, long column, long block, const tile_number *w,
                           ahead *next) {
  const long x_step = r->pass->x_terms * TERM_NUMBERS, x_panel = nl_tile_steps(r->depth) * x_step;
  const tile_number *x = (const tile_number *)(const void *)r->x + block / NL_TILE_STEP * x_step;
  for (long row = 0; row < r->rows; row += NL_TILE_PANEL, x += x_panel) {
    const tile_corner corner = {
        .c = f->c + (r->first_row + row) * f->ldc + column, .ldc = f->ldc,
        .rows = r->rows - row < NL_TILE_PANEL ? r->rows - row : NL_TILE_PANEL,
        .columns = f->N - column < NL_TILE_PANEL ? f->N - column : NL_TILE_PANEL,
        .add = r->accumulate || block > 0,
    };
    add_block(r->pass, nl_tile_steps(block_end(r, block) - block), x, w, &corner, next);
  }
}

static void multiply_strip(const nl_tile_run *r, const nl_factor *f, long column, long columns) {
  tile_number *w = (tile_number *)(void *)r->scratch;
  const long panels = nl_tile_panels(columns), tiles = (r->rows + TILE_ROWS - 1) / TILE_ROWS * TILES_AT_ONCE;
  for (long block = 0; block < r->depth; block += NL_TILE_BLOCK) {
    const long depth = block_end(r, block) - block;
    pack_tile_columns(columns_at(r, f, column, block), depth, columns, r->pass->w_terms, w);
    const nl_prefetch after = lines_after(r, f, column, columns, block);
    ahead next = spread(&after, panels * tiles * nl_tile_steps(depth));
    for (long panel = 0; panel < panels; panel++)
      multiply_panel(r, f, column + panel * NL_TILE_PANEL, block, w + panel * COLUMNS_NUMBERS, &next);
  }
}

static void run_tile_panels(const nl_tile_run *r) {
  const nl_factor *f = r->list;
  long before = 0;  // panels of the factors before this one
  for (long panel = r->first_panel; panel < r->end_panel;) {
    for (; panel - before >= nl_tile_panels(f->N); f++) before += nl_tile_panels(f->N);
    const long column = (panel - before) * NL_TILE_PANEL, rest = (r->end_panel - panel) * NL_TILE_PANEL;
    const long exist = f->N - column < rest ? f->N - column : rest;
    const long columns = exist < STRIP_COLUMNS ? exist : STRIP_COLUMNS;
    multiply_strip(r, f, column, columns);
    panel += nl_tile_panels(columns);
  }
}

const nl_tile_kernels TILES_TABLE = {
    .number_bytes = sizeof(tile_number) * ROW_NUMBERS / NL_TILE_STEP, .pack = pack_tile_rows, .run = run_tile_panels};
