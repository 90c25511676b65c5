// The floating-point state in which every kernel computes: round to nearest, denormals kept, nothing trapped.
// A caller may have set another (other libraries flush denormals); the results must not depend on that.
// Products in bf16 alone take denormals as zeros (nl_float_flush), as the instruction that they are defined by does.
#ifndef NL_FLOAT_STATE_H
#define NL_FLOAT_STATE_H
#include <stdint.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
typedef uint32_t nl_float_state;
static inline nl_float_state nl_float_begin(void) {
  nl_float_state saved = _mm_getcsr();
  _mm_setcsr(0x1f80);
  return saved;
}
static inline nl_float_state nl_float_flush(void) {
  nl_float_state saved = _mm_getcsr();
  _mm_setcsr(0x1f80 | 0x8040);
  return saved;
}
static inline void nl_float_end(nl_float_state saved) { _mm_setcsr(saved); }

#elif defined(__aarch64__)
typedef uint64_t nl_float_state;
static inline nl_float_state nl_float_begin(void) {
  nl_float_state saved, standard = 0;
  __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
  __asm__ volatile("msr fpcr, %0" : : "r"(standard));
  return saved;
}
static inline nl_float_state nl_float_flush(void) {
  nl_float_state saved, flush = 1 << 24;
  __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
  __asm__ volatile("msr fpcr, %0" : : "r"(flush));
  return saved;
}
static inline void nl_float_end(nl_float_state saved) { __asm__ volatile("msr fpcr, %0" : : "r"(saved)); }

#else
#include <fenv.h>
typedef fenv_t nl_float_state;
static inline nl_float_state nl_float_begin(void) {
  nl_float_state saved;
  fegetenv(&saved);
  fesetenv(FE_DFL_ENV);
  return saved;
}
static inline nl_float_state nl_float_flush(void) { return nl_float_begin(); }
static inline void nl_float_end(nl_float_state saved) { fesetenv(&saved); }
#endif
#endif
