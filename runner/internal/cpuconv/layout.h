// Layouts of a batch of images in memory: n images of h x w pixels, c channels, float32.
//
//   NHWC     x[n][h][w][c]                               TensorFlow's
//   TILED    x[div_round_up(n*h*w, MC)][c/8][MC][8]      tiles of MC pixels of the whole batch
//   NCHW8C   x[n][c/8][p + h + p][p + w + p][8]          oneDNN's nChw8c, with p pixels of zeros
//                                                        around each plane, and a gap behind it
//
// A 1x1 convolution reads TILED in place, a larger one NCHW8C. Both need c % 8 == 0. Of a region's
// values there is one layout more, of bytes (qconv2d.h), which none of the functions here knows.

#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t div_round_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

enum kerasrun_layout_kind { KERASRUN_NHWC, KERASRUN_TILED, KERASRUN_NCHW8C, KERASRUN_BYTES };

struct kerasrun_layout {
  enum kerasrun_layout_kind kind;
  int64_t padding;  // of NCHW8C: pixels of zeros on each side of a plane
};

// Pixels of a tile: whole micro-kernel tiles, and an odd number of cache lines for eight channels.
// What is a multiple of 4 KB apart has one place in a cache, which is soon full.
#define KERASRUN_MC 102

// Floats that a tensor or a weights array may have: no product of sizes below this overflows.
#define KERASRUN_MAX_FLOATS ((int64_t)1 << 40)

// kerasrun_view is a batch of images in memory. Strides are in floats.
struct kerasrun_view {
  float* data;  // the first pixel, behind the padding
  struct kerasrun_layout layout;
  int64_t h, w;
  int64_t pixel_stride, row_stride, image_stride;  // of TILED: pixel_stride alone
  int64_t c8_stride;                               // from a channel to that eight further
  int64_t tile_stride;                             // of TILED
};

static inline int kerasrun_layout_valid(struct kerasrun_layout l) {
  if ((unsigned)l.kind > KERASRUN_NCHW8C || l.padding < 0 || l.padding > INT32_MAX) return 0;
  return l.padding == 0 || l.kind == KERASRUN_NCHW8C;
}

static inline struct kerasrun_view kerasrun_view(struct kerasrun_layout l, const float* data,
                                                 int64_t h, int64_t w, int64_t c) {
  assert(kerasrun_layout_valid(l) && (l.kind == KERASRUN_NHWC || c % 8 == 0));
  struct kerasrun_view v = {.data = (float*)data, .layout = l, .h = h, .w = w, .c8_stride = 8};
  v.pixel_stride = l.kind == KERASRUN_NHWC ? c : 8;
  v.row_stride = (w + 2 * l.padding) * v.pixel_stride;
  v.image_stride = (h + 2 * l.padding) * v.row_stride;
  if (l.kind == KERASRUN_TILED) {
    v.c8_stride = 8 * KERASRUN_MC;
    v.tile_stride = c * KERASRUN_MC;
  } else if (l.kind == KERASRUN_NCHW8C) {
    // An odd number of cache lines, and no fewer than the plane has.
    v.c8_stride = v.image_stride / 32 * 32 + 48;
    v.image_stride = c / 8 * v.c8_stride;
    if (data) v.data += l.padding * (v.row_stride + v.pixel_stride);
  }
  return v;
}

// kerasrun_layout_fits returns whether n images are at most KERASRUN_MAX_FLOATS, in any layout.
static inline int kerasrun_layout_fits(struct kerasrun_layout l, int64_t n, int64_t h, int64_t w,
                                       int64_t c) {
  if (n < 0 || h < 0 || w < 0 || c < 0) return 0;
  if (n > INT32_MAX || h > INT32_MAX || w > INT32_MAX || c > INT32_MAX) return 0;
  int64_t size;
  // The gap behind a plane, and the unused pixels of the last tile, are in the constant.
  if (__builtin_mul_overflow(h + 2 * l.padding, w + 2 * l.padding, &size)) return 0;
  if (__builtin_add_overflow(size, KERASRUN_MC, &size)) return 0;
  if (__builtin_mul_overflow(size, max(n, 1), &size)) return 0;
  if (__builtin_mul_overflow(size, max(c, 1), &size)) return 0;
  return size <= KERASRUN_MAX_FLOATS;
}

// kerasrun_layout_size returns how many floats n images take.
static inline int64_t kerasrun_layout_size(struct kerasrun_layout l, int64_t n, int64_t h,
                                           int64_t w, int64_t c) {
  assert(kerasrun_layout_fits(l, n, h, w, c));
  struct kerasrun_view v = kerasrun_view(l, NULL, h, w, c);
  if (l.kind == KERASRUN_TILED) return div_round_up(n * h * w, KERASRUN_MC) * v.tile_stride;
  return n * v.image_stride;
}

// kerasrun_pixel_offsets writes where n pixels of the batch are, from pixel first on, in floats
// from v->data.
static inline void kerasrun_pixel_offsets(const struct kerasrun_view* v, int64_t first, int64_t n,
                                          int64_t* offsets) {
  if (v->layout.kind == KERASRUN_TILED) {
    int64_t pixel = first % KERASRUN_MC, tile = first / KERASRUN_MC * v->tile_stride;
    for (int64_t i = 0; i < n; i++) {
      offsets[i] = tile + pixel * 8;
      if (++pixel < KERASRUN_MC) continue;
      pixel = 0;
      tile += v->tile_stride;
    }
    return;
  }
  int64_t column = first % v->w, row = first / v->w % v->h, image = first / v->w / v->h;
  for (int64_t i = 0; i < n; i++) {
    offsets[i] = image * v->image_stride + row * v->row_stride + column * v->pixel_stride;
    if (++column < v->w) continue;
    column = 0;
    if (++row < v->h) continue;
    row = 0;
    image++;
  }
}

// kerasrun_zero_padding writes the zeros around n images. Those on the right of a row and on the
// left of the next lie together.
static inline void kerasrun_zero_padding(const struct kerasrun_view* v, int64_t n, int64_t c) {
  int64_t p = v->layout.padding, between = 16 * p;
  for (int64_t i = 0; p > 0 && i < n * (c / 8); i++) {
    float* plane = v->data + i * v->c8_stride - p * (v->row_stride + 8);
    float* row = plane + p * v->row_stride + 8 * p;
    memset(plane, 0, (row - plane) * sizeof(float));
    for (int64_t j = 1; j < v->h; j++) {
      float* zeros = row + j * v->row_stride - between;
      for (int64_t k = 0; k < between; k++) zeros[k] = 0;
    }
    row += v->h * v->row_stride - between;
    memset(row, 0, (p * v->row_stride + 8 * p) * sizeof(float));
  }
}
