// The matrix product with AVX2 and FMA: 12 accumulators of 16 registers.
#include "matmul.h"
#if defined(__x86_64__)
#include <immintrin.h>
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define LANES 8
#define TILE_ROWS 6
#define TILE_VECTORS 2
#define WIDEN_F16(x) _mm256_cvtph_ps((__m128i)(x))
#define F32_TABLE nl_matmul_avx2
#define BF16_TABLE nl_matmul_bf16_dot_avx2
#define BF16_TILES_TABLE nl_matmul_bf16_tiles_avx2
#define TILES_TABLE nl_tiles_avx2
#include "matmul_isa.h"
#include "matmul_f32.h"
#include "matmul_bf16.h"
#include "matmul_bf16_tiles.h"
#include "tiles_fma.h"
#include "tiles_order.h"
#pragma clang attribute pop
#endif
