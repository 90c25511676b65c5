// The matrix product with AVX-512: 24 accumulators of 32 registers.
#include "matmul.h"
#if defined(__x86_64__)
#include <immintrin.h>
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#define LANES 16
#define TILE_ROWS 12
#define TILE_VECTORS 2
#define WIDEN_F16(x) _mm512_cvtph_ps((__m256i)(x))
#define F32_TABLE nl_matmul_avx512
#define NARROW_TABLE nl_matmul_avx512_narrow
#define BF16_TABLE nl_matmul_bf16_dot_avx512
#define BF16_TILES_TABLE nl_matmul_bf16_tiles_avx512
#define TILES_TABLE nl_tiles_avx512
#include "matmul_isa.h"
#include "matmul_f32.h"
#include "matmul_bf16.h"
#include "matmul_bf16_tiles.h"
#include "tiles_fma.h"
#include "tiles_order.h"
#include "matmul_narrow.h"
#pragma clang attribute pop
#endif
