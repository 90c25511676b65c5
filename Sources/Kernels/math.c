// exp, log, sin, cos and pow in double, to about one unit in the last place, from + − × ÷ alone.
// The series are Taylor's, long enough for |r| after the reduction; their first terms are kept apart with what
// rounding took from them.
#include <stdint.h>

#include "Kernels.h"
#pragma STDC FP_CONTRACT OFF

#define INF __builtin_inf()
static uint64_t bits_of(double x) { return __builtin_bit_cast(uint64_t, x); }
static double double_of(uint64_t bits) { return __builtin_bit_cast(double, bits); }
// 2ⁿ, −1022 ≤ n ≤ 1023.
static double power_of_two(int n) { return double_of((uint64_t)(n + 1023) << 52); }

// ln 2 in three pieces; n times the first is exact for |n| < 2¹¹.
static const double ln2_high = 0x1.62e42fefa38p-1, ln2_middle = 0x1.ef35793c7673p-45, ln2_low = 0x1.f97b57a079a19p-103;

// ---- double-double: a value is high + low, |low| ≤ ulp(high)/2 ----
typedef struct {
  double high, low;
} dd;

static dd quick_sum(double a, double b) {  // |a| ≥ |b|, or a = 0
  double s = a + b;
  return (dd){s, b - (s - a)};
}
static dd exact_sum(double a, double b) {
  double s = a + b, t = s - a;
  return (dd){s, (a - (s - t)) + (b - t)};
}
static dd split(double a) {  // halves of 26 bits
  double t = a * 0x1.0000002p27, high = t - (t - a);
  return (dd){high, a - high};
}
static dd exact_product(double a, double b) {
  dd x = split(a), y = split(b);
  double p = a * b;
  return (dd){p, ((x.high * y.high - p) + x.high * y.low + x.low * y.high) + x.low * y.low};
}
static dd dd_add(dd a, dd b) {
  dd s = exact_sum(a.high, b.high);
  return quick_sum(s.high, s.low + (a.low + b.low));
}
static dd dd_multiply(dd a, dd b) {
  dd p = exact_product(a.high, b.high);
  return quick_sum(p.high, p.low + (a.high * b.low + a.low * b.high));
}
static dd dd_divide(dd a, dd b) {
  double q = a.high / b.high;
  dd p = dd_multiply((dd){q, 0}, b);
  return quick_sum(q, ((a.high - p.high) + (a.low - p.low)) / b.high);
}

// ---- exp ----
// e^(x + tail), |tail| far below ulp(x)·2¹⁰.
static double exp_with_tail(double x, double tail) {
  if (x != x) return x;
  if (x > 709.79) return INF;
  if (x < -745.14) return 0;
  const double rounder = 0x1.8p52;
  double n = (x * 0x1.71547652b82fep0 + rounder) - rounder;
  double high = x - n * ln2_high, low = n * ln2_middle - tail, r = high - low;
  double lost = (high - r) - low;
  // Σ r^k/k! from k = 2
  double p = 1.0 / 87178291200;
  p = p * r + 1.0 / 6227020800;
  p = p * r + 1.0 / 479001600;
  p = p * r + 1.0 / 39916800;
  p = p * r + 1.0 / 3628800;
  p = p * r + 1.0 / 362880;
  p = p * r + 1.0 / 40320;
  p = p * r + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  double y = 1.0 + (r + (lost + r * r * p));
  // In two steps: 2ⁿ itself may be too large or too small for a double.
  int power = (int)n, half = power / 2;
  return y * power_of_two(half) * power_of_two(power - half);
}

double nl_exp(double x) { return exp_with_tail(x, 0); }

// ---- log ----
// x = 2^e·m with m in [√½, √2); x is finite and positive.
static double mantissa(double x, int *e) {
  int shift = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    shift = -54;
  }
  uint64_t bits = bits_of(x);
  int exponent = (int)(bits >> 52) - 1023;
  double m = double_of((bits & 0xfffffffffffff) | 0x3ff0000000000000);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    exponent++;
  }
  *e = exponent + shift;
  return m;
}

// Σ z^k/(2k+1) from k = first, for z ≤ 0.0295: the tail of artanh(√z)/√z.
static double artanh_series(double z, int first) {
  double sum = 0;
  for (int k = 13; k >= first; k--) sum = sum * z + 1.0 / (2 * k + 1);
  return sum;
}

