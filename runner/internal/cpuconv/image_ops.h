// What is done to images beside convolutions, eight channels at a time: scale, mean, dense. What
// includes this defines what activation_vector.h needs.

#pragma once

#include "conv2d.h"
#include "isa.h"
#include "microkernel.h"
#include "threadpool.h"

// So many offsets of pixels are computed at a time.
#define SPAN 64

INLINE __m256 activated8(__m256 x, enum kerasrun_act act) {
  if (act == KERASRUN_LINEAR) return x;
  float y[8];
  _mm256_storeu_ps(y, x);
  store_split(y, 8, 0, activated(load_split(y, 8, 0), act));
  return _mm256_loadu_ps(y);
}

struct scale_call {
  const struct kerasrun_scale* s;
  struct kerasrun_view y;
  int64_t pixels;  // of an image
  int64_t blocks;
};

// scale_part computes n pixels, from first on, of one input, whose channels begin at c8.
static void scale_part(const struct scale_call* call, const struct kerasrun_view* x, int64_t parts,
                       int64_t c8, int64_t first, int64_t n, const int64_t* y_offsets) {
  const struct kerasrun_scale* s = call->s;
  int64_t x_offsets[SPAN], add_offsets[SPAN];
  kerasrun_pixel_offsets(x, first, n, x_offsets);
  if (s->add.data) kerasrun_pixel_offsets(&s->add, first, n, add_offsets);
  const float* scale = s->scale;
  if (scale) scale += first / call->pixels * s->scale_stride;
  for (int64_t i = 0; i < parts; i++) {
    int64_t channel = 8 * (c8 + i);
    __m256 a = scale ? _mm256_loadu_ps(scale + channel) : _mm256_set1_ps(1);
    __m256 b = s->shift ? _mm256_loadu_ps(s->shift + channel) : _mm256_setzero_ps();
    const float* from = x->data + i * x->c8_stride;
    const float* add = s->add.data ? s->add.data + (c8 + i) * s->add.c8_stride : NULL;
    float* to = call->y.data + (c8 + i) * call->y.c8_stride;
    for (int64_t j = 0; j < n; j++) {
      __m256 value = _mm256_loadu_ps(from + x_offsets[j]);
      if (scale && s->shift)
        value = _mm256_fmadd_ps(value, a, b);
      else if (scale)
        value = _mm256_mul_ps(value, a);
      else if (s->shift)
        value = _mm256_add_ps(value, b);
      if (add) value = _mm256_add_ps(value, _mm256_loadu_ps(add + add_offsets[j]));
      if (s->act == KERASRUN_RELU || s->act == KERASRUN_RELU6)
        value = _mm256_max_ps(_mm256_setzero_ps(), value);
      if (s->act == KERASRUN_RELU6) value = _mm256_min_ps(_mm256_set1_ps(6), value);
      if (s->act > KERASRUN_RELU6) value = activated8(value, s->act);
      _mm256_storeu_ps(to + y_offsets[j], value);
    }
  }
}

// A task is a block of pixels of an image.
static void scale_task(void* context, int64_t task) {
  const struct scale_call* call = context;
  const struct kerasrun_scale* s = call->s;
  int64_t image = task / call->blocks, block = task % call->blocks;
  int64_t begin = call->pixels * block / call->blocks, y_offsets[SPAN];
  int64_t end = call->pixels * (block + 1) / call->blocks;
  for (int64_t first = begin, n; first < end; first += n) {
    n = min(SPAN, end - first);
    kerasrun_pixel_offsets(&call->y, image * call->pixels + first, n, y_offsets);
    int64_t c8 = 0;
    for (int64_t i = 0; i < s->inputs; i++) {
      scale_part(call, &s->x[i], s->channels[i] / 8, c8, image * call->pixels + first, n,
                 y_offsets);
      c8 += s->channels[i] / 8;
    }
  }
}

// odd_task is scale_task for images in NHWC of any number of channels: eight pixels are a row of
// whole vectors, each with a scale and a shift of its own.
static void odd_task(void* context, int64_t task) {
  const struct scale_call* call = context;
  const struct kerasrun_scale* s = call->s;
  int64_t channels = s->channels[0], row = 8 * channels;
  float a[8 * KERASRUN_MAX_ODD_CHANNELS], b[8 * KERASRUN_MAX_ODD_CHANNELS];
  for (int64_t i = 0; i < row; i++) {
    a[i] = s->scale ? s->scale[i % channels] : 1;
    b[i] = s->shift ? s->shift[i % channels] : 0;
  }
  int64_t begin = call->pixels * task / call->blocks * channels;
  int64_t end = call->pixels * (task + 1) / call->blocks * channels;
  const float* from = s->x->data;
  for (; begin < end; begin += row)
    for (int64_t i = 0; i < min(row, end - begin); i += 8) {
      float rest[8] = {0};
      int64_t n = min(8, end - begin - i);
      const float* x = from + begin + i;
      if (n < 8) x = memcpy(rest, x, n * sizeof(float));
      __m256 value = _mm256_loadu_ps(x), shift = _mm256_loadu_ps(b + i);
      value = s->scale ? _mm256_fmadd_ps(value, _mm256_loadu_ps(a + i), shift)
                       : _mm256_add_ps(value, shift);
      value = activated8(value, s->act);
      float* y = call->y.data + begin + i;
      if (n == 8) {
        _mm256_storeu_ps(y, value);
      } else {
        _mm256_storeu_ps(rest, value);
        memcpy(y, rest, n * sizeof(float));
      }
    }
}

