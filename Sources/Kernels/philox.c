#include "philox.h"

#include "Kernels.h"

void nl_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t a = counter[0], b = counter[1], c = counter[2], d = counter[3], key0 = key[0], key1 = key[1];
  for (int round = 0; round < NL_PHILOX_ROUNDS; round++) {
    uint64_t first = (uint64_t)NL_PHILOX_M0 * a, second = (uint64_t)NL_PHILOX_M1 * c;
    a = (uint32_t)(second >> 32) ^ b ^ key0;
    b = (uint32_t)second;
    c = (uint32_t)(first >> 32) ^ d ^ key1;
    d = (uint32_t)first;
    key0 += NL_PHILOX_W0;
    key1 += NL_PHILOX_W1;
  }
  out[0] = a;
  out[1] = b;
  out[2] = c;
  out[3] = d;
}
