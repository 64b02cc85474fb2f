// Tiles of sums that stay in the registers.

#pragma once

#include <stddef.h>

#define TILE static inline __attribute__((always_inline))

// A tile's columns are two vectors, or one.
#define COLUMNS (2 * LANES)
#define NARROW_COLUMNS LANES

enum { FIRST = 1, LAST = 2 };  // parts of a sum

// out is where a tile's sums go: eight of a row to y + y_at[row], the next eight y_next further. So with what is added, if anything is.
struct out {
  int eights;  // of a row
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

// round_rows rounds a tile where it has gone.
static void round_rows(const struct out* o, int rows) {
  for (int i = 0; i < rows; i++)
    for (int k = 0; k < o->eights; k++) {
      float* y = o->y + o->y_at[i] + k * o->y_next;
      _mm256_storeu_ps(y, bfloat16(_mm256_loadu_ps(y)));
    }
}

#if LANES == 8
TILE vector eights(const float* at, long next, int two) { return (void)next, (void)two, load(at); }
TILE void put(float* at, long next, int two, vector x) { (void)next, (void)two, _mm256_storeu_ps(at, x); }
#else
// eights loads a vector whose second half, where it has one, lies apart.
TILE vector eights(const float* at, long next, int two) { return joined(_mm256_loadu_ps(at), two ? _mm256_loadu_ps(at + next) : _mm256_setzero_ps()); }
TILE void put(float* at, long next, int two, vector x) {
  _mm256_storeu_ps(at, low(x));
  if (two) _mm256_storeu_ps(at + next, high(x));
}
#endif

// EACH_SUM is a loop over the sums of a tile, in registers; of a vector, which of a row's eights is its first, and whether there is a second.
#define EACH_SUM                 \
  _Pragma("GCC unroll 14")       \
  for (int i = 0; i < rows; i++) \
    _Pragma("GCC unroll 2")      \
    for (int v = 0; v < vectors; v++)
#define EIGHT (v * LANES / 8)
#define TWO (EIGHT + 1 < o->eights)

TILE void begin(int rows, int vectors, vector sum[][2], const struct out* o, int part) {
  if (part & FIRST) {
    EACH_SUM sum[i][v] = eights(o->bias + 8 * EIGHT, 8, TWO);
    if (o->add) EACH_SUM sum[i][v] = sum_of(sum[i][v], eights(o->add + o->add_at[i] + EIGHT * o->add_next, o->add_next, TWO));
  } else {
    EACH_SUM sum[i][v] = eights(o->y + o->y_at[i] + EIGHT * o->y_next, o->y_next, TWO);
  }
  // The next tile is that of the rows below.
  EACH_SUM __builtin_prefetch(o->y + o->y_at[rows + i] + EIGHT * o->y_next, 1);
  if (part & FIRST && o->add) EACH_SUM __builtin_prefetch(o->add + o->add_at[rows + i] + EIGHT * o->add_next);
}

// sweep adds a row of the kernel's `length` products to each sum. Rows of the tile begin `step` apart; the kernel has for each number of a row its columns,
// one after the other. What the compiler knows of this needs no instructions: where the core's other thread is somebody else's, it is their number that
// takes the time.
TILE void sweep(int rows, int vectors, int length, const float* x, long step, const float* kernel, vector sum[][2]) {
#pragma GCC unroll UNROLL
  for (int k = 0; k < length; k++) {
    vector w[2];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) w[v] = load(kernel + (k * vectors + v) * LANES);
#pragma GCC unroll 14
    for (int i = 0; i < rows; i++) {
      vector number = broadcast(x + i * step + k);
#pragma GCC unroll 2
      for (int v = 0; v < vectors; v++) sum[i][v] = multiply_add(number, w[v], sum[i][v]);
    }
  }
}

TILE void end(int rows, int vectors, vector sum[][2], const struct out* o, int part) {
  if (part & LAST && o->relu) EACH_SUM sum[i][v] = rectified(sum[i][v]);
  EACH_SUM put(o->y + o->y_at[i] + EIGHT * o->y_next, o->y_next, TWO, sum[i][v]);
  if (part & LAST && o->bf16) round_rows(o, rows);
}
