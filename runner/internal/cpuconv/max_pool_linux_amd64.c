// A task is a row of the output:
//
//   for each block of PIXELS
//     for each eight channels
//       for each pixel: the largest of kh x kw vectors of eight, or their mean

#include "max_pool.h"

#include <immintrin.h>
#include <math.h>

#include "threadpool.h"

struct pool_call {
  const struct kerasrun_conv2d* c;
  struct kerasrun_view x, y;
};

// So many offsets of a row are computed at a time.
#define PIXELS 64

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline
    __attribute__((always_inline)) void pool_row(void* context, int64_t task, int mean) {
  const struct pool_call* call = context;
  const struct kerasrun_conv2d* c = call->c;
  const struct kerasrun_view *x = &call->x, *y = &call->y;
  int64_t image = task / y->h, first_row = task % y->h * c->stride_h - c->pad_top;
  int64_t row_begin = max(first_row, 0), row_end = min(first_row + c->kh, x->h);
  assert(row_begin < row_end);
  for (int64_t first = 0; first < y->w; first += PIXELS) {
    int64_t n = min(PIXELS, y->w - first), offsets[PIXELS];
    kerasrun_pixel_offsets(y, task * y->w + first, n, offsets);
    for (int64_t c8 = 0; c8 < c->oc / 8; c8++)
      for (int64_t j = 0; j < n; j++) {
        int64_t left = (first + j) * c->stride_w - c->pad_left;
        int64_t begin = max(left, 0), end = min(left + c->kw, x->w);
        assert(begin < end);
        __m256 largest = _mm256_set1_ps(-INFINITY), sum = _mm256_setzero_ps();
        for (int64_t row = row_begin; row < row_end; row++)
          for (int64_t k = begin; k < end; k++) {
            __m256 value = _mm256_loadu_ps(x->data + image * x->image_stride + row * x->row_stride +
                                           k * x->pixel_stride + c8 * x->c8_stride);
            sum = _mm256_add_ps(sum, value);
            // max returns the second where either is NaN; one that was found stays.
            largest = _mm256_blendv_ps(_mm256_max_ps(largest, value), largest,
                                       _mm256_cmp_ps(largest, largest, _CMP_UNORD_Q));
          }
        __m256 count = _mm256_set1_ps((row_end - row_begin) * (end - begin));
        _mm256_storeu_ps(y->data + c8 * y->c8_stride + offsets[j],
                         mean ? _mm256_div_ps(sum, count) : largest);
      }
  }
}

AVX2 static void max_pool_task(void* context, int64_t task) { pool_row(context, task, 0); }
AVX2 static void avg_pool_task(void* context, int64_t task) { pool_row(context, task, 1); }

void kerasrun_pool_run(const struct kerasrun_conv2d* c, int mean, const float* x, int64_t n,
                       int64_t h, int64_t w, float* y) {
  int64_t out_h = kerasrun_conv2d_out_h(c, h), out_w = kerasrun_conv2d_out_w(c, w);
  assert(kerasrun_pool_valid(c) && x && y && n > 0 && out_h > 0 && out_w > 0);
  assert(kerasrun_layout_fits(c->x, n, h, w, c->oc));
  assert(kerasrun_layout_fits(c->y, n, out_h, out_w, c->oc));
  struct pool_call call = {c, kerasrun_view(c->x, x, h, w, c->oc),
                           kerasrun_view(c->y, y, out_h, out_w, c->oc)};
  kerasrun_zero_padding(&call.y, n, c->oc);
  kerasrun_threadpool_run(mean ? avg_pool_task : max_pool_task, &call, n * out_h);
}
