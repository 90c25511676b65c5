// What the parts of the matrix product share. The bits of a product are fixed by NL_KBLOCK alone (Kernels.h);
// every other size here is a matter of caches and may be changed.
#ifndef NL_MATMUL_H
#define NL_MATMUL_H
#include "Kernels.h"

enum {
  NL_KBLOCK = 256,  // k in one chain of fused multiply-adds
  NL_PANEL = 32,    // columns of B that are packed side by side: [k][NL_PANEL] floats
};

// Lines to be asked for while a block is computed: those of the block of B that is packed next. Without this the
// packing waits for memory (a quarter of the time at 128 rows).
typedef struct {
  const char *at;
  long rows, stride, bytes;  // `rows` pieces of `bytes` bytes, `stride` bytes apart
} nl_prefetch;

// C (+)= A·B for one block of k. A is packed in rows of NL_KBLOCK floats. B is a row of panels: panel p begins at
// b + p*b_panel, and its row k at b + p*b_panel + k*b_row; packed panels, or f32 weights where they lie.
typedef struct {
  long rows, columns, depth;
  const float *a;
  const float *b;
  long b_row, b_panel;
  float *c;
  long ldc;
  bool add;  // C += block, else C = block
  nl_prefetch next;
} nl_matmul_block;

// The functions of one instruction set.
typedef struct {
  long tile_rows;  // rows of C that are computed at a time
  void (*multiply)(const nl_matmul_block *block);
  // to[c*to_row + r] = from[r*from_row + c] for r < rows, c < columns; `from` in f32 or bf16. Rows are taken by
  // vectors: beyond the last one, up to a multiple of 16, zeros are written.
  void (*transpose_f32)(const float *from, long from_row, long rows, long columns, float *to, long to_row);
  void (*transpose_bf16)(const uint16_t *from, long from_row, long rows, long columns, float *to, long to_row);
  // to[j / NL_PANEL * NL_PANEL * NL_KBLOCK + r*NL_PANEL + j % NL_PANEL] = from[r*from_row + j] for r < rows and
  // j < columns
  void (*pack_rows_f32)(const float *from, long from_row, long rows, long columns, float *to);
  void (*pack_rows_bf16)(const uint16_t *from, long from_row, long rows, long columns, float *to);
} nl_matmul_kernels;

#if defined(__x86_64__)
extern const nl_matmul_kernels nl_matmul_avx512, nl_matmul_avx2;
#endif
#if defined(__aarch64__)
extern const nl_matmul_kernels nl_matmul_neon;
#else
extern const nl_matmul_kernels nl_matmul_baseline;
#endif

#endif
