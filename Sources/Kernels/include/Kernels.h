// The arithmetic of training, in C: matrix products and vector loops.
//
// What holds for every function here:
//  - Same bits on every instruction set (AVX-512, AVX2, x86-64 baseline, NEON) and with any number of threads.
//    Threads split rows, columns or heads, never a sum.
//  - Every product is a fused multiply-add; nothing else is contracted (FP_CONTRACT OFF).
//  - No libm but sqrt: exp, log, sin, cos and pow are defined here.
//  - All pointers are to caller-owned memory, aligned to the element at least; sizes are counted in elements.
//  - `nl_pool *` may be NULL: the calling thread works alone.
#ifndef NL_KERNELS_H
#define NL_KERNELS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---- instruction set -------------------------------------------------------------------------------------------
typedef enum {
  NL_ISA_BASELINE = 0,
  NL_ISA_AVX2 = 1,
  NL_ISA_AVX512 = 2,
  NL_ISA_AVX512_BF16 = 3,  // AVX-512 with dot products of bf16
  NL_ISA_AMX = 4,          // with AVX512_BF16, and products of tiles of bf16
  NL_ISA_NEON = 5,
} nl_isa;
nl_isa nl_isa_best(void);             // the best this CPU has
nl_isa nl_isa_current(void);          // the one in use; at first the best, or what the variable NL_ISA names
bool nl_isa_select(nl_isa isa);       // false (and no change) if this CPU lacks it; for tests
bool nl_isa_has(nl_isa isa);          // whether this CPU has it
const char *nl_isa_name(nl_isa isa);  // "amx", "avx512_bf16", "avx512", "avx2", "baseline", "neon"

// ---- threads (pool.c) ------------------------------------------------------------------------------------------
typedef struct nl_pool nl_pool;
nl_pool *nl_pool_create(int threads);  // threads >= 1, the caller counts as one; NULL if threads cannot be had
void nl_pool_destroy(nl_pool *pool);
int nl_pool_threads(const nl_pool *pool);
// Calls body(context, part) once for each part in [0, parts), on any thread, and returns when all are done.
// One caller at a time.
void nl_pool_run(nl_pool *pool, long parts, void (*body)(void *context, long part), void *context);

// ---- matrix product (matmul.c) ---------------------------------------------------------------------------------
typedef enum { NL_F32 = 0, NL_BF16 = 1, NL_F16 = 2 } nl_dtype;  // f16: IEEE 754's halves
// C = A·B, or C += A·B with `accumulate`.  A[m,k] = a[m*a_row + k*a_col] (f32), B[k,n] = b[k*b_row + n*b_col]
// (f32, bf16 or f16, which is f32 of fewer bits), C[m,n] = c[m*ldc + n].  One of b_row, b_col is 1, and one of a_row,
// a_col is 1.
//   forward  Y = X·Wᵀ:  a = X [M,K], b = W [N,K] -> b_row = 1, b_col = K
//   input    dX = dY·W: a = dY [M,K], b = W [K,N] -> b_row = N, b_col = 1
//   weights  dW = dYᵀ·X: a = dY [K,M] -> a_row = 1, a_col = M; b = X [K,N] -> b_row = N, b_col = 1
// The bits: for each block of 256 consecutive k, ascending, a chain of fma from zero over ascending k; then
// c = block (first block, not accumulating) or c = c + block. Narrow forms (LoRA ranks) give the same bits.
void nl_matmul(nl_pool *pool, long M, long N, long K, const float *a, long a_row, long a_col, const void *b,
               nl_dtype b_type, long b_row, long b_col, float *c, long ldc, bool accumulate);
// The same product in mixed precision: A and B are rounded to bf16 (to nearest, ties to even), the sums are in f32.
// The bits: for each block of 256 consecutive k, ascending, a chain from zero over ascending pairs (k, k+1):
// chain = fma(a[k], b[k], fma(a[k+1], b[k+1], chain)), what lacks at the end being zero; then c = block or c = c + block,
// as above. Denormal numbers count as zero, in and out. This is what the bf16 dot product of AVX512_BF16 computes;
// elsewhere the same is done by two fused multiply-adds.
void nl_matmul_bf16_dot(nl_pool *pool, long M, long N, long K, const float *a, long a_row, long a_col, const void *b,
                    nl_dtype b_type, long b_row, long b_col, float *c, long ldc, bool accumulate);

