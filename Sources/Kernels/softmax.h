// The parts of a softmax over a row of logits, for a loop body that is compiled once for each instruction set; hence no
// include guard. Rows are as long as a vocabulary, too long for one f32 chain: a sum is 64 lanes within each block of
// NL_SOFTMAX_BLOCK elements, and these sums in double, ascending.
#define row_max NL_NAME(row_max)
#define exponentials NL_NAME(exponentials)
#define row_exponentials NL_NAME(row_exponentials)

NL_INLINE float row_max(const float *x, long n) {
  v16 most[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
  long i = 0;
  for (; i + 64 <= n; i += 64) NL_UNROLL for (int v = 0; v < 4; v++) most[v] = max16(load16(x + i + 16 * v), most[v]);
  float rest = -INFINITY;
  for (; i < n; i++) rest = x[i] > rest ? x[i] : rest;
  float largest = fold_max16(max16(max16(most[0], most[1]), max16(most[2], most[3])));
  return largest > rest ? largest : rest;
}

// x = e^(x − most) for at most NL_SOFTMAX_BLOCK elements; returns their sum.
NL_INLINE float exponentials(float *x, long n, float most) {
  v16 lanes[4] = {0, 0, 0, 0};
  long i = 0;
  for (; i + 64 <= n; i += 64)
    NL_UNROLL for (int v = 0; v < 4; v++) {
      v16 e = exp_negative16(load16(x + i + 16 * v) - most);
      store16(x + i + 16 * v, e);
      lanes[v] += e;
    }
  for (int v = 0; i < n; i += 16, v++) {
    v16 e = exp_negative16(load_some16(x + i, nl_min(16, n - i)) - most);
    store_some16(x + i, e, nl_min(16, n - i));
    lanes[v] += load_some16(x + i, nl_min(16, n - i));  // again, for the zeros after it
  }
  return fold64(lanes);
}

// The same for a whole row.
NL_INLINE double row_exponentials(float *x, long n, float most) {
  double sum = 0;
  for (long i = 0; i < n; i += NL_SOFTMAX_BLOCK) sum += exponentials(x + i, nl_min(NL_SOFTMAX_BLOCK, n - i), most);
  return sum;
}
