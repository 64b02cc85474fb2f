// Tiles of sums that stay in the registers.

#pragma once

#include <immintrin.h>
#include <stddef.h>

#define AVX2 __attribute__((target("avx2,fma")))
#define TILE static inline __attribute__((always_inline, target("avx2,fma")))

// Columns of a tile are two vectors: with six rows that is twelve sums, two vectors of the kernel and one number of the picture, in sixteen registers.
#define COLUMNS 16
#define ROWS 6
// With one vector of columns twelve rows make as many sums.
#define NARROW_COLUMNS 8
#define NARROW_ROWS 12

#define EACH_WIDE(f) f(2, 1) f(2, 2) f(2, 3) f(2, 4) f(2, 5) f(2, 6)
#define EACH_NARROW(f) f(1, 1) f(1, 2) f(1, 3) f(1, 4) f(1, 5) f(1, 6) f(1, 7) f(1, 8) f(1, 9) f(1, 10) f(1, 11) f(1, 12)

enum { FIRST = 1, LAST = 2 };  // parts of a sum

// out is where a tile's sums go: a row to y + y_at[row], its next vector y_next further. So with what is added, if anything is.
struct out {
  float* y;
  const long* y_at;
  long y_next;
  const float* add;
  const long* add_at;
  long add_next;
  const float* bias;
  int relu, bf16;
};

// bfloat16 rounds to the nearest number that has eight bits of its 24, of two to the even one.
TILE __m256 bfloat16(__m256 x) {
  __m256i bits = _mm256_castps_si256(x), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  bits = _mm256_and_si256(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), _mm256_set1_epi32(-0x10000));
  return _mm256_blendv_ps(_mm256_castsi256_ps(bits), x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));  // of NaN: NaN
}

// EACH_SUM is a loop over the sums of a tile, in registers.
#define EACH_SUM         \
  _Pragma("GCC unroll 12") \
  for (int i = 0; i < rows; i++) \
    _Pragma("GCC unroll 2") \
    for (int v = 0; v < vectors; v++)

TILE void begin(int rows, int vectors, __m256 sum[][2], const struct out* o, int part) {
  if (part & FIRST) {
    EACH_SUM sum[i][v] = _mm256_loadu_ps(o->bias + 8 * v);
    if (o->add) EACH_SUM sum[i][v] = _mm256_add_ps(sum[i][v], _mm256_loadu_ps(o->add + o->add_at[i] + v * o->add_next));
  } else {
    EACH_SUM sum[i][v] = _mm256_loadu_ps(o->y + o->y_at[i] + v * o->y_next);
  }
  // The next tile is that of the rows below.
  EACH_SUM __builtin_prefetch(o->y + o->y_at[rows + i] + v * o->y_next, 1);
  if (part & FIRST && o->add) EACH_SUM __builtin_prefetch(o->add + o->add_at[rows + i] + v * o->add_next);
}

// sweep adds a row of the kernel's `length` products to each sum. Rows of the tile begin `step` apart; the kernel has for each number of a row its columns,
// one after the other. What the compiler knows of this needs no instructions: where the core's other thread is somebody else's, it is their number that
// takes the time.
TILE void sweep(int rows, int vectors, int length, const float* x, long step, const float* kernel, __m256 sum[][2]) {
#pragma GCC unroll 8
  for (int k = 0; k < length; k++) {
    __m256 w[2];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) w[v] = _mm256_loadu_ps(kernel + (k * vectors + v) * 8);
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
      __m256 number = _mm256_broadcast_ss(x + i * step + k);
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) sum[i][v] = _mm256_fmadd_ps(number, w[v], sum[i][v]);
    }
  }
}

TILE void end(int rows, int vectors, __m256 sum[][2], const struct out* o, int part) {
  if (part & LAST && o->relu) EACH_SUM sum[i][v] = _mm256_max_ps(_mm256_setzero_ps(), sum[i][v]);  // of NaN: NaN
  if (part & LAST && o->bf16) EACH_SUM sum[i][v] = bfloat16(sum[i][v]);
  EACH_SUM _mm256_storeu_ps(o->y + o->y_at[i] + v * o->y_next, sum[i][v]);
}
