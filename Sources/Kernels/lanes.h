// Sixteen floats at a time, the same on every instruction set: the compiler cuts them to the registers that it has.
// Included by loop bodies in each pass of every_isa.h, hence no include guard.
//
// A sum along a row keeps 64 lanes: element i goes to lane i mod 64, and at the end the lanes are folded by halves.
#ifndef NL_LANES_H
#define NL_LANES_H
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef float v16 __attribute__((ext_vector_type(16), aligned(4)));
typedef int32_t i16 __attribute__((ext_vector_type(16), aligned(4)));
typedef uint32_t u16 __attribute__((ext_vector_type(16), aligned(4)));
typedef uint16_t h16 __attribute__((ext_vector_type(16), aligned(2)));

#define NL_CONCATENATE_(a, b) a##b
#define NL_CONCATENATE(a, b) NL_CONCATENATE_(a, b)
#define NL_NAME(name) NL_CONCATENATE(name, NL_SUFFIX)
#define NL_INLINE static inline __attribute__((always_inline, unused))
#define NL_UNROLL _Pragma("clang loop unroll(full)")

#define load16(p) (*(const v16 *)(p))
#define store16(p, x) (*(v16 *)(p) = (x))
#define bits16(x) __builtin_bit_cast(i16, x)
#define floats16(x) __builtin_bit_cast(v16, x)

// The helpers below have a version for each pass.
#define half_to_float16 NL_NAME(half_to_float16)
#define bfloat16_to_float16 NL_NAME(bfloat16_to_float16)
#define fma16 NL_NAME(fma16)
#define load_some16 NL_NAME(load_some16)
#define store_some16 NL_NAME(store_some16)
#define fold16 NL_NAME(fold16)
#define max16 NL_NAME(max16)
#define fold_max16 NL_NAME(fold_max16)
#define exp_in_range16 NL_NAME(exp_in_range16)
#define exp16 NL_NAME(exp16)
#define exp_negative16 NL_NAME(exp_negative16)
#define fold64 NL_NAME(fold64)
#endif

// Vectors pass between functions that are always inlined, so no calling convention is involved.
#pragma clang diagnostic ignored "-Wpsabi"
#pragma STDC FP_CONTRACT OFF

#ifdef NL_EMULATED_FMA
#define fma_emulated NL_NAME(fma_emulated)
// a·b + c rounded once, without the instruction. In double the product is exact; the sum is rounded to odd (when
// inexact, its last bit is set), so that rounding it to float rounds the exact value (Boldo and Melquiond 2008).
static __attribute__((noinline, unused)) void fma_emulated(const v16 *a, const v16 *b, const v16 *c, v16 *y) {
  typedef float f4 __attribute__((ext_vector_type(4), aligned(4)));
  typedef double d4 __attribute__((ext_vector_type(4)));
  typedef int64_t l4 __attribute__((ext_vector_type(4)));
  for (int i = 0; i < 4; i++) {
    d4 product = __builtin_convertvector(((const f4 *)a)[i], d4) * __builtin_convertvector(((const f4 *)b)[i], d4);
    d4 addend = __builtin_convertvector(((const f4 *)c)[i], d4);
    d4 sum = product + addend, part = sum - product;
    d4 error = (product - (sum - part)) + (addend - part);
    l4 bits = __builtin_bit_cast(l4, sum), even = (bits & 1) == 0;
    l4 outward = (error > 0) == (sum > 0);  // the error points away from zero
    l4 inexact = (error > 0) | (error < 0);
    // An even sum moves one step towards the exact value, which makes it odd.
    bits += (inexact & even) & ((outward & 1) | (~outward & -1));
    ((f4 *)y)[i] = __builtin_convertvector(__builtin_bit_cast(d4, bits), f4);
  }
}
NL_INLINE v16 fma16(v16 a, v16 b, v16 c) {
  v16 y;
  fma_emulated(&a, &b, &c, &y);
  return y;
}
#else
NL_INLINE v16 fma16(v16 a, v16 b, v16 c) { return __builtin_elementwise_fma(a, b, c); }
#endif

