// Rotary position embedding, rotate-half form.
#ifdef NL_PASS
#include "lanes.h"
#define rotate16 NL_NAME(rotate16)

// (a, b) turned by the angle whose cosine and sine are given.
NL_INLINE void rotate16(v16 *a, v16 *b, v16 cosine, v16 sine) {
  v16 x = *a, y = *b;
  *a = fma16(x, cosine, -(y * sine));
  *b = fma16(y, cosine, x * sine);
}

static void NL_NAME(rope)(void *context, long part) {
  const rope_arguments *p = context;
  long half = p->dim / 2, width = p->heads * p->dim;
  nl_range range = nl_piece(p->rows, nl_rows_per_part(width), part);
  for (long row = range.begin; row < range.end; row++) {
    const float *cosines = p->cosines + p->positions[row] * half, *sines = p->sines + p->positions[row] * half;
    for (long head = 0; head < p->heads; head++) {
      const float *x = p->x + row * width + head * p->dim;
      float *y = p->y + row * width + head * p->dim;
      long i = 0;
      for (; i + 16 <= half; i += 16) {
        v16 a = load16(x + i), b = load16(x + i + half);
        rotate16(&a, &b, load16(cosines + i), load16(sines + i) * p->direction);
        store16(y + i, a);
        store16(y + i + half, b);
      }
      long rest = half - i;
      if (rest) {
        v16 a = load_some16(x + i, rest), b = load_some16(x + i + half, rest);
        rotate16(&a, &b, load_some16(cosines + i, rest), load_some16(sines + i, rest) * p->direction);
        store_some16(y + i, a, rest);
        store_some16(y + i + half, b, rest);
      }
    }
  }
}

#else
#include "loop.h"

typedef struct {
  long rows, heads, dim;
  const float *cosines, *sines;
  const int32_t *positions;
  const float *x;
  float *y;
  float direction;  // 1, or −1 to rotate back
} rope_arguments;

#define NL_BODY "rope.c"
#include "every_isa.h"

void nl_rope(nl_pool *pool, long rows, long heads, long dim, const float *cos_table, const float *sin_table,
             const int32_t *positions, const float *x, float *y, bool inverse) {
  rope_arguments p = {rows, heads, dim, cos_table, sin_table, positions, x, y, inverse ? -1.0f : 1.0f};
  NL_RUN(pool, nl_parts(rows, nl_rows_per_part(heads * dim)), rope, &p);
}
#endif
