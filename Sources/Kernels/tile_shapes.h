// The shapes of AMX tiles, as LDTILECFG reads them.
#ifndef NL_TILE_SHAPES_H
#define NL_TILE_SHAPES_H
#include <stdint.h>

typedef struct {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} tile_shapes;

// All eight tiles as large as they can be: 16 rows of 64 bytes.
static inline tile_shapes whole_tiles(void) {
  tile_shapes shapes = {.palette = 1};
  for (int t = 0; t < 8; t++) {
    shapes.row_bytes[t] = 64;
    shapes.rows[t] = 16;
  }
  return shapes;
}

#endif