// The same in the order in which AMX adds. For each 32 consecutive k, ascending, zeros beyond the last: a chain of fma
// from zero over the even k, one over the odd ones, and c = c + (even + odd), c being zero at first, or what is there
// with `accumulate`. Elsewhere the same is done by dot products of AVX512_BF16, or by fused multiply-adds.
void nl_matmul_bf16_tiles(nl_pool *pool, long M, long N, long K, const float *a, long a_row, long a_col, const void *b,
                   nl_dtype b_type, long b_row, long b_col, float *c, long ldc, bool accumulate);

// A product in f32's precision by tiles of bf16. A number is the sum of three bf16, x1 = bf16(x), x2 = bf16(x − x1),
// x3 = bf16(x − x1 − x2), to nearest, ties to even; denormal numbers count as zero, in and out. For each 32 k, ascending,
// zeros beyond the last, and for each product of terms in turn: a chain of fma from zero over the even k, one over the odd
// ones, and sum = sum + (even + odd). With B in bf16 the products are x3·w, x2·w, x1·w; in f16, which is two terms, x3·w1,
// x2·w2, x2·w1, x1·w2, x1·w1; in f32 x3·w1, x2·w2, x1·w3, x2·w1, x1·w2, x1·w1. After each 512 k c = sum, the first time and not accumulating, else c = c + sum, and sum = 0.
void nl_matmul_f32_tiles(nl_pool *pool, long M, long N, long K, const float *a, long a_row, long a_col, const void *b,
                         nl_dtype b_type, long b_row, long b_col, float *c, long ldc, bool accumulate);

// One factor of products that share their left side: C (+)= A·B, as above.
typedef struct {
  const void *b;
  nl_dtype b_type;
  long b_row, b_col, N;
  float *c;
  long ldc;
  bool accumulate;
} nl_factor;
// The products of A with each of `count` factors; A is packed once where they are alike (stored, lying and accumulating
// in one way).
void nl_matmul_f32_tiles_each(nl_pool *pool, long M, long K, const float *a, long a_row, long a_col,
                              const nl_factor *list, long count);

// ---- the machine's limit (peak.c), for benchmarks ----------------------------------------------------------------
// Independent f32 chains in registers, in the instruction set in use, on every thread of the pool at once: nothing is
// faster. Returns the floating-point operations done (a fused multiply-add counts two); 10,000 rounds take a fraction
// of a millisecond.
long nl_peak_loop(nl_pool *pool, long rounds);
// The same with dot products of bf16, and with tiles of AMX, or the dot products that do their work where they are fast;
// the f32 chains where there are none, or others in use, as instead of the dot products of CPUs with AMX.
long nl_peak_dot_loop(nl_pool *pool, long rounds);
long nl_peak_tile_loop(nl_pool *pool, long rounds);
// Tiles of AMX with their operands from the second cache, four tiles loaded for every four products.
long nl_peak_tile_cache_loop(nl_pool *pool, long rounds);

// ---- vector loops (arithmetic.c, norm.c, swiglu.c, rope.c, rows.c, …): rows are contiguous, [rows, n] -------------
// Sums along a row: 64 fixed lanes, folded by halves. Sums over rows (dw, column sums): one chain of adds per
// block of 256 rows, blocks added in ascending order.
void nl_add(nl_pool *pool, long n, const float *a, const float *b, float *y);     // y = a + b; y may be a or b
void nl_scale(nl_pool *pool, long n, float s, const float *x, float *y);          // y = s·x; y may be x
void nl_add_bias(nl_pool *pool, long rows, long n, const float *bias, float *y);  // y[r,:] += bias
void nl_column_sum(nl_pool *pool, long rows, long n, const float *x, float *sum, bool accumulate);
// y = x·rstd·w, rstd = 1/sqrt(mean(x²) + eps); rstd[rows] is kept for the backward pass unless NULL.
void nl_rmsnorm_forward(nl_pool *pool, long rows, long n, float eps, const float *x, const float *w, float *y,
                        float *rstd);
// dx = rstd·(dy·w − x·rstd²·mean(dy·w·x)), added to dx with `accumulate`; dw += Σ_rows dy·x·rstd unless NULL.
void nl_rmsnorm_backward(nl_pool *pool, long rows, long n, const float *x, const float *w, const float *rstd,
                         const float *dy, float *dx, bool accumulate, float *dw);
// y = silu(gate)·up, silu(x) = x/(1 + e^−x)
void nl_swiglu_forward(nl_pool *pool, long n, const float *gate, const float *up, float *y);
// With dy the gradient of y: dgate, dup, and unless NULL y once more, which may be dy.
void nl_swiglu_backward(nl_pool *pool, long n, const float *gate, const float *up, const float *dy, float *dgate,
                        float *dup, float *y);
