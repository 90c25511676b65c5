// The matrix product for any CPU. Where there is no fused multiply-add, each one is a call of fmaf: slow, but the
// same bits.
#include "matmul.h"

#include <string.h>
#if !defined(__aarch64__)
#pragma STDC FP_CONTRACT OFF
#define LANES 4
#define TILE_ROWS 4
#define TILE_VECTORS 1
#define TABLE nl_matmul_baseline
#include "matmul_isa.h"
#endif
