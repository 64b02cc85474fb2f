// Convolutions with vectors of eight floats: micro-kernels of 6 x 16 and 12 x 8 (mr x nr).
// Their bodies, for any vectors, are conv_1x1_microkernel.h and direct_conv_microkernels.h.

#pragma GCC target("avx2,fma")

#include <immintrin.h>

#define LANES 8
typedef __m256 vector;
static inline vector load(const float* p) { return _mm256_loadu_ps(p); }
static inline vector broadcast(const float* p) { return _mm256_broadcast_ss(p); }
static inline vector broadcast8(const float* p) { return _mm256_loadu_ps(p); }
static inline vector fmadd(vector a, vector b, vector c) { return _mm256_fmadd_ps(a, b, c); }
static inline vector add(vector a, vector b) { return _mm256_add_ps(a, b); }
static inline vector mul(vector a, vector b) { return _mm256_mul_ps(a, b); }
static inline vector divide(vector a, vector b) { return _mm256_div_ps(a, b); }
// NaN in x stays: the second operand is returned where either is NaN.
static inline vector at_least(vector limit, vector x) { return _mm256_max_ps(limit, x); }
static inline vector at_most(vector limit, vector x) { return _mm256_min_ps(limit, x); }
static inline vector power_of_2(vector n) {
  __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}
static inline vector all(float x) { return _mm256_set1_ps(x); }
static inline vector zero(void) { return _mm256_setzero_ps(); }

// 6 x 2 accumulators, two vectors of the filter and one float of the image take 15 of 16 registers.
// With one vector a row, 12 rows make as many accumulators.
#define MR 6
#define MR_NARROW 12
enum { K_UNROLL = 8 };
#define FOR_EACH_MR(f) f(2, 1) f(2, 2) f(2, 3) f(2, 4) f(2, 5) f(2, 6)
#define FOR_EACH_MR_NARROW(f) \
  f(1, 1) f(1, 2) f(1, 3) f(1, 4) f(1, 5) f(1, 6) f(1, 7) f(1, 8) f(1, 9) f(1, 10) f(1, 11) f(1, 12)

#define FOR_EACH_TWO_ROWS(f) f(1) f(2) f(3) f(4) f(5) f(6)

// 2 x 6 sums of a depthwise convolution, two vectors of the filter and one of the image.
#define DEPTHWISE_VECTORS 6
#define FOR_EACH_DEPTHWISE(f) f(1) f(2) f(3) f(4) f(5) f(6)

#include "conv2d_driver.h"
#include "depthwise.h"
#include "expand_depthwise.h"
#include "image_ops.h"

const struct kerasrun_conv2d_isa kerasrun_conv2d_avx2 = {
    packed_size, pack_filter, run, depthwise, expand_depthwise, scale, mean, dense};
