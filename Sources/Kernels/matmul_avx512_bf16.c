// The matrix product in mixed precision with the dot product of AVX512_BF16 (24 accumulators of 32 registers), and with
// AMX, which no CPU has without that.
#include "matmul.h"
#if defined(__x86_64__)
#include <immintrin.h>
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma"))), apply_to = function)
#define LANES 16
#define TILE_ROWS 12
#define TILE_VECTORS 2
#define WIDEN_F16(x) _mm512_cvtph_ps((__m256i)(x))
#define F32_TABLE nl_matmul_avx512
#define BF16_TABLE nl_matmul_bf16_dot_avx512_bf16
#define TILES_TABLE nl_tiles_dot
#define DOT _mm512_dpbf16_ps
#include "matmul_isa.h"
#include "matmul_bf16.h"
#include "tiles_dot.h"
#include "tiles_order.h"
#pragma clang attribute pop
#pragma clang attribute push( \
    __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma"))), \
    apply_to = function)
#include "matmul_amx.h"
#pragma clang attribute pop
#endif
