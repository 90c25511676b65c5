// Which instruction set the kernels use: the best that this CPU has, or what the variable NL_ISA names.
#include "Kernels.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum { UNDECIDED = -1 };
static _Atomic int selected = UNDECIDED;

#if defined(__x86_64__)
// Whether the CPU has AMX, and the kernel lets this process use it: threads that do have more to be saved.
static bool has_amx(void) {
  if (!__builtin_cpu_supports("amx-tile") || !__builtin_cpu_supports("amx-bf16")) return false;
#if defined(__linux__)
  enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
  return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
  return false;
#endif
}
#endif

static bool has(nl_isa isa) {
#if defined(__x86_64__)
  switch (isa) {
    case NL_ISA_BASELINE: return true;
    case NL_ISA_AVX2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    case NL_ISA_AVX512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && has(NL_ISA_AVX2);
    case NL_ISA_AMX: return has_amx() && has(NL_ISA_AVX512_BF16);
    case NL_ISA_AVX512_BF16: return __builtin_cpu_supports("avx512bf16") && has(NL_ISA_AVX512);
    default: return false;
  }
#elif defined(__aarch64__)
  return isa == NL_ISA_NEON;
#else
  return isa == NL_ISA_BASELINE;
#endif
}

bool nl_isa_has(nl_isa isa) { return has(isa); }

nl_isa nl_isa_best(void) {
  static const nl_isa order[] = {NL_ISA_AMX, NL_ISA_AVX512_BF16, NL_ISA_AVX512, NL_ISA_AVX2, NL_ISA_NEON};
  for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
    if (has(order[i])) return order[i];
  return NL_ISA_BASELINE;
}

const char *nl_isa_name(nl_isa isa) {
  switch (isa) {
    case NL_ISA_AMX: return "amx";
    case NL_ISA_AVX512_BF16: return "avx512_bf16";
    case NL_ISA_AVX512: return "avx512";
    case NL_ISA_AVX2: return "avx2";
    case NL_ISA_NEON: return "neon";
    default: return "baseline";
  }
}

static nl_isa initial(void) {
  const char *wanted = getenv("NL_ISA");
  for (int isa = NL_ISA_BASELINE; wanted && isa <= NL_ISA_NEON; isa++)
    if (has((nl_isa)isa) && strcmp(wanted, nl_isa_name((nl_isa)isa)) == 0) return (nl_isa)isa;
  return nl_isa_best();
}

nl_isa nl_isa_current(void) {
  int now = atomic_load_explicit(&selected, memory_order_relaxed);
  if (now != UNDECIDED) return (nl_isa)now;
  // Two first callers may both get here; the exchange lets one of them decide, and an nl_isa_select in between stands.
  int first = UNDECIDED;
  atomic_compare_exchange_strong(&selected, &first, (int)initial());
  return (nl_isa)atomic_load(&selected);
}

bool nl_isa_select(nl_isa isa) {
  if (!has(isa)) return false;
  atomic_store(&selected, (int)isa);
  return true;
}