// GELU: y = x·Φ(x); backward dx = dy·(Φ(x) + x·φ(x)). Outputs may be inputs.
void nl_gelu_forward(nl_pool *pool, long n, const float *x, float *y);
void nl_gelu_backward(nl_pool *pool, long n, const float *x, const float *dy, float *dx);
// ReLU: y = max(x, 0); backward dx = dy where x > 0, else 0. Outputs may be inputs.
void nl_relu_forward(nl_pool *pool, long n, const float *x, float *y);
void nl_relu_backward(nl_pool *pool, long n, const float *x, const float *dy, float *dx);
// loss[r] = Σ (y − target)²/n over row r; gradient (NULL: none; may be y) = 2·(y − target)/n.
void nl_squared_error(nl_pool *pool, long rows, long n, const float *y, const float *target, double *loss,
                      float *gradient);
// Rotate-half RoPE on x [rows, heads, dim], y may be x: with h = dim/2, a = x[i], b = x[i+h] (i < h),
// y[i] = a·cos − b·sin, y[i+h] = b·cos + a·sin, tables [positions, h]; `inverse` rotates back (the backward pass).
void nl_rope(nl_pool *pool, long rows, long heads, long dim, const float *cos_table, const float *sin_table,
             const int32_t *positions, const float *x, float *y, bool inverse);
// y[r,:] = table[ids[r],:] as f32
void nl_embedding_forward(nl_pool *pool, long rows, long n, const int32_t *ids, const void *table, nl_dtype type,
                          float *y);
// dtable[ids[r],:] += dy[r,:], r ascending
void nl_embedding_backward(nl_pool *pool, long rows, long n, const int32_t *ids, const float *dy, float *dtable);
// y[i,:] = x[index[i],:] and dx[index[i],:] += dy[i,:] (index ascending, without repeats)
void nl_gather_rows(nl_pool *pool, long rows, long n, const int32_t *index, const float *x, float *y);
void nl_scatter_add_rows(nl_pool *pool, long rows, long n, const int32_t *index, const float *dy, float *dx);
// y[r,:] = (1/count)·Σ x[t,:] over t in [offsets[r], offsets[r+1]), t ascending; no row is empty
void nl_mean_rows(nl_pool *pool, long rows, long n, const int32_t *offsets, const float *x, float *y);
// dx[t,:] = dy[r,:]·(factor/count): the transpose, times a factor
void nl_mean_rows_backward(nl_pool *pool, long rows, long n, const int32_t *offsets, float factor, const float *dy,
                           float *dx);
// y[i,:] = x[i,:]·scale + shift for each i of the index, without a shift x[i,:]·scale; y may be x
void nl_scale_rows(nl_pool *pool, long rows, long n, const int32_t *index, const float *x, const float *scale,
                   const float *shift, float *y);
// dscale += Σ dy[i,:]·x[i,:] and dshift += Σ dy[i,:] over the index, in its order, in chains of 256
void nl_scale_rows_weights(nl_pool *pool, long rows, long n, const int32_t *index, const float *x, const float *dy,
                           float *dscale, float *dshift);
// Softmax cross entropy in place. logits [rows, n] in; softmax − onehot(label) out (the gradient of the SUM of
// losses) when `gradient`. loss[r] = max + log Σ e^(x−max) − x[label], in double. Σ: 64 lanes for each 4,096
// elements, and these sums in double. Without `gradient` what is left in logits is undefined. 0 <= label < n.
void nl_cross_entropy(nl_pool *pool, long rows, long n, float *logits, const int32_t *labels, double *loss,
                      bool gradient);
// What is wanted of one token's logits z, whose softmax is p.
typedef struct {
  // The token to predict, 0 <= label < n; and the row of the base's logits, or -1: then `soft` is 0.
  int32_t label, base;
  // Factors of -log p[label], and of the cross entropy -sum p_b log p with the base's softmax p_b.
  float hard, soft;
  // Whether `hard` is multiplied by w, the entropy of the 20 largest logits' softmax / ln 20, through which no gradient
  // goes (arXiv 2601.02151).
  bool by_entropy;
} nl_token_objective;
// What came of it, in nats: -log p[label], -sum p_b log p, sum p_b log(p_b/p), and w (1 unless asked for).
typedef struct {
  double loss, soft_loss, divergence;
  float weight;
} nl_token_outcome;
// logits [rows, n] in; (hard*w + soft)*p - hard*w*onehot - soft*p_b out when `gradient`. base_logits [.., base_n] with
// base_n <= n, each row used once, are taken apart; gaps [rows, base_n] is scratch. Sums are those of nl_cross_entropy.
void nl_objective(nl_pool *pool, long rows, long n, float *logits, long base_n, float *base_logits, float *gaps,
                  const nl_token_objective *objectives, nl_token_outcome *outcomes, bool gradient);
