// What a token's logits come to where the loss is more than its cross entropy: a weight, another distribution to learn.
#ifdef NL_PASS
#include "lanes.h"
#include "softmax.h"
#define dot NL_NAME(dot)
#define entropy_of_top NL_NAME(entropy_of_top)

// Σ x·y, added as the exponentials are.
NL_INLINE double dot(const float *x, const float *y, long n) {
  double sum = 0;
  for (long start = 0; start < n; start += NL_SOFTMAX_BLOCK) {
    long end = nl_min(n, start + NL_SOFTMAX_BLOCK), i = start;
    v16 lanes[4] = {0, 0, 0, 0};
    for (; i + 64 <= end; i += 64)
      NL_UNROLL for (int v = 0; v < 4; v++) lanes[v] += load16(x + i + 16 * v) * load16(y + i + 16 * v);
    for (int v = 0; i < end; i += 16, v++)
      lanes[v] += load_some16(x + i, nl_min(16, end - i)) * load_some16(y + i, nl_min(16, end - i));
    sum += fold64(lanes);
  }
  return sum;
}

// −Σ p ln p / ln 20 over the 20 largest of n logits, p their softmax; of equal ones the lower ids are taken, which
// changes nothing, since only their values count.
NL_INLINE float entropy_of_top(const float *x, long n) {
  float top[NL_TOP];
  int count = 0;
  for (long i = 0; i < n; i++) {
    if (count == NL_TOP && !(x[i] > top[NL_TOP - 1])) continue;
    int place = count < NL_TOP ? count++ : NL_TOP - 1;
    while (place > 0 && x[i] > top[place - 1]) {
      top[place] = top[place - 1];
      place--;
    }
    top[place] = x[i];
  }
  double sum = 0, weighted = 0;
  for (int i = 0; i < count; i++) {
    double gap = (double)top[i] - top[0], e = nl_exp(gap);
    sum += e;
    weighted += e * gap;
  }
  // ln p = gap − ln sum
  return (float)((nl_log(sum) - weighted / sum) / nl_log((double)NL_TOP));
}

static void NL_NAME(objective)(void *context, long row) {
  const objective_arguments *p = context;
  const nl_token_objective *o = p->objectives + row;
  nl_token_outcome *out = p->outcomes + row;
  long n = p->n, shared = o->base < 0 ? 0 : p->base_n;
  float *z = p->logits + row * n, *b = o->base < 0 ? 0 : p->base_logits + o->base * p->base_n;
  float *gaps = p->gaps + row * p->base_n;
  float hard = o->hard, at_label = z[o->label], most = row_max(z, n);
  out->weight = 1;
  if (o->by_entropy) {
    out->weight = entropy_of_top(z, n);
    hard *= out->weight;
  }
  double expected_gap = 0, base_log_sum = 0, base_mean = 0, base_sum = 1;
  if (b) {
    float base_most = row_max(b, shared);
    long i = 0;
    for (; i + 16 <= shared; i += 16) store16(gaps + i, load16(b + i) - load16(z + i));
    for (; i < shared; i++) gaps[i] = b[i] - z[i];
    base_sum = row_exponentials(b, shared, base_most);
    base_log_sum = (double)base_most + nl_log(base_sum);
    expected_gap = dot(b, gaps, shared) / base_sum;
    base_mean = expected_gap + dot(b, z, shared) / base_sum;
  }
  double sum = row_exponentials(z, n, most), log_sum = (double)most + nl_log(sum);
  out->loss = ((double)most - at_label) + nl_log(sum);
  out->divergence = b ? expected_gap + (log_sum - base_log_sum) : 0;
  out->soft_loss = b ? out->divergence + (base_log_sum - base_mean) : 0;
  if (!p->gradient) return;
  float own = (float)(((double)hard + o->soft) / sum), other = (float)(o->soft / base_sum);
  long i = 0;
  for (; i + 16 <= shared; i += 16) store16(z + i, load16(z + i) * own - load16(b + i) * other);
  for (; i < shared; i++) z[i] = z[i] * own - b[i] * other;
  for (; i < n && i % 16; i++) z[i] *= own;
  for (; i + 16 <= n; i += 16) store16(z + i, load16(z + i) * own);
  for (; i < n; i++) z[i] *= own;
  z[o->label] -= hard;
}

#else
#include "loop.h"

enum { NL_TOP = 20 };

typedef struct {
  long n, base_n;
  float *logits, *base_logits, *gaps;
  const nl_token_objective *objectives;
  nl_token_outcome *outcomes;
  bool gradient;
} objective_arguments;

#define NL_BODY "objective.c"
#include "every_isa.h"

void nl_objective(nl_pool *pool, long rows, long n, float *logits, long base_n, float *base_logits, float *gaps,
                  const nl_token_objective *objectives, nl_token_outcome *outcomes, bool gradient) {
  objective_arguments p = {n, base_n, logits, base_logits, gaps, objectives, outcomes, gradient};
  NL_RUN(pool, rows, objective, &p);
}
#endif
