// Convolutions with vectors of eight numbers.

#pragma GCC target("avx2,fma")

#include <immintrin.h>

#define LANES 8
typedef __m256 vector;
static inline vector load(const float* at) { return _mm256_loadu_ps(at); }
static inline vector broadcast(const float* at) { return _mm256_broadcast_ss(at); }
static inline vector multiply_add(vector a, vector b, vector sum) { return _mm256_fmadd_ps(a, b, sum); }
static inline vector sum_of(vector a, vector b) { return _mm256_add_ps(a, b); }
static inline vector rectified(vector x) { return _mm256_max_ps(_mm256_setzero_ps(), x); }

// With six rows of two vectors that is twelve sums, two vectors of the kernel and one number of the picture, in sixteen registers. With one vector of columns
// twelve rows make as many sums.
#define ROWS 6
enum { UNROLL = 8 };  // numbers of a row
#define NARROW_ROWS 12
#define EACH_WIDE(f) f(2, 1) f(2, 2) f(2, 3) f(2, 4) f(2, 5) f(2, 6)
#define EACH_NARROW(f) f(1, 1) f(1, 2) f(1, 3) f(1, 4) f(1, 5) f(1, 6) f(1, 7) f(1, 8) f(1, 9) f(1, 10) f(1, 11) f(1, 12)

#include "conv2d_driver.h"

const struct kerasrun_vectors kerasrun_avx2 = {packed_size, pack_all, run};
