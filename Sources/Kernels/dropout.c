// Inverted dropout with counter-based random numbers.
#ifdef NL_PASS
#include "lanes.h"
#include "philox.h"
#define philox16 NL_NAME(philox16)
#define multiply_words NL_NAME(multiply_words)

// Low and high words of x·m.
NL_INLINE void multiply_words(u16 x, uint32_t m, u16 *low, u16 *high) {
  typedef uint64_t w16 __attribute__((ext_vector_type(16)));
  w16 product = __builtin_convertvector(x, w16) * (uint64_t)m;
  *low = x * m;
  *high = __builtin_convertvector(product >> 32, u16);
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

// One call of Philox decides four channels, so 64 channels at a time.
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
      philox16(words, (uint32_t)p->key, (uint32_t)(p->key >> 32));
      float scale[64];
      for (int c = 0; c < 16; c++)
        for (int w = 0; w < 4; w++) scale[4 * c + w] = words[w][c] >= p->threshold ? p->scale : 0;
      long count = nl_min(64, n - i), j = 0;
      for (; j < count; j++) y[i + j] = scale[j] != 0 ? x[i + j] * scale[j] : 0;
    }
  }
}

#else
#include "loop.h"

typedef struct {
  long rows, n;
  uint64_t key, threshold;  // a word below the threshold drops its channel
  float scale;
  uint32_t site;
  const int32_t *row_ids, *position_ids;
  const float *x;
  float *y;
} dropout_arguments;

#define NL_BODY "dropout.c"
#include "every_isa.h"

void nl_dropout(nl_pool *pool, long rows, long n, float p, uint64_t key, uint32_t site, const int32_t *row_ids,
                const int32_t *position_ids, const float *x, float *y) {
  dropout_arguments arguments = {rows, n, key, (uint64_t)((double)p * 0x1p32), 1.0f / (1.0f - p), site,
                                 row_ids, position_ids, x, y};
  NL_RUN(pool, nl_parts(rows, nl_rows_per_part(n)), dropout, &arguments);
}
#endif
