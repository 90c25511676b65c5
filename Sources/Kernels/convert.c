// Conversions of stored weights, and the search for numbers that are not finite. Integer arithmetic but for one
// exact multiplication.
#ifdef NL_PASS
#include "lanes.h"
#define float_to_bfloat16 NL_NAME(float_to_bfloat16)
#define nonfinite32 NL_NAME(nonfinite32)
#define nonfinite16 NL_NAME(nonfinite16)
#define nonfinite_half16 NL_NAME(nonfinite_half16)

NL_INLINE h16 float_to_bfloat16(v16 x) {
  u16 bits = __builtin_bit_cast(u16, x);
  u16 rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  u16 nan = (bits >> 16) | 0x40;  // stays one, and quiet
  return __builtin_convertvector((bits & 0x7fffffff) > 0x7f800000 ? nan : rounded, h16);
}

NL_INLINE i16 nonfinite32(u16 x) { return (x & 0x7f800000) == 0x7f800000; }
NL_INLINE i16 nonfinite16(h16 x) { return (__builtin_convertvector(x, u16) & 0x7f80) == 0x7f80; }
NL_INLINE i16 nonfinite_half16(h16 x) { return (__builtin_convertvector(x, u16) & 0x7c00) == 0x7c00; }

// y = convert(x), sixteen elements at a time; what is left goes through the same vector code.
#define NL_CONVERT(name, from, from16, to, to16, convert)                                             \
  static void NL_NAME(name)(void *context, long part) {                                               \
    const convert_arguments *p = context;                                                             \
    const from *x = p->x;                                                                             \
    to *y = p->y;                                                                                     \
    nl_range range = nl_piece(p->n, NL_ELEMENTS_PER_PART, part);                                      \
    long i = range.begin;                                                                             \
    for (; i + 16 <= range.end; i += 16) *(to16 *)(y + i) = convert(*(const from16 *)(x + i));        \
    if (i < range.end) {                                                                              \
      from16 rest = 0;                                                                                \
      memcpy(&rest, x + i, (size_t)(range.end - i) * sizeof(from));                                   \
      to16 converted = convert(rest);                                                                 \
      memcpy(y + i, &converted, (size_t)(range.end - i) * sizeof(to));                                \
    }                                                                                                 \
  }
NL_CONVERT(f16_to_f32, uint16_t, h16, float, v16, half_to_float16)
NL_CONVERT(bf16_to_f32, uint16_t, h16, float, v16, bfloat16_to_float16)
NL_CONVERT(f32_to_bf16, float, v16, uint16_t, h16, float_to_bfloat16)

// Adds the number of elements of the part for which `test` holds to the count; integers, so their order is free.
#define NL_COUNT(name, from, from16, test)                                                            \
  static void NL_NAME(name)(void *context, long part) {                                               \
    convert_arguments *p = context;                                                                   \
    const from *x = p->x;                                                                             \
    nl_range range = nl_piece(p->n, NL_ELEMENTS_PER_PART, part);                                      \
    long i = range.begin, sum = 0;                                                                    \
    i16 found = 0;                                                                                    \
    for (; i + 16 <= range.end; i += 16) found -= test(*(const from16 *)(x + i));                     \
    if (i < range.end) {                                                                              \
      from16 rest = 0;                                                                                \
      memcpy(&rest, x + i, (size_t)(range.end - i) * sizeof(from));                                   \
      found -= test(rest);                                                                            \
    }                                                                                                 \
    for (int lane = 0; lane < 16; lane++) sum += found[lane];                                         \
    __atomic_fetch_add(&p->count, sum, __ATOMIC_RELAXED);                                             \
  }
NL_COUNT(count_nonfinite_f32, float, u16, nonfinite32)
NL_COUNT(count_nonfinite_bf16, uint16_t, h16, nonfinite16)
NL_COUNT(count_nonfinite_f16, uint16_t, h16, nonfinite_half16)

#else
#include "loop.h"

typedef struct {
  long n;
  const void *x;
  void *y;
  long count;
} convert_arguments;

#define NL_BODY "convert.c"
#include "every_isa.h"

long nl_count_nonfinite(nl_pool *pool, long n, const void *x, nl_dtype type) {
  convert_arguments p = {.n = n, .x = x};
  switch (type) {
    case NL_F32: NL_RUN(pool, nl_parts(n, NL_ELEMENTS_PER_PART), count_nonfinite_f32, &p); break;
    case NL_BF16: NL_RUN(pool, nl_parts(n, NL_ELEMENTS_PER_PART), count_nonfinite_bf16, &p); break;
    case NL_F16: NL_RUN(pool, nl_parts(n, NL_ELEMENTS_PER_PART), count_nonfinite_f16, &p); break;
  }
  return p.count;
}

void nl_f16_to_f32(nl_pool *pool, long n, const uint16_t *x, float *y) {
  convert_arguments p = {.n = n, .x = x, .y = y};
  NL_RUN(pool, nl_parts(n, NL_ELEMENTS_PER_PART), f16_to_f32, &p);
}

void nl_bf16_to_f32(nl_pool *pool, long n, const uint16_t *x, float *y) {
  convert_arguments p = {.n = n, .x = x, .y = y};
  NL_RUN(pool, nl_parts(n, NL_ELEMENTS_PER_PART), bf16_to_f32, &p);
}

void nl_f32_to_bf16(nl_pool *pool, long n, const float *x, uint16_t *y) {
  convert_arguments p = {.n = n, .x = x, .y = y};
  NL_RUN(pool, nl_parts(n, NL_ELEMENTS_PER_PART), f32_to_bf16, &p);
}
#endif
