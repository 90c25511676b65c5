// Tiles of AMX by software, after the operations of LDTILECFG, TILELOADD, TILESTORED, TILEZERO and TDPBF16PS in the
// Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2. What would trap there ends the program.
#include "soft_tiles.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { TILES = 8, ROWS = 16, ROW_BYTES = 64, MXCSR_FLUSH = 0x1f80 | 0x8040 };

typedef struct {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} config;

static __thread config shapes;
static __thread char tiles[TILES][ROWS * ROW_BYTES];

static void require(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "soft tiles: %s\n", what);
  abort();
}

static void require_tile(int tile) {
  require(shapes.palette == 1, "no configuration is loaded");
  require(shapes.rows[tile] > 0 && shapes.row_bytes[tile] > 0, "a tile is used that has no rows");
}

void soft_tile_load_config(const void *from) {
  memcpy(&shapes, from, sizeof shapes);
  memset(tiles, 0, sizeof tiles);
  require(shapes.palette == 1, "another palette than 1");
  for (int t = 0; t < TILES; t++)
    require(shapes.rows[t] <= ROWS && shapes.row_bytes[t] <= ROW_BYTES, "a tile is larger than a tile can be");
}

void soft_tile_release(void) { memset(&shapes, 0, sizeof shapes); }

void soft_tile_zero(int tile) {
  require_tile(tile);
  memset(tiles[tile], 0, sizeof tiles[tile]);
}

void soft_tile_load(int tile, const void *from, long stride) {
  soft_tile_zero(tile);
  for (int row = 0; row < shapes.rows[tile]; row++)
    memcpy(tiles[tile] + row * ROW_BYTES, (const char *)from + row * stride, shapes.row_bytes[tile]);
}

void soft_tile_store(int tile, void *to, long stride) {
  require_tile(tile);
  for (int row = 0; row < shapes.rows[tile]; row++)
    memcpy((char *)to + row * stride, tiles[tile] + row * ROW_BYTES, shapes.row_bytes[tile]);
}

static float number(const char *tile, int row, int column) {
  uint16_t half;
  memcpy(&half, tile + row * ROW_BYTES + column * 2, sizeof half);
  const uint32_t bits = (uint32_t)half << 16;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

__attribute__((target("fma"))) static float multiply_add(float a, float b, float c) {
  return _mm_cvtss_f32(_mm_fmadd_ss(_mm_set_ss(a), _mm_set_ss(b), _mm_set_ss(c)));
}

// One chain over the even numbers of a row, one over the odd ones; denormal numbers count as zero, in and out.
void soft_tile_dot(int c, int a, int b) {
  require_tile(a);
  require_tile(b);
  require_tile(c);
  require(shapes.rows[a] == shapes.rows[c] && shapes.row_bytes[b] == shapes.row_bytes[c] &&
              shapes.row_bytes[a] / 4 == shapes.rows[b], "tiles do not fit each other");
  const unsigned saved = _mm_getcsr();
  _mm_setcsr(MXCSR_FLUSH);
  for (int m = 0; m < shapes.rows[c]; m++)
    for (int n = 0; n < shapes.row_bytes[c] / 4; n++) {
      float even = 0, odd = 0, sum;
      for (int k = 0; k < shapes.row_bytes[a] / 4; k++) {
        even = multiply_add(number(tiles[a], m, 2 * k), number(tiles[b], k, 2 * n), even);
        odd = multiply_add(number(tiles[a], m, 2 * k + 1), number(tiles[b], k, 2 * n + 1), odd);
      }
      memcpy(&sum, tiles[c] + m * ROW_BYTES + n * 4, sizeof sum);
      sum += even + odd;
      memcpy(tiles[c] + m * ROW_BYTES + n * 4, &sum, sizeof sum);
    }
  _mm_setcsr(saved);
}
