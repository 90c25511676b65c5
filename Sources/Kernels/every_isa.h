// Compiles the file named by NL_BODY once for each instruction set of this architecture. There NL_PASS is defined,
// NL_NAME(f) is the name of f in this pass, and NL_LANES the number of floats in a register.
// After it, NL_EVERY_ISA(f) is the table of all versions of f, to be indexed by nl_isa.
//
// Not target_clones: the choice must follow nl_isa_select, so that one process can compare instruction sets. The
// features are listed one by one, since "arch=x86-64-v4" also asks the compiler to prefer 256-bit registers.
#define NL_PASS

#if defined(__x86_64__)

#define NL_SUFFIX _baseline
#define NL_LANES 4
#define NL_EMULATED_FMA
#include NL_BODY
#undef NL_SUFFIX
#undef NL_LANES
#undef NL_EMULATED_FMA

#define NL_SUFFIX _avx2
#define NL_LANES 8
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include NL_BODY
#pragma clang attribute pop
#undef NL_SUFFIX
#undef NL_LANES

#define NL_SUFFIX _avx512
#define NL_LANES 16
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#pragma clang attribute push(__attribute__((min_vector_width(512))), apply_to = function)
#include NL_BODY
#pragma clang attribute pop
#pragma clang attribute pop
#undef NL_SUFFIX
#undef NL_LANES

#define NL_EVERY_ISA(f) \
  {f##_baseline, f##_avx2, f##_avx512, f##_avx512, f##_avx512, f##_baseline}

#else  // one instruction set, with a fused multiply-add of its own

#define NL_SUFFIX _native
#define NL_LANES 4
#include NL_BODY
#undef NL_SUFFIX
#undef NL_LANES

#define NL_EVERY_ISA(f) {f##_native, f##_native, f##_native, f##_native, f##_native, f##_native}

#endif
#undef NL_PASS
