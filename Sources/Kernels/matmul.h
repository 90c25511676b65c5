// What the parts of the matrix product share. The bits of a product are fixed by NL_KBLOCK alone (Kernels.h);
// every other size here is a matter of caches and may be changed.
#ifndef NL_MATMUL_H
#define NL_MATMUL_H
#include <string.h>

#include "Kernels.h"

enum {
  NL_KBLOCK = 256,  // k in one chain of fused multiply-adds
  NL_PANEL = 32,    // columns of B that are packed side by side: [k][NL_PANEL] numbers
  NL_FEW_COLUMNS = 8,  // half a vector of AVX-512: what matmul_narrow.h takes
};

// Lines to be asked for while a block is computed: those of the block of B that is packed next. Without this the
// packing waits for memory (a quarter of the time at 128 rows).
typedef struct {
  const char *at;
  long rows, stride, bytes;  // `rows` pieces of `bytes` bytes, `stride` bytes apart
} nl_prefetch;

// C (+)= A·B for one block of k, packed as its kernels do. The rows of A are NL_KBLOCK of its numbers apart. B is a row
// of panels: panel p begins at b + p*b_panel, and its next row (of one k, or of two in mixed precision) b_row further,
// counted in words of 32 bits; in f32 these are packed panels, or weights where they lie.
typedef struct {
  long rows, columns, depth;
  const void *a;
  const void *b;
  long b_row, b_panel;
  float *c;
  long ldc;
  bool add;  // C += block, else C = block
  nl_prefetch next;
} nl_matmul_block;

// C = A·Wᵀ for at most NL_PANEL rows of W and all of k, a multiple of 32.
typedef struct {
  long rows, columns, depth;  // rows of A, rows of W, k
  const void *pairs;          // A as nl_weights_kernels.pack leaves it
  const void *weights;        // rows of bf16, `row` bytes apart
  long row;
  float *c;
  long ldc;
  nl_prefetch next;
} nl_weights_block;

// A rectangle of a matrix where it lies.
typedef struct {
  const void *at;
  nl_dtype type;
  long row, column;  // from one to the next, in numbers; one of the two is 1
} nl_matrix_part;

// The functions for weights that are used where they lie, k after k.
typedef struct {
  void (*multiply)(const nl_weights_block *block);
  // Rows of A (f32), all of k; what lacks of the last panel of NL_PANEL rows is written, too.
  void (*pack)(nl_matrix_part from, long rows, long depth, void *to);
} nl_weights_kernels;

// The functions of one instruction set and precision.
typedef struct {
  long tile_rows;     // rows of C that are computed at a time
  long a_bytes;       // of a packed number of A
  long b_words;       // 32-bit words of a packed panel of B
  long panels;        // of B that rows of A are multiplied with before the next rows; 0: as many as are read together
  void (*multiply)(const nl_matmul_block *block);
  // The rows of A (f32) for a block of k.
  void (*pack_a)(nl_matrix_part from, long rows, long depth, void *to);
  // Panels of B for a block of k. Beyond the last column, up to a multiple of 16, zeros may be written.
  void (*pack_b)(nl_matrix_part from, long depth, long columns, void *to);
  const nl_weights_kernels *weights;  // NULL: weights are packed like everything
} nl_matmul_kernels;

// Memory of the calling thread, kept until the thread ends: so much for the time of one kernel, and behind it so much for
// rows that tiles.c packs for all threads. NULL if there is none.
enum { NL_SCRATCH_BYTES = 6 << 20, NL_SHARED_BYTES = (8 << 20) + 4096 };
void *nl_thread_scratch(void);

#if defined(__x86_64__)
extern const nl_matmul_kernels nl_matmul_avx512, nl_matmul_avx512_narrow, nl_matmul_avx2;
extern const nl_matmul_kernels nl_matmul_bf16_dot_avx512_bf16, nl_matmul_bf16_dot_avx512, nl_matmul_bf16_dot_avx2;
extern const nl_matmul_kernels nl_matmul_bf16_tiles_amx, nl_matmul_bf16_tiles_avx512, nl_matmul_bf16_tiles_avx2;
#endif
#if defined(__aarch64__)
extern const nl_matmul_kernels nl_matmul_neon, nl_matmul_bf16_dot_neon, nl_matmul_bf16_tiles_neon;
#else
extern const nl_matmul_kernels nl_matmul_baseline, nl_matmul_bf16_dot_baseline, nl_matmul_bf16_tiles_baseline;
#endif

#endif
