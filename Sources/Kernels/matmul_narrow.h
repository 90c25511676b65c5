// The matrix product in f32 for so few columns that they fill half of a vector, as the ranks of LoRA are: pairs of rows of
// A side by side, (a[2i][k], a[2i + 1][k]), times columns that stand twice. For 16 lanes; included after matmul_f32.h,
// whose packing it uses; NARROW_TABLE is the name of its table. Each element is the same chain as there.

enum { NARROW_PAIRS = 12, PAIR_NUMBERS = 2 * NL_KBLOCK };
_Static_assert(LANES == 2 * NL_FEW_COLUMNS, "half a vector");
typedef double pair_of_floats __attribute__((may_alias, aligned(4)));
typedef double pairs_of_floats __attribute__((ext_vector_type(LANES / 2)));
typedef float half_vector __attribute__((ext_vector_type(LANES / 2), aligned(4)));

// The sums of `pairs` pairs of rows; lane 2j is of the first row and column j, lane 2j + 1 of the second.
INLINE void narrow_sums(const int pairs, long depth, const float *a, const float *b, vector *sum, ahead *next) {
  UNROLL for (int i = 0; i < pairs; i++) sum[i] = (vector)(0);
  for (long from = 0; from < depth; from += STRETCH) {
    const long end = depth - from < STRETCH ? depth : from + STRETCH;
    prefetch_round(next);
    for (long k = from; k < end; k++) {
      const vector w = *(const vector *)(b + k * LANES);
      UNROLL for (int i = 0; i < pairs; i++) {
        const pairs_of_floats x = (pairs_of_floats)(*(const pair_of_floats *)(a + i * PAIR_NUMBERS + 2 * k));
        sum[i] = __builtin_elementwise_fma(__builtin_bit_cast(vector, x), w, sum[i]);
      }
    }
  }
}

static void put_narrow_row(half_vector sum, long columns, float *c, bool add) {
  if (columns == NL_FEW_COLUMNS) {
    half_vector *to = (half_vector *)(void *)c;
    *to = add ? *to + sum : sum;
    return;
  }
  for (long j = 0; j < columns; j++) c[j] = add ? c[j] + sum[j] : sum[j];
}

static void multiply_narrow(const nl_matmul_block *block) {
  const long most = 2 * NARROW_PAIRS, tiles = (block->rows + most - 1) / most;
  ahead next = spread(&block->next, tiles * ((block->depth + STRETCH - 1) / STRETCH));
  for (long first = 0; first < block->rows; first += most) {
    vector sum[NARROW_PAIRS];
    const long rows = block->rows - first < most ? block->rows - first : most;
    const float *a = (const float *)block->a + first * NL_KBLOCK;
    if (rows > 16)
      narrow_sums(NARROW_PAIRS, block->depth, a, block->b, sum, &next);
    else if (rows > 8)
      narrow_sums(8, block->depth, a, block->b, sum, &next);
    else
      narrow_sums(4, block->depth, a, block->b, sum, &next);
    for (long i = 0; i < rows; i++) {
      const vector s = sum[i / 2];
      const half_vector row = i % 2 ? SHUFFLE(s, s, 1, 3, 5, 7, 9, 11, 13, 15) : SHUFFLE(s, s, 0, 2, 4, 6, 8, 10, 12, 14);
      put_narrow_row(row, block->columns, block->c + (first + i) * block->ldc, block->add);
    }
  }
}

// Pairs of rows; what lacks of the last ones that are multiplied together is zero.
static void pack_a_narrow(nl_matrix_part from, long rows, long depth, void *to) {
  for (long i = 0; i < (rows + 7) / 8 * 8; i += 2) {
    const float *x = (const float *)from.at + i * from.row, *y = x + from.row;
    float *pair = (float *)to + i * NL_KBLOCK;
    long k = 0;
    for (; i + 1 < rows && k + LANES <= depth; k += LANES) {
      const vector a = load_f32(x + k), b = load_f32(y + k);
      *(vector *)(pair + 2 * k) = SHUFFLE(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      *(vector *)(pair + 2 * k + LANES) = SHUFFLE(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    for (; k < depth; k++) {
      pair[2 * k] = i < rows ? x[k] : 0;
      pair[2 * k + 1] = i + 1 < rows ? y[k] : 0;
    }
  }
}

// Each number twice. The panel of f32 is folded where it stands: what is written never overtakes what is read.
static void pack_b_narrow(nl_matrix_part from, long depth, long columns, void *to) {
  F32_TABLE.pack_b(from, depth, columns, to);
  for (long k = 0; k < depth; k++) {
    const vector w = load_f32((const float *)to + k * NL_PANEL);
    *(vector *)((float *)to + k * LANES) = SHUFFLE(w, w, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  }
}

const nl_matmul_kernels NARROW_TABLE = {
    .tile_rows = 2 * NARROW_PAIRS,
    .a_bytes = sizeof(float),
    .b_words = NL_KBLOCK * NL_PANEL,
    .multiply = multiply_narrow,
    .pack_a = pack_a_narrow,
    .pack_b = pack_b_narrow,
};
