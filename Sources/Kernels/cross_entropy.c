// Softmax cross entropy of rows of logits, in place.
#ifdef NL_PASS
#include "lanes.h"
#define row_max NL_NAME(row_max)
#define exponentials NL_NAME(exponentials)

NL_INLINE float row_max(const float *x, long n) {
  v16 most[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
  long i = 0;
  for (; i + 64 <= n; i += 64) NL_UNROLL for (int v = 0; v < 4; v++) most[v] = max16(load16(x + i + 16 * v), most[v]);
  float rest = -INFINITY;
  for (; i < n; i++) rest = x[i] > rest ? x[i] : rest;
  float largest = fold_max16(max16(max16(most[0], most[1]), max16(most[2], most[3])));
  return largest > rest ? largest : rest;
}

// x = e^(x − most) for at most NL_LOSS_BLOCK elements; returns their sum.
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

static void NL_NAME(cross_entropy)(void *context, long row) {
  const cross_entropy_arguments *p = context;
  long n = p->n;
  float *x = p->logits + row * n, at_label = x[p->labels[row]], most = row_max(x, n);
  double sum = 0;
  for (long i = 0; i < n; i += NL_LOSS_BLOCK) sum += exponentials(x + i, nl_min(NL_LOSS_BLOCK, n - i), most);
  p->loss[row] = ((double)most - at_label) + nl_log(sum);
  if (!p->gradient) return;
  float inverse = (float)(1.0 / sum);
  long i = 0;
  for (; i + 16 <= n; i += 16) store16(x + i, load16(x + i) * inverse);
  for (; i < n; i++) x[i] *= inverse;
  x[p->labels[row]] -= 1.0f;
}

#else
#include "loop.h"

// A row's sum: 64 lanes within so many elements, and these sums in double, ascending; a vocabulary is too long for
// one f32 chain.
enum { NL_LOSS_BLOCK = 4096 };

typedef struct {
  long n;
  float *logits;
  const int32_t *labels;
  double *loss;
  bool gradient;
} cross_entropy_arguments;

#define NL_BODY "cross_entropy.c"
#include "every_isa.h"

void nl_cross_entropy(nl_pool *pool, long rows, long n, float *logits, const int32_t *labels, double *loss,
                      bool gradient) {
  cross_entropy_arguments p = {n, logits, labels, loss, gradient};
  NL_RUN(pool, rows, cross_entropy, &p);
}
#endif
