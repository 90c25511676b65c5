// The sums of tiles_amx.c and C: where they come from, and where they go.

// A corner of C and how much of a panel's rows and columns exists there.
typedef struct {
  float *c;
  long ldc, rows, columns;
} corner;

// Forward, sums are [column][row]: transposed by squares; what lacks is left out, or zero.
static void transposed(const float *sums, const corner *to, long row, long column) {
  float *c = to->c + row * to->ldc + column;
  if (row + SIDE <= to->rows && column + SIDE <= to->columns)
    return square_words((const char *)sums, 64, (uint32_t *)(void *)c, to->ldc);
  uint32_t square[SUMS];
  square_words((const char *)sums, 64, square, SIDE);
  for (long i = 0; i < SIDE && row + i < to->rows; i++)
    _mm512_mask_storeu_ps(c + i * to->ldc, (__mmask16)first_of(to->columns - column),
                          _mm512_loadu_ps(square + i * SIDE));
}

static void transposed_back(float *sums, const corner *from, long row, long column) {
  float square[SUMS];
  const float *c = from->c + row * from->ldc + column;
  const __mmask16 mask = (__mmask16)first_of(from->columns - column);
  for (long i = 0; i < SIDE; i++)
    _mm512_storeu_ps(square + i * SIDE, _mm512_maskz_loadu_ps(row + i < from->rows ? mask : 0, c + i * from->ldc));
  square_words((const char *)square, 64, (uint32_t *)(void *)sums, SIDE);
}

// Backward, sums are [row][column] with the columns in the order of pack_pairs.
static void permuted(const float *sums, const corner *to, long half) {
  const __m512i low = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const __m512i high = _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  const uint32_t mask = first_of(to->columns);
  for (long i = 0; i < SIDE && half * SIDE + i < to->rows; i++) {
    const __m512 a = _mm512_loadu_ps(sums + i * SIDE), b = _mm512_loadu_ps(sums + 2 * SUMS + i * SIDE);
    float *c = to->c + (half * SIDE + i) * to->ldc;
    _mm512_mask_storeu_ps(c, (__mmask16)mask, _mm512_permutex2var_ps(a, low, b));
    _mm512_mask_storeu_ps(c + SIDE, (__mmask16)(mask >> 16), _mm512_permutex2var_ps(a, high, b));
  }
}

static void permuted_back(float *sums, const corner *from, long half) {
  const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
  const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(4));
  const uint32_t mask = first_of(from->columns);
  for (long i = 0; i < SIDE; i++) {
    const bool exists = half * SIDE + i < from->rows;
    __m512 low, high;
    load_floats(from->c + (half * SIDE + i) * from->ldc, exists ? mask : 0, &low, &high);
    _mm512_storeu_ps(sums + i * SIDE, _mm512_permutex2var_ps(low, first, high));
    _mm512_storeu_ps(sums + 2 * SUMS + i * SIDE, _mm512_permutex2var_ps(low, second, high));
  }
}

static void put_out(bool forward, const float *sums, const corner *to) {
  for (long half = 0; half < 2; half++)
    if (forward)
      for (long w = 0; w < 2; w++) transposed(sums + (w * 2 + half) * SUMS, to, half * SIDE, w * SIDE);
    else
      permuted(sums + half * SUMS, to, half);
}

static void take_in(bool forward, float *sums, const corner *from) {
  for (long half = 0; half < 2; half++)
    if (forward)
      for (long w = 0; w < 2; w++) transposed_back(sums + (w * 2 + half) * SUMS, from, half * SIDE, w * SIDE);
    else
      permuted_back(sums + half * SUMS, from, half);
}

static void add_sums(const float *a, float *to) {
  for (long i = 0; i < PANEL_SUMS; i += LANES)
    _mm512_storeu_ps(to + i, _mm512_add_ps(_mm512_loadu_ps(to + i), _mm512_loadu_ps(a + i)));
}
