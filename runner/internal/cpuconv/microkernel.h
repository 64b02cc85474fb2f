// What micro-kernels consist of. One computes mr pixels by nr channels of the output in registers:
//
//   load_accumulators   acc[i][j] = bias[j] + add[i][j]       or y[i][j]: the k blocks before
//   k_loop              acc[i][j] += x[i][k] * w[k][j]        for k < kc
//   epilogue            y[i][j] = act(acc[i][j])              stored, and rounded for bf16
//
// for i < mr, j < nr.
//
// nr is nv vectors, 2 or 1. Blocks of eight channels (c8) lie c8_stride apart: y[i][j] is
// y[y_offsets[i] + j / 8 * y_c8_stride + j % 8].

#pragma once

#include <stddef.h>

#include "activation_vector.h"

#define NR (2 * LANES)
#define NR_NARROW LANES

enum { K_FIRST = 1, K_LAST = 2 };  // flags of a k block

// output_tile is where a tile goes, and what is added to it.
struct output_tile {
  int c8;  // blocks of eight channels
  float* y;
  const int64_t* y_offsets;
  int64_t y_c8_stride;
  const float* add;  // NULL: none
  const int64_t* add_offsets;
  int64_t add_c8_stride;
  const float* bias;
  enum kerasrun_act act;
  int bf16;
  int near;  // y is in a near cache: it is not prefetched
};

// round_bf16 rounds to eight bits of the significand's 24, ties to even; NaN stays NaN.
INLINE __m256 round_bf16(__m256 x) {
  __m256i bits = _mm256_castps_si256(x);
  __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  __m256i bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
  bits = _mm256_and_si256(_mm256_add_epi32(bits, bias), _mm256_set1_epi32(-0x10000));
  return _mm256_blendv_ps(_mm256_castsi256_ps(bits), x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

// round_tile rounds a tile that is stored.
static void round_tile(const struct output_tile* o, int mr) {
  for (int i = 0; i < mr; i++)
    for (int k = 0; k < o->c8; k++) {
      float* y = o->y + o->y_offsets[i] + k * o->y_c8_stride;
      _mm256_storeu_ps(y, round_bf16(_mm256_loadu_ps(y)));
    }
}

// load_split and store_split move a vector whose second half, if it has one, lies a stride apart.
#if LANES == 8
INLINE vector load_split(const float* p, int64_t stride, int both) {
  return (void)stride, (void)both, load(p);
}
INLINE void store_split(float* p, int64_t stride, int both, vector x) {
  (void)stride, (void)both, _mm256_storeu_ps(p, x);
}
#else
INLINE vector load_split(const float* p, int64_t stride, int both) {
  return concat(_mm256_loadu_ps(p), both ? _mm256_loadu_ps(p + stride) : _mm256_setzero_ps());
}
INLINE void store_split(float* p, int64_t stride, int both, vector x) {
  _mm256_storeu_ps(p, low(x));
  if (both) _mm256_storeu_ps(p + stride, high(x));
}
#endif

// FOR_EACH_ACC is a loop over the accumulators acc[i][v], which the compiler keeps in registers.
// C8 is the block of eight channels that begins vector v, BOTH whether the tile has the next too.
// clang-format off
#define FOR_EACH_ACC(i, v)     \
  _Pragma("GCC unroll 14")     \
  for (int i = 0; i < mr; i++) \
    _Pragma("GCC unroll 2")    \
    for (int v = 0; v < nv; v++)
// clang-format on
#define C8 (v * LANES / 8)
#define BOTH (C8 + 1 < o->c8)

INLINE const float* add_at(const struct output_tile* o, int i, int c8) {
  return o->add + o->add_offsets[i] + c8 * o->add_c8_stride;
}
INLINE float* y_at(const struct output_tile* o, int i, int c8) {
  return o->y + o->y_offsets[i] + c8 * o->y_c8_stride;
}

// activate_tile applies an activation that takes more registers than a tile leaves.
static __attribute__((noinline)) void activate_tile(const struct output_tile* o, int mr) {
  for (int i = 0; i < mr; i++)
    for (int k = 0; k < o->c8; k += LANES / 8) {
      int both = k + 1 < o->c8;
      float* y = y_at(o, i, k);
      store_split(y, o->y_c8_stride, both, activated(load_split(y, o->y_c8_stride, both), o->act));
    }
}

INLINE void load_accumulators(int mr, int nv, vector acc[][2], const struct output_tile* o,
                              int k_flags) {
  if (k_flags & K_FIRST) {
    FOR_EACH_ACC (i, v) acc[i][v] = load_split(o->bias + 8 * C8, 8, BOTH);
    if (o->add)
      FOR_EACH_ACC (i, v)
        acc[i][v] = add(acc[i][v], load_split(add_at(o, i, C8), o->add_c8_stride, BOTH));
  } else {
    FOR_EACH_ACC (i, v) acc[i][v] = load_split(y_at(o, i, C8), o->y_c8_stride, BOTH);
  }
  // The next tile is that of the pixels behind these.
  if (!o->near)
    FOR_EACH_ACC (i, v) __builtin_prefetch(y_at(o, mr + i, C8), 1);
  if (k_flags & K_FIRST && o->add)
    FOR_EACH_ACC (i, v) __builtin_prefetch(add_at(o, mr + i, C8));
}

// k_loop adds kc products to each accumulator: x[i * x_stride + k] * w[k][nr]. What the compiler
// knows of the sizes needs no instructions. Where the core's other thread is somebody else's, it is
// their number that takes the time.
INLINE void k_loop(int mr, int nv, int kc, const float* x, int64_t x_stride, const float* w,
                   vector acc[][2]) {
#pragma GCC unroll K_UNROLL
  for (int k = 0; k < kc; k++) {
    vector b[2];
#pragma GCC unroll 2
    for (int v = 0; v < nv; v++) b[v] = load(w + (k * nv + v) * LANES);
#pragma GCC unroll 14
    for (int i = 0; i < mr; i++) {
      vector a = broadcast(x + i * x_stride + k);
#pragma GCC unroll 2
      for (int v = 0; v < nv; v++) acc[i][v] = fmadd(a, b[v], acc[i][v]);
    }
  }
}

INLINE void epilogue(int mr, int nv, vector acc[][2], const struct output_tile* o, int k_flags) {
  if (k_flags & K_LAST && (o->act == KERASRUN_RELU || o->act == KERASRUN_RELU6))
    FOR_EACH_ACC (i, v) acc[i][v] = at_least(zero(), acc[i][v]);
  if (k_flags & K_LAST && o->act == KERASRUN_RELU6)
    FOR_EACH_ACC (i, v) acc[i][v] = at_most(all(6), acc[i][v]);
  FOR_EACH_ACC (i, v) store_split(y_at(o, i, C8), o->y_c8_stride, BOTH, acc[i][v]);
  if (k_flags & K_LAST && o->act > KERASRUN_RELU6) activate_tile(o, mr);
  if (k_flags & K_LAST && o->bf16) round_tile(o, mr);
}
