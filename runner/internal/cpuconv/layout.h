// How pictures lie in memory.

#pragma once

#include <stddef.h>
#include <string.h>

static inline long least(long a, long b) { return a < b ? a : b; }
static inline long most(long a, long b) { return a > b ? a : b; }
static inline long ceiling(long a, long b) { return (a + b - 1) / b; }

// NHWC is TensorFlow's. In the others eight channels of a pixel are followed by those of its neighbour, so that a convolution reads them where they are: in
// BLOCKS for kernels of one pixel, so many pixels of the batch with all their channels at a time; in PLANES for larger kernels, eight channels of a whole
// picture with a border of zeros.
enum kerasrun_order { KERASRUN_NHWC, KERASRUN_BLOCKS, KERASRUN_PLANES };

struct kerasrun_form {
  enum kerasrun_order order;
  long border;  // of planes: rows and columns of zeros on each side
};

// Pixels of a block: whole tiles, and an odd number of cache lines for eight channels. What is a multiple of 4 KB apart has one place in a cache, which is
// soon full.
#define BLOCK_PIXELS 102

// view is pictures in memory.
struct view {
  float* at;
  struct kerasrun_form form;
  long h, w;
  long pixel, row, picture;  // from one to the next; in blocks the pixel alone
  long eight;                // from a channel to that eight further
  long block;                // from a block to the next
};

static inline struct view kerasrun_view(struct kerasrun_form f, const float* at, long h, long w, long channels) {
  struct view v = {.at = (float*)at, .form = f, .h = h, .w = w, .eight = 8};
  v.pixel = f.order == KERASRUN_NHWC ? channels : 8;
  v.row = (w + 2 * f.border) * v.pixel;
  v.picture = (h + 2 * f.border) * v.row;
  if (f.order == KERASRUN_BLOCKS) {
    v.eight = 8 * BLOCK_PIXELS;
    v.block = channels * BLOCK_PIXELS;
  } else if (f.order == KERASRUN_PLANES) {
    v.eight = v.picture / 32 * 32 + 48;  // an odd number of cache lines, and no fewer than the plane has
    v.picture = channels / 8 * v.eight;
    v.at += f.border * (v.row + v.pixel);
  }
  return v;
}

// Numbers that n pictures take. Channels are a multiple of eight but for NHWC.
static inline long kerasrun_form_size(struct kerasrun_form f, long n, long h, long w, long channels) {
  struct view v = kerasrun_view(f, NULL, h, w, channels);
  return f.order == KERASRUN_BLOCKS ? ceiling(n * h * w, BLOCK_PIXELS) * v.block : n * v.picture;
}

// Writes down where so many pixels of the batch are, from one on.
static inline void kerasrun_positions(const struct view* v, long from, long n, long* at) {
  if (v->form.order == KERASRUN_BLOCKS) {
    long pixel = from % BLOCK_PIXELS, block = from / BLOCK_PIXELS * v->block;
    for (long i = 0; i < n; i++) {
      at[i] = block + pixel * 8;
      if (++pixel < BLOCK_PIXELS) continue;
      pixel = 0;
      block += v->block;
    }
    return;
  }
  long column = from % v->w, row = from / v->w % v->h, picture = from / v->w / v->h;
  for (long i = 0; i < n; i++) {
    at[i] = picture * v->picture + row * v->row + column * v->pixel;
    if (++column < v->w) continue;
    column = 0;
    if (++row < v->h) continue;
    row = 0;
    picture++;
  }
}

// Writes the zeros around pictures.
static inline void kerasrun_border(const struct view* v, long n, long channels) {
  long b = v->form.border, side = 8 * b, height = v->h + 2 * b;
  for (long i = 0; b > 0 && i < n * (channels / 8); i++) {
    float* plane = v->at + i * v->eight - b * (v->row + 8);
    memset(plane, 0, b * v->row * sizeof(float));
    for (long row = b; row < height - b; row++) {
      memset(plane + row * v->row, 0, side * sizeof(float));
      memset(plane + (row + 1) * v->row - side, 0, side * sizeof(float));
    }
    memset(plane + (height - b) * v->row, 0, b * v->row * sizeof(float));
  }
}
