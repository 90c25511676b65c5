// The terms of numbers, for instruction sets that have the conversion to bf16: what tiles_amx.c and tiles_dot.h pack.

static inline __m512 widened(__m256i halves) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

// The terms of 32 numbers. The conversion takes denormals as zero, as a product of tiles does.
INLINE void split(__m512 low, __m512 high, const int terms, __m512i to[3]) {
  UNROLL for (int t = 0; t < terms; t++) {
    to[t] = (__m512i)_mm512_cvtne2ps_pbh(high, low);
    if (t + 1 == terms) break;
    low = _mm512_sub_ps(low, widened(_mm512_castsi512_si256(to[t])));
    high = _mm512_sub_ps(high, widened(_mm512_extracti64x4_epi64(to[t], 1)));
  }
}

// The first `count` of 32 numbers, zeros after them; none if count <= 0.
static inline uint32_t first_of(long count) { return count >= 32 ? ~0u : count <= 0 ? 0 : (1u << count) - 1; }
INLINE void load_floats(const float *x, uint32_t mask, __m512 *low, __m512 *high) {
  *low = _mm512_maskz_loadu_ps((__mmask16)mask, x);
  *high = _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), x + 16);
}

// The terms of 32 stored numbers: one of bf16, and of others as many as are asked for.
INLINE void load_terms(const nl_dtype type, const char *x, uint32_t mask, const int terms, __m512i to[3]) {
  if (type == NL_F32) {
    __m512 low, high;
    load_floats((const float *)(const void *)x, mask, &low, &high);
    return split(low, high, terms, to);
  }
  to[0] = _mm512_maskz_loadu_epi16(mask, x);
  if (type == NL_F16)
    split(_mm512_cvtph_ps(_mm512_castsi512_si256(to[0])), _mm512_cvtph_ps(_mm512_extracti64x4_epi64(to[0], 1)), terms, to);
}