// Inverted dropout: y = keep ? x/(1−p) : 0, keep from Philox4x32-10 with the given key and the counter
// (row_ids[r], position_ids[r], channel/4, site). The backward pass is the same call on dy.
void nl_dropout(nl_pool *pool, long rows, long n, float p, uint64_t key, uint32_t site, const int32_t *row_ids,
                const int32_t *position_ids, const float *x, float *y);
// Numbers that are not finite, of any stored type.
long nl_count_nonfinite(nl_pool *pool, long n, const void *x, nl_dtype type);
// Conversions of stored weights.
void nl_f16_to_f32(nl_pool *pool, long n, const uint16_t *x, float *y);
void nl_bf16_to_f32(nl_pool *pool, long n, const uint16_t *x, float *y);
void nl_f32_to_bf16(nl_pool *pool, long n, const float *x, uint16_t *y);  // to nearest, ties to even

// ---- optimizer (adam.c) ------------------------------------------------------------------------------------------
typedef struct {
  float gradient_scale;   // what gradients are multiplied by first
  float folded_decay;     // w, added to the gradient as w·θ
  float shrink;           // what θ is multiplied by before the update: 1, or 1 − η·w
  float one_minus_beta1, beta2, one_minus_beta2;
  float step_size;        // η/(1 − β1ᵗ)
  float root_correction;  // √(1 − β2ᵗ)
  float eps;
} nl_adam_rule;
// One update by Adam, each operation rounded by itself, not fused: g = scale·gradient + w·θ; m += (g − m)(1 − β1);
// v = β2·v + (1 − β2)·g·g; θ = shrink·θ − step·m / (√v/correction + eps). Says whether any bit of θ changed.
bool nl_adam(nl_pool *pool, long n, const nl_adam_rule *rule, const float *gradient, float *parameter,
             float *mean, float *square);

// ---- attention (attention.c) -----------------------------------------------------------------------------------
// Causal attention with grouped heads over packed sequences. Sequence s has the query rows
// [q_offsets[s], q_offsets[s+1]) and the key rows [k_offsets[s], k_offsets[s+1]), aligned at the end: query i of
// nq sees keys 0 … i + (nk − nq), and of these, with window > 0, the last `window` alone. A row's result depends on
// its query and the keys that it sees, not on nq: the last queries alone give the bits they have among all.
typedef struct {
  long sequences;
  const int32_t *q_offsets, *k_offsets;  // [sequences + 1] each; training passes the same array twice
  long heads, kv_heads, dim;             // heads is a multiple of kv_heads; dim even, at most 256
  float scale;
  long window;                           // 0: none
} nl_attention_shape;
// q, o [Tq, heads, dim]; k, v [Tk, kv_heads, dim]. row_max, row_sum [Tq, heads] are kept for the backward pass
// (maximum of the scaled scores, and Σ e^(s − max)); both may be NULL.
void nl_attention_forward(nl_pool *pool, const nl_attention_shape *shape, const float *q, const float *k,
                          const float *v, float *o, float *row_max, float *row_sum);
// Overwrites dq [Tq,heads,dim], dk and dv [Tk,kv_heads,dim]. No S×S matrix is kept: scores are computed again.
void nl_attention_backward(nl_pool *pool, const nl_attention_shape *shape, const float *q, const float *k,
                           const float *v, const float *o, const float *row_max, const float *row_sum,
                           const float *d_o, float *dq, float *dk, float *dv);

// ---- functions of one number (math.c), in double, the same bits everywhere ---------------------------------------
double nl_exp(double x);
double nl_log(double x);
double nl_sin(double x);
double nl_cos(double x);
double nl_pow(double x, double y);  // x > 0

// ---- random numbers and checksums (philox.c, crc32c.c, digest.c) ---------------------------------------------------
// Philox4x32-10 (Salmon et al. 2011, Random123): four words from a 128-bit counter and a 64-bit key.
void nl_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
// CRC-32C (Castagnoli), RFC 3720; crc = 0 to begin, the last result to go on.
uint32_t nl_crc32c(uint32_t crc, const void *data, size_t count);
// A digest of n 32-bit words, in which one word that differs is always seen; digest.c has the formula. Not for secrets.
uint64_t nl_digest(nl_pool *pool, long n, const void *words);
// Takes another digest, or number, into one; the order counts.
uint64_t nl_digest_fold(uint64_t digest, uint64_t next);

#ifdef __cplusplus
}
#endif
#endif
