// What the inner loops of the matrix product share, for one instruction set. A file that includes this, and then
// matmul_f32.h or matmul_bf16.h, has set LANES (floats in a vector), TILE_ROWS and TILE_VECTORS (the register tile), and
// the target. Vector extensions only, so that one text serves all.

typedef float vector __attribute__((ext_vector_type(LANES), aligned(4)));
typedef uint32_t words __attribute__((ext_vector_type(LANES), aligned(2)));
typedef uint16_t halves __attribute__((ext_vector_type(LANES), aligned(2)));
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

// ---- prefetching --------------------------------------------------------------------------------------------------
enum { LINE = 64, STRETCH = 32 };  // bytes of a cache line; k between two rounds of prefetching

// What is left of a block's nl_prefetch, and how many lines are asked for in a round.
typedef struct {
  nl_prefetch left;
  long offset, lines;
} ahead;

INLINE ahead spread(const nl_prefetch *next, long rounds) {
  const long lines = next->rows * ((next->bytes + LINE - 1) / LINE);
  return (ahead){*next, 0, (lines + rounds - 1) / rounds};
}

INLINE void prefetch_round(ahead *next) {
  for (long line = 0; line < next->lines && next->left.rows > 0; line++) {
    __builtin_prefetch(next->left.at + next->offset, 0, 2);
    next->offset += LINE;
    if (next->offset < next->left.bytes) continue;
    next->offset = 0;
    next->left.at += next->left.stride;
    next->left.rows--;
  }
}

// ---- transposition ------------------------------------------------------------------------------------------------
// Interleaving within each four words of two vectors, by words and by pairs: one instruction each.
#define SHUFFLE __builtin_shufflevector
#if LANES == 16
#define LOW1(x, y) SHUFFLE(x, y, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define HIGH1(x, y) SHUFFLE(x, y, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define LOW2(x, y) SHUFFLE(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define HIGH2(x, y) SHUFFLE(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#elif LANES == 8
#define LOW1(x, y) SHUFFLE(x, y, 0, 8, 1, 9, 4, 12, 5, 13)
#define HIGH1(x, y) SHUFFLE(x, y, 2, 10, 3, 11, 6, 14, 7, 15)
#define LOW2(x, y) SHUFFLE(x, y, 0, 1, 8, 9, 4, 5, 12, 13)
#define HIGH2(x, y) SHUFFLE(x, y, 2, 3, 10, 11, 6, 7, 14, 15)
#else
#define LOW1(x, y) SHUFFLE(x, y, 0, 4, 1, 5)
#define HIGH1(x, y) SHUFFLE(x, y, 2, 6, 3, 7)
#define LOW2(x, y) SHUFFLE(x, y, 0, 1, 4, 5)
#define HIGH2(x, y) SHUFFLE(x, y, 2, 3, 6, 7)
#endif

// Four words of every fourth row, from `row` on: side by side.
INLINE words four_of_rows(const char *from, long stride, int row) {
  typedef uint32_t four __attribute__((ext_vector_type(4), aligned(2)));
#define FOUR(i) (*(const four *)(from + (row + (i)) * stride))
#if LANES == 16
  return SHUFFLE(SHUFFLE(FOUR(0), FOUR(4), 0, 1, 2, 3, 4, 5, 6, 7), SHUFFLE(FOUR(8), FOUR(12), 0, 1, 2, 3, 4, 5, 6, 7),
                 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#elif LANES == 8
  return SHUFFLE(FOUR(0), FOUR(4), 0, 1, 2, 3, 4, 5, 6, 7);
#else
  return FOUR(0);
#endif
#undef FOUR
}

// Four words of LANES rows become four vectors, one for each word. Putting pieces of rows together while they are
// loaded leaves but half of the shuffles of a transposition.
INLINE void transpose_four(const char *from, long stride, words to[4]) {
  const words a = four_of_rows(from, stride, 0), b = four_of_rows(from, stride, 1);
  const words c = four_of_rows(from, stride, 2), d = four_of_rows(from, stride, 3);
  const words ab = LOW1(a, b), cd = LOW1(c, d), ab_high = HIGH1(a, b), cd_high = HIGH1(c, d);
  to[0] = LOW2(ab, cd);
  to[1] = HIGH2(ab, cd);
  to[2] = LOW2(ab_high, cd_high);
  to[3] = HIGH2(ab_high, cd_high);
}

// LANES rows of LANES words; the rows of `from` are `stride` bytes apart.
INLINE void square_words(const char *from, long stride, uint32_t *to, long to_row) {
  UNROLL for (int c = 0; c < LANES; c += 4) {
    words w[4];
    transpose_four(from + 4 * c, stride, w);
    UNROLL for (int i = 0; i < 4; i++) *(words *)(to + (c + i) * to_row) = w[i];
  }
}

INLINE words widen_halves(const uint16_t *x) {
  typedef uint32_t wide __attribute__((ext_vector_type(LANES)));
  return __builtin_convertvector(*(const halves *)x, wide);
}

// ---- halves -------------------------------------------------------------------------------------------------------
// Numbers of f16 as f32, exactly, whether denormal numbers count as zeros or not: those of f16 are normal ones of f32.
#if defined(WIDEN_F16)  // the instruction, which the state of denormal numbers does not concern
INLINE vector widened_f16(halves x) { return __builtin_bit_cast(vector, WIDEN_F16(x)); }
#else
INLINE vector widened_f16(halves x) {
  typedef uint32_t wide __attribute__((ext_vector_type(LANES)));
  const wide bits = __builtin_convertvector(x, wide), rest = (bits & 0x7fff) << 13;
  // A fraction f of a denormal number stands for (1 + f)·2⁻¹⁴ − 2⁻¹⁴.
  const vector above = __builtin_bit_cast(vector, rest + 0x38800000);
  const wide denormal = __builtin_bit_cast(wide, above - (vector)(0x1p-14f)), normal = rest + 0x38000000;
  const wide is_denormal = (wide)(rest < 0x00800000), is_special = (wide)(rest >= 0x0f800000);
  const wide finite = (is_denormal & denormal) | (~is_denormal & normal);
  const wide size = (is_special & (rest | 0x7f800000)) | (~is_special & finite);
  return __builtin_bit_cast(vector, size | (bits & 0x8000) << 16);
}
#endif
