// Running one loop body over its parts: on the threads of a pool, in the instruction set in use.
#ifndef NL_LOOP_H
#define NL_LOOP_H
#include <string.h>

#include "Kernels.h"

// Computes one part of a loop; `context` holds the loop's arguments.
typedef void nl_part(void *context, long part);

enum { NL_ISAS = NL_ISA_NEON + 1 };

// Runs the version of the body that belongs to nl_isa_current(), in the kernels' own floating-point state.
void nl_run_loop(nl_pool *pool, long parts, nl_part *const versions[NL_ISAS], void *context);
#define NL_RUN(pool, parts, name, context) \
  nl_run_loop(pool, parts, (nl_part *const[NL_ISAS])NL_EVERY_ISA(name), context)

static inline long nl_min(long a, long b) { return a < b ? a : b; }
static inline long nl_max(long a, long b) { return a > b ? a : b; }
static inline long nl_parts(long count, long size) { return (count + size - 1) / size; }

// Rows in one part, so that a part is some ten microseconds of work. Never part of the bits: rows are independent.
static inline long nl_rows_per_part(long n) { return nl_max(1, 16384 / nl_max(n, 1)); }
enum {
  NL_ELEMENTS_PER_PART = 16384,
  NL_SOFTMAX_BLOCK = 4096,  // elements of a row's sum that are added in f32; part of the bits
  NL_SUM_ROWS = 256,     // a sum over rows is a chain within so many rows; part of the bits
  NL_SUM_COLUMNS = 128,  // columns in one part of such a sum; not part of the bits
};

typedef struct {
  long begin, end;
} nl_range;
// The part-th piece of [0, count) in pieces of `size`.
static inline nl_range nl_piece(long count, long size, long part) {
  return (nl_range){part * size, nl_min(count, (part + 1) * size)};
}
#endif
