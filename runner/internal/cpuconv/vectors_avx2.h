// Vectors of eight floats. The source that includes this has the target with AVX2 and FMA.

#pragma once

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
