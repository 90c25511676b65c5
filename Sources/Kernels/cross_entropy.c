// Softmax cross entropy of rows of logits, in place.
#ifdef NL_PASS
#include "lanes.h"
#include "softmax.h"

static void NL_NAME(cross_entropy)(void *context, long row) {
  const cross_entropy_arguments *p = context;
  long n = p->n;
  float *x = p->logits + row * n, at_label = x[p->labels[row]], most = row_max(x, n);
  double sum = row_exponentials(x, n, most);
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
