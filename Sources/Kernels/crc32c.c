// CRC-32C: the polynomial 0x1EDC6F41, reflected (RFC 3720, appendix B.4).
#include <string.h>

#include "Kernels.h"

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t crc_by_instruction(uint32_t crc, const uint8_t *p, size_t count) {
  uint64_t wide = crc;
  for (; count >= 8; count -= 8, p += 8) {
    uint64_t word;
    memcpy(&word, p, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  crc = (uint32_t)wide;
  for (; count; count--, p++) crc = _mm_crc32_u8(crc, *p);
  return crc;
}
#endif

// tables[k][b]: the remainder of byte b followed by k zero bytes.
static uint32_t tables[8][256];

static void make_tables(void) {
  for (uint32_t b = 0; b < 256; b++) {
    uint32_t crc = b;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    tables[0][b] = crc;
  }
  for (uint32_t b = 0; b < 256; b++)
    for (int k = 1; k < 8; k++) tables[k][b] = tables[k - 1][b] >> 8 ^ tables[0][tables[k - 1][b] & 255];
}
__attribute__((constructor)) static void start(void) { make_tables(); }

static uint32_t crc_by_tables(uint32_t crc, const uint8_t *p, size_t count) {
  for (; count >= 8; count -= 8, p += 8) {
    uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
    crc = tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^ tables[5][low >> 16 & 255] ^ tables[4][low >> 24] ^
          tables[3][p[4]] ^ tables[2][p[5]] ^ tables[1][p[6]] ^ tables[0][p[7]];
  }
  for (; count; count--, p++) crc = crc >> 8 ^ tables[0][(crc ^ *p) & 255];
  return crc;
}

uint32_t nl_crc32c(uint32_t crc, const void *data, size_t count) {
  crc = ~crc;
#if defined(__x86_64__)
  // Every CPU with AVX2 has the instruction.
  if (nl_isa_current() != NL_ISA_BASELINE) return ~crc_by_instruction(crc, data, count);
#endif
  return ~crc_by_tables(crc, data, count);
}