double nl_log(double x) {
  if (x != x || x == INF) return x;
  if (x <= 0) return x == 0 ? -INF : INF - INF;
  int e;
  double f = mantissa(x, &e) - 1;
  // log(1+f) = 2·artanh(s), s = f/(2+f), written as f minus something smaller.
  double s = f / (2 + f), z = s * s, square = 0.5 * f * f;
  double rest = s * (square + 2 * z * artanh_series(z, 1));
  return e * ln2_high - ((square - (rest + e * ln2_middle)) - f);
}

// log x to about 2⁻⁶⁸ of itself.
static dd log_dd(double x) {
  int e;
  double m = mantissa(x, &e);
  dd s = dd_divide((dd){m - 1, 0}, exact_sum(1, m)), z = dd_multiply(s, s);
  dd series = {artanh_series(z.high, 4), 0};
  for (int k = 3; k >= 1; k--)
    series = dd_add(dd_multiply(series, z), dd_divide((dd){1, 0}, (dd){2 * k + 1, 0}));
  series = dd_multiply(dd_multiply(series, z), s);
  series = dd_add(s, series);
  dd whole = exact_product(e, ln2_middle);
  whole = dd_add((dd){e * ln2_high, 0}, (dd){whole.high, whole.low + e * ln2_low});
  return dd_add(whole, (dd){2 * series.high, 2 * series.low});
}

double nl_pow(double x, double y) {
  if (y == 0 || x == 1) return 1;
  if (x != x || y != y) return x + y;
  if (x < 0) return INF - INF;
  if (x == 0 || x == INF) return (x == 0) == (y > 0) ? 0 : INF;
  if (y == INF || y == -INF) return (x < 1) == (y > 0) ? 0 : INF;
  dd l = log_dd(x);
  double estimate = y * l.high;
  if (!(estimate < 710 && estimate > -746)) return estimate > 0 ? INF : 0;
  if (y > 0x1p900 || y < -0x1p900) return 1 + estimate;  // x is 1 to within rounding, and so is the result
  dd p = exact_product(y, l.high);
  return exp_with_tail(p.high, p.low + y * l.low);
}

// ---- sin and cos ----
// x − n·π/2 in [−π/4, π/4]; n mod 4. The first pieces of π/2 have 24 bits, so their products with n < 2²⁹ are exact.
static dd quarter_turns(double x, int *quadrant) {
  const double pieces[3] = {0x1.921fb4p0, 0x1.4442dp-24, 0x1.846988p-48}, last = 0x1.8cc51701b839ap-72;
  const double rounder = 0x1.8p52;
  double n = (x * 0x1.45f306dc9c883p-1 + rounder) - rounder;
  dd r = {x, 0};
  for (int i = 0; i < 3; i++) {
    dd s = exact_sum(r.high, -n * pieces[i]);
    r = quick_sum(s.high, s.low + r.low);
  }
  r = quick_sum(r.high, r.low - n * last);
  *quadrant = (int)((int64_t)n & 3);
  return r;
}

// |r| ≤ π/4
static double sine_series(dd r) {
  double x = r.high, z = x * x;
  double p = -1.0 / 121645100408832000;
  p = p * z + 1.0 / 355687428096000;
  p = p * z - 1.0 / 1307674368000;
  p = p * z + 1.0 / 6227020800;
  p = p * z - 1.0 / 39916800;
  p = p * z + 1.0 / 362880;
  p = p * z - 1.0 / 5040;
  p = p * z + 1.0 / 120;
  p = p * z - 1.0 / 6;
  return x + (r.low * (1 - 0.5 * z) + x * z * p);
}
static double cosine_series(dd r) {
  double x = r.high, z = x * x;
  double p = 1.0 / 2432902008176640000;
  p = p * z - 1.0 / 6402373705728000;
  p = p * z + 1.0 / 20922789888000;
  p = p * z - 1.0 / 87178291200;
  p = p * z + 1.0 / 479001600;
  p = p * z - 1.0 / 3628800;
  p = p * z + 1.0 / 40320;
  p = p * z - 1.0 / 720;
  p = p * z + 1.0 / 24;
  double half = 0.5 * z, y = 1 - half;
  return y + (((1 - y) - half) + (z * z * p - x * r.low));
}

// sin(x + quadrants·π/2). Beyond ±2²⁹ quarter turns, and for what is not finite: not a number.
static double sine_of(double x, int quadrants) {
  if (!(x < 0x1p29 && x > -0x1p29)) return INF - INF;
  int quadrant;
  dd r = quarter_turns(x, &quadrant);
  quadrant = (quadrant + quadrants) & 3;
  double y = quadrant & 1 ? cosine_series(r) : sine_series(r);
  return quadrant & 2 ? -y : y;
}

double nl_sin(double x) { return sine_of(x, 0); }
double nl_cos(double x) { return sine_of(x, 1); }
