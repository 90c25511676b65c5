// Conversions of stored weights, and the search for numbers that are not finite. Integer arithmetic but for one
// exact multiplication.
#ifdef NL_PASS
#include "lanes.h"
#define half_to_float16 NL_NAME(half_to_float16)
#define float_to_bfloat16 NL_NAME(float_to_bfloat16)

// The bits of a half, moved to float's places, are its value times 2⁻¹¹²: denormals need no case of their own.
NL_INLINE v16 half_to_float16(h16 x) {
  u16 bits = __builtin_convertvector(x, u16), sign = (bits & 0x8000) << 16, rest = bits & 0x7fff;
  v16 scaled = __builtin_bit_cast(v16, rest << 13) * 0x1p112f;
  u16 finite = __builtin_bit_cast(u16, scaled), special = (rest << 13) | 0x7f800000;
  return __builtin_bit_cast(v16, (rest >= 0x7c00 ? special : finite) | sign);
}

NL_INLINE h16 float_to_bfloat16(v16 x) {
  u16 bits = __builtin_bit_cast(u16, x);
  u16 rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  u16 nan = (bits >> 16) | 0x40;  // stays one, and quiet
  return __builtin_convertvector((bits & 0x7fffffff) > 0x7f800000 ? nan : rounded, h16);
}

// The last few elements go through the same vector code: the part of a loop beyond a multiple of 16.
#define NL_CONVERT(name, from, to, convert)                          \
  static void NL_NAME(name)(void *context, long part) {              \
    const convert_arguments *p = context;                            \
    const from *x = p->x;                                            \
    to *y = p->y;                                                    \
    nl_range range = nl_piece(p->n, NL_ELEMENTS_PER_PART, part);     \
    for (long i = range.begin; i < range.end; i += 16) {             \
      long count = nl_min(16, range.end - i);                        \
      __typeof__(NL_VECTOR_OF((from)0)) in = 0;                      \
      memcpy(&in, x + i, (size_t)count * sizeof(from));              \
      __typeof__(NL_VECTOR_OF((to)0)) out = convert(in);             \
      memcpy(y + i, &out, (size_t)count * sizeof(to));               \
    }                                                                \
  }
#define NL_VECTOR_OF(element) _Generic(element, float: (v16)0, uint16_t: (h16)0)

NL_INLINE v16 NL_NAME(bfloat_to_float16)(h16 x) { return floats16(__builtin_convertvector(x, u16) << 16); }

NL_CONVERT(f16_to_f32, uint16_t, float, half_to_float16)
NL_CONVERT(bf16_to_f32, uint16_t, float, NL_NAME(bfloat_to_float16))
NL_CONVERT(f32_to_bf16, float, uint16_t, float_to_bfloat16)

static void NL_NAME(count_nonfinite)(void *context, long part) {
  convert_arguments *p = context;
  nl_range range = nl_piece(p->n, NL_ELEMENTS_PER_PART, part);
  i16 count = 0;
  for (long i = range.begin; i < range.end; i += 16) {
    size_t size = (size_t)nl_min(16, range.end - i);
    if (p->type == NL_F32) {
      u16 x = 0;
      memcpy(&x, (const float *)p->x + i, size * sizeof(float));
      count -= (x & 0x7f800000) == 0x7f800000;
    } else {
      h16 x = 0;
      memcpy(&x, (const uint16_t *)p->x + i, size * sizeof(uint16_t));
      count -= (__builtin_convertvector(x, u16) & 0x7f80) == 0x7f80;
    }
  }
  long sum = 0;
  for (int i = 0; i < 16; i++) sum += count[i];
  __atomic_fetch_add(&p->count, sum, __ATOMIC_RELAXED);
}

#else
#include "loop.h"

typedef struct {
  long n;
  const void *x;
  nl_dtype type;
  void *y;
  long count;
} convert_arguments;

#define NL_BODY "convert.c"
#include "every_isa.h"

long nl_count_nonfinite(nl_pool *pool, long n, const void *x, nl_dtype type) {
  convert_arguments p = {.n = n, .x = x, .type = type};
  NL_RUN(pool, nl_parts(n, NL_ELEMENTS_PER_PART), count_nonfinite, &p);
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
