// The matrix product with NEON: 24 accumulators of 32 registers.
#include "matmul.h"

#include <string.h>
#if defined(__aarch64__)
#pragma STDC FP_CONTRACT OFF
#define LANES 4
#define TILE_ROWS 6
#define TILE_VECTORS 4
#define TABLE nl_matmul_neon
#include "matmul_isa.h"
#endif
