// Convolutions with vectors of sixteen floats: micro-kernels of 13 x 32 and 14 x 16 (mr x nr).
// KERASRUN_EMULATE_AVX512 makes a vector of two of AVX2, to be tested where there is no AVX-512.

#ifdef KERASRUN_EMULATE_AVX512
#pragma GCC target("avx2,fma")
#else
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")
#endif

#include <immintrin.h>

#ifdef KERASRUN_EMULATE_AVX512
#define LANES 16
typedef struct {
  __m256 low, high;
} vector;
static inline __m256 low(vector x) { return x.low; }
static inline __m256 high(vector x) { return x.high; }
static inline vector concat(__m256 low, __m256 high) { return (vector){low, high}; }
static inline vector load(const float* p) {
  return concat(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8));
}
static inline vector broadcast(const float* p) {
  return concat(_mm256_broadcast_ss(p), _mm256_broadcast_ss(p));
}
static inline vector broadcast8(const float* p) {
  return concat(_mm256_loadu_ps(p), _mm256_loadu_ps(p));
}
static inline vector fmadd(vector a, vector b, vector c) {
  return concat(_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high));
}
static inline vector add(vector a, vector b) {
  return concat(_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high));
}
static inline vector mul(vector a, vector b) {
  return concat(_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high));
}
static inline vector divide(vector a, vector b) {
  return concat(_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high));
}
static inline vector at_least(vector limit, vector x) {
  return concat(_mm256_max_ps(limit.low, x.low), _mm256_max_ps(limit.high, x.high));
}
static inline vector at_most(vector limit, vector x) {
  return concat(_mm256_min_ps(limit.low, x.low), _mm256_min_ps(limit.high, x.high));
}
static inline __m256 half_power_of_2(__m256 n) {
  __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}
static inline vector power_of_2(vector n) {
  return concat(half_power_of_2(n.low), half_power_of_2(n.high));
}
static inline vector all(float x) { return broadcast(&x); }
static inline vector zero(void) { return concat(_mm256_setzero_ps(), _mm256_setzero_ps()); }
#else
#include "vectors_avx512.h"
static inline __m256 low(vector x) { return _mm512_castps512_ps256(x); }
static inline __m256 high(vector x) { return _mm512_extractf32x8_ps(x, 1); }
static inline vector concat(__m256 low, __m256 high) {
  return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
}
#endif

// 13 x 2 accumulators, two vectors of the filter and one float of the image leave the compiler
// three of 32 registers.
#define MR 13
#define MR_NARROW 14
enum { K_UNROLL = 2 };
#define FOR_EACH_MR(f)                                                                      \
  f(2, 1) f(2, 2) f(2, 3) f(2, 4) f(2, 5) f(2, 6) f(2, 7) f(2, 8) f(2, 9) f(2, 10) f(2, 11) \
      f(2, 12) f(2, 13)
#define FOR_EACH_MR_NARROW(f)                                                               \
  f(1, 1) f(1, 2) f(1, 3) f(1, 4) f(1, 5) f(1, 6) f(1, 7) f(1, 8) f(1, 9) f(1, 10) f(1, 11) \
      f(1, 12) f(1, 13) f(1, 14)

#define FOR_EACH_TWO_ROWS(f) f(1) f(2) f(3) f(4) f(5) f(6) f(7)

// 2 x 7 sums of a depthwise convolution.
#define DEPTHWISE_VECTORS 7
#define FOR_EACH_DEPTHWISE(f) f(1) f(2) f(3) f(4) f(5) f(6) f(7)

#include "conv2d_driver.h"
#include "depthwise.h"
#include "expand_depthwise.h"
#include "image_ops.h"

const struct kerasrun_conv2d_isa kerasrun_conv2d_avx512 = {
    packed_size, pack_filter, run, depthwise, expand_depthwise, scale, mean, dense};
