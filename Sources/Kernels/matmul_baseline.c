// The matrix product for any CPU. Where there is no fused multiply-add, each one is a call of fmaf: slow, but the
// same bits.
#include "matmul.h"
#if !defined(__aarch64__)
#pragma STDC FP_CONTRACT OFF
#define LANES 4
#define TILE_ROWS 4
#define TILE_VECTORS 1
#define F32_TABLE nl_matmul_baseline
#define BF16_TABLE nl_matmul_bf16_dot_baseline
#define BF16_TILES_TABLE nl_matmul_bf16_tiles_baseline
#define TILES_TABLE nl_tiles_baseline
#include "matmul_isa.h"
#include "matmul_f32.h"
#include "matmul_bf16.h"
#include "matmul_bf16_tiles.h"
#include "tiles_fma.h"
#include "tiles_order.h"
#endif
