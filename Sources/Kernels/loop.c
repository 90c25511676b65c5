#include "loop.h"

#include "float_state.h"

typedef struct {
  nl_part *body;
  void *context;
} guarded_loop;

static void run_guarded(void *context, long part) {
  const guarded_loop *loop = context;
  nl_float_state saved = nl_float_begin();
  loop->body(loop->context, part);
  nl_float_end(saved);
}

void nl_run_loop(nl_pool *pool, long parts, nl_part *const versions[NL_ISAS], void *context) {
  if (parts <= 0) return;
  guarded_loop loop = {versions[nl_isa_current()], context};
  if (parts == 1) {
    run_guarded(&loop, 0);
  } else {
    nl_pool_run(pool, parts, run_guarded, &loop);
  }
}
