// Vectors of sixteen floats. The source that includes this has the target with AVX-512.

#pragma once

#include <immintrin.h>

#define LANES 16
typedef __m512 vector;
static inline vector load(const float* p) { return _mm512_loadu_ps(p); }
static inline vector broadcast(const float* p) { return _mm512_set1_ps(*p); }
static inline vector broadcast8(const float* p) {
  return _mm512_broadcast_f32x8(_mm256_loadu_ps(p));
}
static inline vector fmadd(vector a, vector b, vector c) { return _mm512_fmadd_ps(a, b, c); }
static inline vector add(vector a, vector b) { return _mm512_add_ps(a, b); }
static inline vector mul(vector a, vector b) { return _mm512_mul_ps(a, b); }
static inline vector divide(vector a, vector b) { return _mm512_div_ps(a, b); }
// NaN in x stays: the second operand is returned where either is NaN.
static inline vector at_least(vector limit, vector x) { return _mm512_max_ps(limit, x); }
static inline vector at_most(vector limit, vector x) { return _mm512_min_ps(limit, x); }
static inline vector power_of_2(vector n) {
  __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
}
static inline vector all(float x) { return _mm512_set1_ps(x); }
static inline vector zero(void) { return _mm512_setzero_ps(); }
