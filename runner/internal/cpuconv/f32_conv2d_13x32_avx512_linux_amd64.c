// Convolutions with vectors of sixteen numbers. KERASRUN_EMULATE_AVX512 makes them of two of eight, to be tried where there are no larger ones.

#ifdef KERASRUN_EMULATE_AVX512
#pragma GCC target("avx2,fma")
#else
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw")
#endif

#include <immintrin.h>

#define LANES 16
#ifdef KERASRUN_EMULATE_AVX512
typedef struct {
  __m256 low, high;
} vector;
static inline __m256 low(vector x) { return x.low; }
static inline __m256 high(vector x) { return x.high; }
static inline vector joined(__m256 low, __m256 high) { return (vector){low, high}; }
static inline vector load(const float* at) { return joined(_mm256_loadu_ps(at), _mm256_loadu_ps(at + 8)); }
static inline vector broadcast(const float* at) { return joined(_mm256_broadcast_ss(at), _mm256_broadcast_ss(at)); }
static inline vector multiply_add(vector a, vector b, vector sum) { return joined(_mm256_fmadd_ps(a.low, b.low, sum.low), _mm256_fmadd_ps(a.high, b.high, sum.high)); }
static inline vector sum_of(vector a, vector b) { return joined(_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)); }
static inline vector rectified(vector x) { return joined(_mm256_max_ps(_mm256_setzero_ps(), x.low), _mm256_max_ps(_mm256_setzero_ps(), x.high)); }
#else
typedef __m512 vector;
static inline __m256 low(vector x) { return _mm512_castps512_ps256(x); }
static inline __m256 high(vector x) { return _mm512_extractf32x8_ps(x, 1); }
static inline vector joined(__m256 low, __m256 high) { return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1); }
static inline vector load(const float* at) { return _mm512_loadu_ps(at); }
static inline vector broadcast(const float* at) { return _mm512_set1_ps(*at); }
static inline vector multiply_add(vector a, vector b, vector sum) { return _mm512_fmadd_ps(a, b, sum); }
static inline vector sum_of(vector a, vector b) { return _mm512_add_ps(a, b); }
static inline vector rectified(vector x) { return _mm512_max_ps(_mm512_setzero_ps(), x); }
#endif

// With thirteen rows of two vectors that is 26 sums, two vectors of the kernel and one number of the picture, and leaves the compiler three of 32 registers.
#define ROWS 13
enum { UNROLL = 2 };  // numbers of a row
#define NARROW_ROWS 14
#define EACH_WIDE(f) f(2, 1) f(2, 2) f(2, 3) f(2, 4) f(2, 5) f(2, 6) f(2, 7) f(2, 8) f(2, 9) f(2, 10) f(2, 11) f(2, 12) f(2, 13)
#define EACH_NARROW(f) f(1, 1) f(1, 2) f(1, 3) f(1, 4) f(1, 5) f(1, 6) f(1, 7) f(1, 8) f(1, 9) f(1, 10) f(1, 11) f(1, 12) f(1, 13) f(1, 14)

#include "conv2d_driver.h"

const struct kerasrun_vectors kerasrun_avx512 = {packed_size, pack_all, run};
