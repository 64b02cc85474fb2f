// Convolutions of bytes with vectors of sixteen sums: micro-kernels of 12 x 32 (mr x nr), whose
// vpdpbusd adds four products of a byte and a weight to each sum.

#pragma GCC optimize("fp-contract=off")
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,avx512vnni,avx2,fma")

#include <stdint.h>
#include <string.h>

#include "vectors_avx512.h"

typedef __m512i ivector;
typedef __mmask16 mask;
static inline mask mask_of(int64_t n) { return (mask)((1u << n) - 1); }
static inline vector load_some(const float* p, mask m) { return _mm512_maskz_loadu_ps(m, p); }
static inline void store_some(float* p, vector x, mask m) { _mm512_mask_storeu_ps(p, m, x); }
static inline ivector load_int(const int32_t* p) { return _mm512_loadu_si512(p); }
static inline void store_int(int32_t* p, ivector x) { _mm512_storeu_si512(p, x); }
static inline ivector all_int(int32_t x) { return _mm512_set1_epi32(x); }
static inline ivector add_int(ivector a, ivector b) { return _mm512_add_epi32(a, b); }
static inline vector to_float(ivector x) { return _mm512_cvtepi32_ps(x); }
static inline ivector floor_int(vector x) {
  return _mm512_cvt_roundps_epi32(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
static inline void store_bytes(uint8_t* p, ivector x, int64_t n) {
  if (n == LANES)
    _mm_storeu_si128((__m128i*)p, _mm512_cvtepi32_epi8(x));
  else
    _mm512_mask_cvtepi32_storeu_epi8(p, mask_of(n), x);
}

enum { WEIGHT_BYTES = 64 };
typedef __m512i weight_vector;
typedef __m512i four_bytes;
static inline void put_weight(void* weights, int64_t lane, int64_t k, int8_t weight) {
  ((int8_t*)weights)[4 * lane + k] = weight;
}
static inline weight_vector load_weights(const void* p) { return _mm512_loadu_si512(p); }
static inline four_bytes broadcast_bytes(const uint8_t* p) {
  int32_t four;
  memcpy(&four, p, sizeof four);
  return _mm512_set1_epi32(four);
}
static inline ivector dot(ivector sum, four_bytes x, weight_vector w) {
  return _mm512_dpbusd_epi32(sum, x, w);
}
// dot_bytes adds the product of a byte and a weight of 32 bits to each sum.
static inline ivector dot_bytes(ivector sum, const uint8_t* x, ivector w) {
  __m512i wide = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)x));
  return _mm512_dpwssd_epi32(sum, wide, w);
}

// 12 x 2 accumulators, two vectors of the filter and four bytes of the image, in each lane.
#define MR 12
#define FOR_EACH_TILE(f)                                                                        \
  f(1, 1) f(1, 2) f(1, 3) f(1, 4) f(1, 5) f(1, 6) f(1, 7) f(1, 8) f(1, 9) f(1, 10) f(1, 11)     \
      f(1, 12) f(2, 1) f(2, 2) f(2, 3) f(2, 4) f(2, 5) f(2, 6) f(2, 7) f(2, 8) f(2, 9) f(2, 10) \
          f(2, 11) f(2, 12)

#include "qconv2d_driver.h"

const struct kerasrun_qconv2d_isa kerasrun_qconv2d_avx512vnni = {packed_size, pack_filter, run,
                                                                 quantize};
