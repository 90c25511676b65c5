// GELU (Hendrycks and Gimpel 2016): x·Φ(x), Φ the distribution function of the normal distribution.
//
// Φ is of erf, by the formula 7.1.26 of Abramowitz and Stegun (1964): for z ≥ 0, t = 1/(1 + 0.3275911·z),
// erf(z) = 1 − (a₁t + … + a₅t⁵)·e^(−z²), with an error below 1.5e-7. With z = |x|/√2 the exponential is that of the density,
// which the derivative Φ(x) + x·φ(x) needs as well.
#ifdef NL_PASS
#include "lanes.h"
#define normal16 NL_NAME(normal16)

// Φ(x), and e^(−x²/2).
NL_INLINE v16 normal16(v16 x, v16 *bell) {
  v16 size = max16(x, -x), t = 1.0f / fma16(size, (v16)(0.3275911f * 0.70710678f), (v16)(1.0f));
  *bell = exp_negative16(x * x * -0.5f);
  v16 p = fma16((v16)(1.061405429f), t, (v16)(-1.453152027f));
  p = fma16(p, t, (v16)(1.421413741f));
  p = fma16(p, t, (v16)(-0.284496736f));
  p = fma16(p, t, (v16)(0.254829592f));
  v16 tail = 0.5f * (p * t) * *bell;
  return x < 0.0f ? tail : 1.0f - tail;
}

static void NL_NAME(gelu_forward)(void *context, long part) {
  const gelu_arguments *p = context;
  nl_range range = nl_piece(p->n, NL_ELEMENTS_PER_PART, part);
  v16 bell;
  for (long i = range.begin; i < range.end; i += 16) {
    long count = nl_min(16, range.end - i);
    v16 x = load_some16(p->x + i, count);
    store_some16(p->y + i, x * normal16(x, &bell), count);
  }
}

static void NL_NAME(gelu_backward)(void *context, long part) {
  const gelu_arguments *p = context;
  nl_range range = nl_piece(p->n, NL_ELEMENTS_PER_PART, part);
  v16 bell;
  for (long i = range.begin; i < range.end; i += 16) {
    long count = nl_min(16, range.end - i);
    v16 x = load_some16(p->x + i, count), phi = normal16(x, &bell);
    v16 slope = fma16(x * 0.39894228f, bell, phi);
    store_some16(p->y + i, load_some16(p->dy + i, count) * slope, count);
  }
}

#else
#include "loop.h"

typedef struct {
  long n;
  const float *x, *dy;
  float *y;
} gelu_arguments;

#define NL_BODY "gelu.c"
#include "every_isa.h"

void nl_gelu_forward(nl_pool *pool, long n, const float *x, float *y) {
  gelu_arguments p = {.n = n, .x = x, .y = y};
  NL_RUN(pool, nl_parts(n, NL_ELEMENTS_PER_PART), gelu_forward, &p);
}

void nl_gelu_backward(nl_pool *pool, long n, const float *x, const float *dy, float *dx) {
  gelu_arguments p = {.n = n, .x = x, .dy = dy, .y = dx};
  NL_RUN(pool, nl_parts(n, NL_ELEMENTS_PER_PART), gelu_backward, &p);
}
#endif
