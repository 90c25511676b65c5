// The instructions of AMX that the kernels use, by software: compiled in before every file of the kernels
// (clang -include), so that their code for AMX runs on a CPU that has AVX512_BF16 and no tiles. See equal.sh.
#ifndef SOFT_TILES_H
#define SOFT_TILES_H
#include <immintrin.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

void soft_tile_load_config(const void *shapes);
void soft_tile_release(void);
void soft_tile_zero(int tile);
void soft_tile_load(int tile, const void *from, long stride);
void soft_tile_store(int tile, void *to, long stride);
void soft_tile_dot(int c, int a, int b);

#define _tile_loadconfig soft_tile_load_config
#define _tile_release soft_tile_release
#define _tile_zero soft_tile_zero
#define _tile_loadd soft_tile_load
#define _tile_stored soft_tile_store
#define _tile_dpbf16ps soft_tile_dot

// The CPU says that it has tiles, and the system lets the process use them. equal.sh has seen to the rest.
#define __builtin_cpu_supports(name) true
#define syscall(...) 0L
#endif
