// The matrix product with NEON: 24 accumulators of 32 registers.
#include "matmul.h"
#if defined(__aarch64__)
#pragma STDC FP_CONTRACT OFF
#define LANES 4
#define TILE_ROWS 6
#define TILE_VECTORS 4
#define F32_TABLE nl_matmul_neon
#define BF16_TABLE nl_matmul_bf16_dot_neon
#define BF16_TILES_TABLE nl_matmul_bf16_tiles_neon
#define TILES_TABLE nl_tiles_neon
#include "matmul_isa.h"
#include "matmul_f32.h"
#include "matmul_bf16.h"
#include "matmul_bf16_tiles.h"
#include "tiles_fma.h"
#include "tiles_order.h"
#endif
