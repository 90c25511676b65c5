// A 64-bit digest of words, fast beside the arithmetic that they come from. It finds what has changed, by accident; it is no
// protection from somebody who looks for two inputs with one digest.
//
// Word j of a chunk goes to lane j mod 64: lane = mix(lane xor word), where mix(v) = p ^ p >> 15 with p = v times an odd
// constant. Each step is one-to-one in the word and in the lane, so that one word that differs is always seen. The lanes,
// and then the chunks, are folded one after the other: fold(h, v) = p ^ p >> 29 with p = (h xor v) times an odd constant.
#ifdef NL_PASS
#include "lanes.h"
#define mix16 NL_NAME(mix16)

NL_INLINE u16 mix16(u16 v) {
  v *= NL_DIGEST_LANE;
  return v ^ v >> 15;
}

static void NL_NAME(digest_chunk)(void *context, long part) {
  const digest_arguments *p = context;
  nl_range range = nl_piece(p->count, NL_DIGEST_CHUNK, part + p->first);
  const uint32_t *x = p->words + range.begin;
  long count = range.end - range.begin, i = 0;
  uint32_t lanes[64];
  for (uint32_t lane = 0; lane < 64; lane++) lanes[lane] = (lane + 1) * NL_DIGEST_LANE;
  u16 a = *(const u16 *)lanes, b = *(const u16 *)(lanes + 16), c = *(const u16 *)(lanes + 32),
      d = *(const u16 *)(lanes + 48);
  for (; i + 64 <= count; i += 64) {
    a = mix16(a ^ *(const u16 *)(x + i));
    b = mix16(b ^ *(const u16 *)(x + i + 16));
    c = mix16(c ^ *(const u16 *)(x + i + 32));
    d = mix16(d ^ *(const u16 *)(x + i + 48));
  }
  *(u16 *)lanes = a;
  *(u16 *)(lanes + 16) = b;
  *(u16 *)(lanes + 32) = c;
  *(u16 *)(lanes + 48) = d;
  for (long lane = 0; i < count; i++, lane++) {
    uint32_t v = (lanes[lane] ^ x[i]) * NL_DIGEST_LANE;
    lanes[lane] = v ^ v >> 15;
  }
  uint64_t h = (uint64_t)count;
  for (int lane = 0; lane < 64; lane++) h = nl_digest_fold(h, lanes[lane]);
  p->digests[part] = h;
}
#else
#include "loop.h"

enum {
  NL_DIGEST_CHUNK = 16384,  // words; part of the bits
  NL_DIGEST_CHUNKS = 64,    // that are digested before they are folded; not part of the bits
};
#define NL_DIGEST_LANE 0x9E3779B1u
#define NL_DIGEST_FOLD 0x9E3779B97F4A7C15u

uint64_t nl_digest_fold(uint64_t digest, uint64_t next) {
  uint64_t p = (digest ^ next) * NL_DIGEST_FOLD;
  return p ^ p >> 29;
}

typedef struct {
  const uint32_t *words;
  long count, first;
  uint64_t *digests;
} digest_arguments;

#define NL_BODY "digest.c"
#include "every_isa.h"

uint64_t nl_digest(nl_pool *pool, long n, const void *words) {
  uint64_t digests[NL_DIGEST_CHUNKS], digest = (uint64_t)n;
  long chunks = nl_parts(n, NL_DIGEST_CHUNK);
  for (long first = 0; first < chunks; first += NL_DIGEST_CHUNKS) {
    digest_arguments p = {words, n, first, digests};
    long parts = nl_min(chunks - first, NL_DIGEST_CHUNKS);
    NL_RUN(pool, parts, digest_chunk, &p);
    for (long part = 0; part < parts; part++) digest = nl_digest_fold(digest, digests[part]);
  }
  return digest;
}
#endif