static void scale(const struct kerasrun_scale* s, int64_t n, const struct kerasrun_view* y,
                  int64_t channels) {
  if (channels % 8 != 0) {
    struct scale_call call = {.s = s, .y = *y, .pixels = n * y->h * y->w};
    call.blocks = call.pixels * channels < 8192 ? 1 : 4 * kerasrun_threadpool_size();
    kerasrun_threadpool_run(odd_task, &call, call.blocks);
    return;
  }
  struct scale_call call = {.s = s, .y = *y, .pixels = y->h * y->w};
  kerasrun_zero_padding(&call.y, n, channels);
  // Few floats are not worth to be shared.
  int64_t wanted = n * call.pixels * channels < 8192 ? 1 : 4 * kerasrun_threadpool_size();
  call.blocks = min(div_round_up(call.pixels, 8), div_round_up(wanted, n));
  kerasrun_threadpool_run(scale_task, &call, n * call.blocks);
}

struct mean_call {
  const struct kerasrun_view* x;
  int64_t channels;
  float* y;
};

// A task is eight channels of an image. Sums are in double, so that the mean does not depend on the
// order of the pixels: where convolutions are of bytes, one is made of it.
static void mean_task(void* context, int64_t task) {
  const struct mean_call* call = context;
  const struct kerasrun_view* x = call->x;
  int64_t image = task / (call->channels / 8), c8 = task % (call->channels / 8);
  int64_t pixels = x->h * x->w, offsets[SPAN];
  const float* from = x->data + c8 * x->c8_stride;
  __m256d sum[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
  for (int64_t first = 0, n; first < pixels; first += n) {
    n = min(SPAN, pixels - first);
    kerasrun_pixel_offsets(x, image * pixels + first, n, offsets);
    for (int64_t i = 0; i < n; i++)
      for (int j = 0; j < 2; j++)
        sum[j] = _mm256_add_pd(sum[j], _mm256_cvtps_pd(_mm_loadu_ps(from + offsets[i] + 4 * j)));
  }
  float* y = call->y + image * call->channels + 8 * c8;
  for (int j = 0; j < 2; j++)
    _mm_storeu_ps(y + 4 * j, _mm256_cvtpd_ps(_mm256_div_pd(sum[j], _mm256_set1_pd(pixels))));
}

static void mean(const struct kerasrun_view* x, int64_t n, int64_t channels, float* y) {
  struct mean_call call = {x, channels, y};
  kerasrun_threadpool_run(mean_task, &call, n * (channels / 8));
}

// So many output channels of a dense layer are computed at a time.
#define DENSE_BLOCK 32

struct dense_call {
  const struct kerasrun_dense* d;
  const float* x;
  float* y;
  int64_t blocks;
};

static void dense_task(void* context, int64_t task) {
  const struct dense_call* call = context;
  const struct kerasrun_dense* d = call->d;
  int64_t row = task / call->blocks, o = task % call->blocks * DENSE_BLOCK;
  int64_t n = min(DENSE_BLOCK, d->oc - o);
  const float *x = call->x + row * d->ic, *w = d->filter + o;
  float sums[DENSE_BLOCK] = {0};
  memcpy(sums, d->bias + o, n * sizeof(float));
  if (n == DENSE_BLOCK) {
    __m256 acc[4];
    for (int v = 0; v < 4; v++) acc[v] = _mm256_loadu_ps(sums + 8 * v);
    for (int64_t k = 0; k < d->ic; k++, w += d->oc) {
      __m256 a = _mm256_broadcast_ss(x + k);
#pragma GCC unroll 4
      for (int v = 0; v < 4; v++) acc[v] = _mm256_fmadd_ps(a, _mm256_loadu_ps(w + 8 * v), acc[v]);
    }
    for (int v = 0; v < 4; v++) _mm256_storeu_ps(sums + 8 * v, acc[v]);
  } else {
    __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    for (int64_t v = 0; 8 * v < n; v++) {
      __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(n - 8 * v), lanes);
      __m256 acc = _mm256_loadu_ps(sums + 8 * v);
      for (int64_t k = 0; k < d->ic; k++)
        acc = _mm256_fmadd_ps(_mm256_broadcast_ss(x + k),
                              _mm256_maskload_ps(w + k * d->oc + 8 * v, mask), acc);
      _mm256_storeu_ps(sums + 8 * v, acc);
    }
  }
  for (int v = 0; v < DENSE_BLOCK / 8; v++)
    _mm256_storeu_ps(sums + 8 * v, activated8(_mm256_loadu_ps(sums + 8 * v), d->act));
  memcpy(call->y + row * d->oc + o, sums, n * sizeof(float));
}

static void dense(const struct kerasrun_dense* d, const float* x, int64_t n, float* y) {
  struct dense_call call = {d, x, y, div_round_up(d->oc, DENSE_BLOCK)};
  int64_t tasks = n * call.blocks;
  if (n * d->ic * d->oc >= 32768) {
    kerasrun_threadpool_run(dense_task, &call, tasks);
  } else {
    for (int64_t i = 0; i < tasks; i++) dense_task(&call, i);
  }
}
