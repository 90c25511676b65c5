// Prints one line for each of a fixed list of kernel calls: its name and a hash of the bits that it computed.
// Kernels.h promises the same bits on every instruction set; equal.sh compares the lines of several builds and runs.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../Sources/Kernels/float_state.h"
#include "Kernels.h"

static nl_pool *pool;
static uint64_t random_state;

// SplitMix64 (Steele, Lea and Flood 2014)
static uint64_t random_word(void) {
  uint64_t z = random_state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static void *memory(size_t bytes) {
  void *result = calloc(bytes + 64, 1);
  if (result) return result;
  fprintf(stderr, "hashes: no memory for %zu bytes\n", bytes);
  exit(1);
}

// Numbers in [−2, 2), one in 64 of them tiny, so that products are subnormal, and some subnormal themselves, also where
// the caller has these flushed.
static float *floats(long count) {
  float *x = memory((size_t)count * 4);
  const nl_float_state saved = nl_float_begin();
  for (long i = 0; i < count; i++) {
    uint64_t word = random_word();
    x[i] = ldexpf((float)((int64_t)(word >> 40) - (1 << 23)), (word & 63) == 0 ? -100 : (word & 255) == 1 ? -149 : -22);
  }
  nl_float_end(saved);
  return x;
}

static float *positive(long count) {
  float *x = floats(count);
  for (long i = 0; i < count; i++) x[i] = fabsf(x[i]) + 0.1f;
  return x;
}

static uint16_t *halves(long count, unsigned mask) {
  uint16_t *x = memory((size_t)count * 2);
  for (long i = 0; i < count; i++) x[i] = (uint16_t)(random_word() & mask);
  return x;
}

static int32_t *integers(long count, int32_t below) {
  int32_t *x = memory((size_t)count * 4);
  for (long i = 0; i < count; i++) x[i] = (int32_t)(random_word() % (uint64_t)below);
  return x;
}

static int32_t *ascending(long count, int32_t step) {
  int32_t *x = memory((size_t)count * 4);
  for (long i = 0; i < count; i++) x[i] = (int32_t)i * step;
  return x;
}

// FNV-1a
static uint64_t hash(uint64_t so_far, const void *data, size_t bytes) {
  const unsigned char *byte = data;
  for (size_t i = 0; i < bytes; i++) so_far = (so_far ^ byte[i]) * 0x100000001b3u;
  return so_far;
}

static void line(const char *name, const void *data, size_t bytes) {
  printf("%s %016llx\n", name, (unsigned long long)hash(0xcbf29ce484222325u, data, bytes));
}
static void floats_line(const char *name, const float *x, long count) { line(name, x, (size_t)count * 4); }

// ---- matrix products ------------------------------------------------------------------------------------------------
static void *stored(long count, nl_dtype type) {
  float *x = floats(count);
  if (type == NL_F32) return x;
  uint16_t *y = halves(count, 0xbfff);
  for (long i = 0; i < count && type == NL_BF16; i++) memcpy(y + i, (char *)(x + i) + 2, 2);
  free(x);
  return y;
}

static void matmul(long M, long N, long K) {
  for (int form = 0; form < 96; form++) {
    const bool across_a = form & 1, across_b = form & 2, accumulate = form & 4;
    const nl_dtype type = form / 8 % 3;
    float *a = floats(M * K), *c = floats(M * N);
    void *b = stored(N * K, type);
    (form < 24 ? nl_matmul : form < 48 ? nl_matmul_bf16_dot : form < 72 ? nl_matmul_bf16_tiles : nl_matmul_f32_tiles)(
        pool, M, N, K, a, across_a ? 1 : K, across_a ? M : 1, b, type, across_b ? 1 : N, across_b ? K : 1, c, N,
        accumulate);
    char name[64];
    snprintf(name, sizeof name, "matmul_%ldx%ldx%ld_%d", M, N, K, form);
    floats_line(name, c, M * N);
    free(a), free(b), free(c);
  }
}

// Factors of several widths that share A, both ways.
static void shared_products(void) {
  enum { FACTORS = 3 };
  const long M = 45, K = 700, N[FACTORS] = {100, 7, 33};
  for (int form = 0; form < 6; form++) {
    const bool across = form & 1;
    const nl_dtype type = form / 2;
    nl_factor list[FACTORS];
    float *a = floats(M * K);
    for (int i = 0; i < FACTORS; i++) {
      list[i] = (nl_factor){stored(N[i] * K, type), type, across ? 1 : N[i], across ? K : 1, N[i],
                            memory(M * N[i] * 4), N[i], false};
    }
    nl_matmul_f32_tiles_each(pool, M, K, a, K, 1, list, FACTORS);
    for (int i = 0; i < FACTORS; i++) {
      char name[64];
      snprintf(name, sizeof name, "matmul_each_%d_%d", form, i);
      floats_line(name, list[i].c, M * N[i]);
    }
  }
}

static void matrix_products(void) {
  const long sizes[][3] = {{1, 1, 1}, {1, 100, 300}, {13, 45, 77}, {37, 8, 300}, {8, 200, 300}, {70, 140, 20},
                           {70, 150, 600}, {9, 40, 1100}, {70, 161, 1120}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) matmul(sizes[i][0], sizes[i][1], sizes[i][2]);
}

// ---- vector loops ---------------------------------------------------------------------------------------------------
static void element_loops(void) {
  const long rows = 300, n = 77, count = rows * n;
  float *x = floats(count), *y = floats(count), *z = memory((size_t)count * 4), *bias = floats(n);
  nl_add(pool, count, x, y, z);
  floats_line("add", z, count);
  nl_scale(pool, count, 0.37f, x, z);
  floats_line("scale", z, count);
  nl_add_bias(pool, rows, n, bias, z);
  floats_line("add_bias", z, count);
  nl_column_sum(pool, rows, n, x, bias, true);
  floats_line("column_sum", bias, n);
  nl_swiglu_forward(pool, count, x, y, z);
  floats_line("swiglu_forward", z, count);
  float *dx = memory((size_t)count * 4), *dy = memory((size_t)count * 4);
  nl_swiglu_backward(pool, count, x, y, z, dx, dy, z);
  floats_line("swiglu_backward_gate", dx, count);
  floats_line("swiglu_backward_up", dy, count);
  floats_line("swiglu_backward_again", z, count);
  int32_t *row_ids = integers(rows, 1000), *positions = integers(rows, 5000);
  nl_dropout(pool, rows, n, 0.3f, 0x123456789abcdefu, 17, row_ids, positions, x, z);
  floats_line("dropout", z, count);
}

static void norms(void) {
  const long rows = 270, n = 205;
  float *x = floats(rows * n), *w = floats(n), *y = floats(rows * n), *rstd = floats(rows), *dx = floats(rows * n),
        *dw = floats(n);
  nl_rmsnorm_forward(pool, rows, n, 1e-6f, x, w, y, rstd);
  floats_line("rmsnorm_forward", y, rows * n);
  floats_line("rmsnorm_forward_rstd", rstd, rows);
  nl_rmsnorm_backward(pool, rows, n, x, w, rstd, y, dx, true, dw);
  floats_line("rmsnorm_backward", dx, rows * n);
  floats_line("rmsnorm_backward_weight", dw, n);
}

static void rotations(void) {
  const long rows = 20, heads = 3, dim = 10, positions = 50;
  float *x = floats(rows * heads * dim), *sine = floats(positions * dim / 2), *cosine = floats(positions * dim / 2);
  int32_t *at = integers(rows, (int32_t)positions);
  for (int inverse = 0; inverse < 2; inverse++) {
    nl_rope(pool, rows, heads, dim, cosine, sine, at, x, x, inverse);
    floats_line(inverse ? "rope_inverse" : "rope", x, rows * heads * dim);
  }
}

static void row_loops(void) {
  const long rows = 40, n = 33, table_rows = 90;
  float *table = floats(table_rows * n), *y = floats(rows * n);
  int32_t *ids = integers(rows, (int32_t)table_rows), *index = ascending(rows, 2);
  nl_embedding_forward(pool, rows, n, ids, table, NL_F32, y);
  floats_line("embedding_forward", y, rows * n);
  nl_embedding_forward(pool, rows, n, ids, halves(table_rows * n, 0xbfff), NL_BF16, y);
  floats_line("embedding_forward_bf16", y, rows * n);
  nl_embedding_forward(pool, rows, n, ids, halves(table_rows * n, 0xbfff), NL_F16, y);
  floats_line("embedding_forward_f16", y, rows * n);
  nl_embedding_backward(pool, rows, n, ids, y, table);
  floats_line("embedding_backward", table, table_rows * n);
  nl_gather_rows(pool, rows, n, index, table, y);
  floats_line("gather_rows", y, rows * n);
  nl_scatter_add_rows(pool, rows, n, index, y, table);
  floats_line("scatter_add_rows", table, table_rows * n);
}

static void losses(void) {
  const long rows = 25, n = 1003;
  float *logits = floats(rows * n);
  double loss[25];
  int32_t *labels = integers(rows, (int32_t)n);
  nl_cross_entropy(pool, rows, n, logits, labels, loss, true);
  floats_line("cross_entropy_gradient", logits, rows * n);
  line("cross_entropy_loss", loss, sizeof loss);
}

static void conversions(void) {
  const long n = 1 << 16;
  uint16_t *all = memory((size_t)n * 2), *back = memory((size_t)n * 2);
  float *y = memory((size_t)n * 4), *x = floats(n);
  for (long i = 0; i < n; i++) all[i] = (uint16_t)((i & 0x7c00) == 0x7c00 ? i & ~0x3ff : i);  // no NaN: payloads vary
  nl_f16_to_f32(pool, n, all, y);
  floats_line("f16_to_f32", y, n);
  nl_bf16_to_f32(pool, n, all, y);
  floats_line("bf16_to_f32", y, n);
  nl_f32_to_bf16(pool, n, x, back);
  line("f32_to_bf16", back, (size_t)n * 2);
  printf("count_nonfinite %ld %ld %ld\n", nl_count_nonfinite(pool, n, y, NL_F32),
         nl_count_nonfinite(pool, n, all, NL_BF16), nl_count_nonfinite(pool, n, all, NL_F16));
}

// ---- attention ------------------------------------------------------------------------------------------------------
static void attention(const char *name, long heads, long kv_heads, long dim, long window) {
  static const int32_t offsets[] = {0, 1, 70, 75, 216};
  const nl_attention_shape shape = {4, offsets, offsets, heads, kv_heads, dim, 0.18f, window};
  const long tokens = 216, queries = tokens * heads * dim, keys = tokens * kv_heads * dim, sums = tokens * heads;
  float *q = floats(queries), *k = floats(keys), *v = floats(keys), *o = floats(queries), *d_o = floats(queries);
  float *most = floats(sums), *sum = floats(sums), *dq = floats(queries), *dk = floats(keys), *dv = floats(keys);
  nl_attention_forward(pool, &shape, q, k, v, o, most, sum);
  nl_attention_backward(pool, &shape, q, k, v, o, most, sum, d_o, dq, dk, dv);
  uint64_t forward = hash(hash(1, o, (size_t)queries * 4), sum, (size_t)sums * 4);
  uint64_t backward = hash(hash(hash(2, dq, (size_t)queries * 4), dk, (size_t)keys * 4), dv, (size_t)keys * 4);
  line(name, (uint64_t[]){forward, backward}, 16);
}

// ---- numbers --------------------------------------------------------------------------------------------------------
// In the standard floating-point state: functions of one number leave the caller's as it is.
static void functions(void) {
  enum { COUNT = 4000 };
  static double y[5 * COUNT];
  nl_float_state saved = nl_float_begin();
  for (int i = 0; i < COUNT; i++) {
    const double x = ldexp((double)(int64_t)random_word(), -63), size = ldexp(1, i % 12);
    y[i] = nl_exp(x * size);
    y[COUNT + i] = nl_log(fabs(x) * size);
    y[2 * COUNT + i] = nl_sin(x * size * 100);
    y[3 * COUNT + i] = nl_cos(x * size * 100);
    y[4 * COUNT + i] = nl_pow(fabs(x) * size, x * 5);
  }
  nl_float_end(saved);
  const char *names[] = {"exp", "log", "sin", "cos", "pow"};
  for (int f = 0; f < 5; f++) line(names[f], y + f * COUNT, COUNT * sizeof *y);
}

static void counters(void) {
  uint32_t words[400];
  for (uint32_t i = 0; i < 100; i++)
    nl_philox4x32((uint32_t[]){i, i * i, 7, ~i}, (uint32_t[]){i ^ 5, 9}, words + 4 * i);
  line("philox4x32", words, sizeof words);
  printf("crc32c %08x\n", nl_crc32c(nl_crc32c(0, words, 701), (char *)words + 701, sizeof words - 701));
  float *numbers = floats(40000);
  for (long count = 0; count <= 40000; count = count * 3 + 1)
    printf("digest %ld %016llx\n", count, (unsigned long long)nl_digest(pool, count, numbers));
  free(numbers);
}

static void everything(void) {
  random_state = 1;
  matrix_products();
  shared_products();
  element_loops();
  norms();
  rotations();
  row_loops();
  losses();
  conversions();
  attention("attention", 4, 2, 32, 0);
  attention("attention_window", 6, 2, 18, 40);
  functions();
  counters();
}

static void flush_subnormals(void) {
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040);
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" ::"r"((uint64_t)1 << 24));
#endif
}

// With an argument, the caller of the kernels has subnormal numbers flushed to zero, which must change nothing.
int main(int argc, char **argv) {
  (void)argv;
  fprintf(stderr, "%s\n", nl_isa_name(nl_isa_current()));
  pool = nl_pool_create(2);
  if (!pool) return 1;
  if (argc > 1) flush_subnormals();
  everything();
  nl_pool_destroy(pool);
  return 0;
}