// The bits of a half, moved to float's places, are its value times 2⁻¹¹²: denormals need no case of their own.
NL_INLINE v16 half_to_float16(h16 x) {
  u16 bits = __builtin_convertvector(x, u16), sign = (bits & 0x8000) << 16, rest = bits & 0x7fff;
  v16 scaled = __builtin_bit_cast(v16, rest << 13) * 0x1p112f;
  u16 finite = __builtin_bit_cast(u16, scaled), special = (rest << 13) | 0x7f800000;
  return __builtin_bit_cast(v16, (rest >= 0x7c00 ? special : finite) | sign);
}
NL_INLINE v16 bfloat16_to_float16(h16 x) { return floats16(__builtin_convertvector(x, u16) << 16); }

// The first `count` floats, at most 16, zeros after them.
NL_INLINE v16 load_some16(const float *x, long count) {
  if (count == 16) return load16(x);
  v16 y = 0;
  memcpy(&y, x, (size_t)count * sizeof(float));
  return y;
}
NL_INLINE void store_some16(float *y, v16 x, long count) {
  if (count == 16) {
    store16(y, x);
  } else {
    memcpy(y, &x, (size_t)count * sizeof(float));
  }
}

// The sum of sixteen lanes, by halves: 8, 4, 2, 1.
NL_INLINE float fold16(v16 x) {
  typedef float v8 __attribute__((ext_vector_type(8)));
  typedef float v4 __attribute__((ext_vector_type(4)));
  v8 a = x.lo + x.hi;
  v4 b = a.lo + a.hi;
  return (b.x + b.z) + (b.y + b.w);
}
// The larger in each lane; where a or b is not a number, b.
NL_INLINE v16 max16(v16 a, v16 b) { return a > b ? a : b; }
NL_INLINE float fold_max16(v16 x) {
  float most = x[0];
  NL_UNROLL for (int i = 1; i < 16; i++) most = x[i] > most ? x[i] : most;
  return most;
}
// The sum of 64 lanes, kept in four vectors.
NL_INLINE float fold64(const v16 lanes[4]) { return fold16((lanes[0] + lanes[2]) + (lanes[1] + lanes[3])); }

// 2ⁿ·e^r for x = n·ln 2 + r, |r| ≤ ln 2 / 2, where e^x is a normal number, to 1 ulp; else any bits.
// e^r = 1 + r + r²·P(r), P minimax in the relative error of e^r (3e-9).
NL_INLINE v16 exp_in_range16(v16 x) {
  const v16 rounder = (v16)(0x1.8p23f);  // adding it leaves the nearest integer in the low bits
  v16 shifted = fma16(x, (v16)(0x1.715476p0f), rounder), n = shifted - rounder;
  v16 r = fma16(n, (v16)(-0x1.62e4p-1f), x);
  r = fma16(n, (v16)(-0x1.7f7d1cp-20f), r);
  v16 p = fma16((v16)(0x1.6a23d0p-10f), r, (v16)(0x1.123a20p-7f));
  p = fma16(p, r, (v16)(0x1.5558f2p-5f));
  p = fma16(p, r, (v16)(0x1.555492p-3f));
  p = fma16(p, r, (v16)(0x1.fffffcp-2f));
  p = fma16(p, r * r, r) + 1.0f;
  return floats16(bits16(p) + (bits16(shifted) << 23));
}
// e^x without branches: 0 where it is below the smallest normal number, infinity above the largest, NaN for NaN.
NL_INLINE v16 exp16(v16 x) {
  v16 beyond = max16((v16)(0), x * INFINITY), y = exp_in_range16(x);
  y = x <= 0x1.62e42ep6f ? y : beyond;
  return x < -0x1.5d589ep6f ? beyond : y;
}
// The same for x ≤ 0.
NL_INLINE v16 exp_negative16(v16 x) {
  v16 y = exp_in_range16(x), beyond = max16((v16)(0), x);
  return x >= -0x1.5d589ep6f ? y : beyond;
}
