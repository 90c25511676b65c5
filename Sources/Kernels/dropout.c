// Inverted dropout with counter-based random numbers.
#ifdef NL_PASS
#include "lanes.h"
#include "philox.h"
#define philox16 NL_NAME(philox16)
#define channel_masks NL_NAME(channel_masks)
#define multiply_words NL_NAME(multiply_words)

// Low and high words of x·m: the even and the odd elements are multiplied as halves of 64-bit numbers.
NL_INLINE void multiply_words(u16 x, uint32_t m, u16 *low, u16 *high) {
  typedef uint64_t l8 __attribute__((ext_vector_type(8)));
  const l8 lower = (l8)(0xffffffffull);
  l8 pairs = __builtin_bit_cast(l8, x), even = (pairs & lower) * m, odd = (pairs >> 32) * m;
  *low = __builtin_bit_cast(u16, (even & lower) | (odd << 32));
  *high = __builtin_bit_cast(u16, (even >> 32) | (odd & ~lower));
}

// Sixteen counters at once; see nl_philox4x32.
NL_INLINE void philox16(u16 words[4], uint32_t key0, uint32_t key1) {
  for (int round = 0; round < NL_PHILOX_ROUNDS; round++) {
    u16 low0, high0, low1, high1;
    multiply_words(words[0], NL_PHILOX_M0, &low0, &high0);
    multiply_words(words[2], NL_PHILOX_M1, &low1, &high1);
    words[0] = high1 ^ words[1] ^ key0;
    words[1] = low1;
    words[2] = high0 ^ words[3] ^ key1;
    words[3] = low0;
    key0 += NL_PHILOX_W0;
    key1 += NL_PHILOX_W1;
  }
}

// Element c of words[w] belongs to channel 4c + w: the masks of 64 channels in their own order.
NL_INLINE void channel_masks(const u16 words[4], uint32_t threshold, i16 masks[4]) {
  i16 a = words[0] >= threshold, b = words[1] >= threshold, c = words[2] >= threshold, d = words[3] >= threshold;
#define NL_PAIRS(x, y, k)                                                                                   \
  __builtin_shufflevector(x, y, k, k + 16, k + 1, k + 17, k + 2, k + 18, k + 3, k + 19, k + 4, k + 20, k + 5, \
                          k + 21, k + 6, k + 22, k + 7, k + 23)
#define NL_FOURS(x, y, k)                                                                                   \
  __builtin_shufflevector(x, y, k, k + 1, k + 16, k + 17, k + 2, k + 3, k + 18, k + 19, k + 4, k + 5, k + 20, \
                          k + 21, k + 6, k + 7, k + 22, k + 23)
  i16 ab = NL_PAIRS(a, b, 0), cd = NL_PAIRS(c, d, 0);
  masks[0] = NL_FOURS(ab, cd, 0);
  masks[1] = NL_FOURS(ab, cd, 8);
  ab = NL_PAIRS(a, b, 8);
  cd = NL_PAIRS(c, d, 8);
  masks[2] = NL_FOURS(ab, cd, 0);
  masks[3] = NL_FOURS(ab, cd, 8);
#undef NL_PAIRS
#undef NL_FOURS
}

static void NL_NAME(dropout)(void *context, long part) {
  const dropout_arguments *p = context;
  const u16 steps = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  long n = p->n;
  nl_range range = nl_piece(p->rows, nl_rows_per_part(n), part);
  for (long row = range.begin; row < range.end; row++) {
    const float *x = p->x + row * n;
    float *y = p->y + row * n;
    for (long i = 0; i < n; i += 64) {
      u16 words[4] = {(u16)((uint32_t)p->row_ids[row]), (u16)((uint32_t)p->position_ids[row]),
                      steps + (uint32_t)(i / 4), (u16)(p->site)};
      i16 masks[4];
      philox16(words, (uint32_t)p->key, (uint32_t)(p->key >> 32));
      channel_masks(words, p->threshold, masks);
      NL_UNROLL for (int v = 0; v < 4; v++) {
        long at = i + 16 * v, rest = n - at;
        if (rest >= 16) {
          store16(y + at, floats16(bits16(load16(x + at) * p->scale) & masks[v]));
        } else if (rest > 0) {
          store_some16(y + at, floats16(bits16(load_some16(x + at, rest) * p->scale) & masks[v]), rest);
        }
      }
    }
  }
}

#else
#include "loop.h"

typedef struct {
  long rows, n;
  uint64_t key;
  uint32_t threshold;  // a word below it drops its channel
  uint32_t site;
  float scale;
  const int32_t *row_ids, *position_ids;
  const float *x;
  float *y;
} dropout_arguments;

#define NL_BODY "dropout.c"
#include "every_isa.h"

void nl_dropout(nl_pool *pool, long rows, long n, float p, uint64_t key, uint32_t site, const int32_t *row_ids,
                const int32_t *position_ids, const float *x, float *y) {
  double threshold = (double)p * 0x1p32;
  if (threshold >= 0x1p32) {  // everything is dropped
    memset(y, 0, (size_t)(rows * n) * sizeof(float));
    return;
  }
  dropout_arguments arguments = {rows, n, key, (uint32_t)threshold, site, 1.0f / (1.0f - p),
                                 row_ids, position_ids, x, y};
  NL_RUN(pool, nl_parts(rows, nl_rows_per_part(n)), dropout, &arguments);
}
#endif
