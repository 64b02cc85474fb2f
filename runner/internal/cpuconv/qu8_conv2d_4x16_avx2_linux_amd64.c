// Convolutions of bytes with vectors of eight sums: micro-kernels of 4 x 16 (mr x nr). Bytes and
// weights are widened to 16 bits, since vpmaddubsw's sums of two products do not always fit.

#pragma GCC optimize("fp-contract=off")
#pragma GCC target("avx2,fma")

#include <stdint.h>
#include <string.h>

#include "vectors_avx2.h"

typedef __m256i ivector;
typedef __m256i mask;
static inline mask mask_of(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vector load_some(const float* p, mask m) { return _mm256_maskload_ps(p, m); }
static inline void store_some(float* p, vector x, mask m) { _mm256_maskstore_ps(p, m, x); }
static inline ivector load_int(const int32_t* p) { return _mm256_loadu_si256((const __m256i*)p); }
static inline void store_int(int32_t* p, ivector x) { _mm256_storeu_si256((__m256i*)p, x); }
static inline ivector all_int(int32_t x) { return _mm256_set1_epi32(x); }
static inline ivector add_int(ivector a, ivector b) { return _mm256_add_epi32(a, b); }
static inline vector to_float(ivector x) { return _mm256_cvtepi32_ps(x); }
static inline ivector floor_int(vector x) { return _mm256_cvtps_epi32(_mm256_floor_ps(x)); }
static inline void store_bytes(uint8_t* p, ivector x, int64_t n) {
  __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  __m128i bytes = _mm_packus_epi16(words, words);
  if (n == LANES) {
    _mm_storel_epi64((__m128i*)p, bytes);
  } else {
    uint8_t some[16];
    _mm_storeu_si128((__m128i*)some, bytes);
    memcpy(p, some, n);
  }
}

// Of the four weights of a lane the even ones are in the first vector, the odd ones in the second.
enum { WEIGHT_BYTES = 64 };
typedef struct {
  __m256i even, odd;
} weight_vector;
typedef weight_vector four_bytes;
static inline void put_weight(void* weights, int64_t lane, int64_t k, int8_t weight) {
  ((int16_t*)weights)[k % 2 * 16 + 2 * lane + k / 2] = weight;
}
static inline weight_vector load_weights(const void* p) {
  const __m256i* at = p;
  return (weight_vector){_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1)};
}
static inline four_bytes broadcast_bytes(const uint8_t* p) {
  int32_t four;
  memcpy(&four, p, sizeof four);
  __m256i x = _mm256_set1_epi32(four);
  return (four_bytes){_mm256_and_si256(x, _mm256_set1_epi16(255)), _mm256_srli_epi16(x, 8)};
}
static inline ivector dot(ivector sum, four_bytes x, weight_vector w) {
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x.even, w.even));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(x.odd, w.odd));
}
// dot_bytes adds the product of a byte and a weight of 32 bits to each sum.
static inline ivector dot_bytes(ivector sum, const uint8_t* x, ivector w) {
  __m256i wide = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)x));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(wide, w));
}

// 4 x 2 accumulators, two pairs of vectors of the filter and one of the image.
#define MR 4
#define FOR_EACH_TILE(f) f(1, 1) f(1, 2) f(1, 3) f(1, 4) f(2, 1) f(2, 2) f(2, 3) f(2, 4)

#include "qconv2d_driver.h"

const struct kerasrun_qconv2d_isa kerasrun_qconv2d_avx2 = {packed_size, pack_filter, run, quantize};
