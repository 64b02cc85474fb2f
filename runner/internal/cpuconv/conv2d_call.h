// What the pieces of a convolution share.

#pragma once

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "conv2d.h"
#include "microkernel.h"

// call is a convolution of pictures. Its pieces of work are parts of its rows, groups and columns.
struct call {
  const struct kerasrun_conv* c;
  const float *packed, *bias;
  struct view x, add, y;  // add.at is NULL where nothing is added
  long n;  // pictures
  long pieces;
  long bands, parts;  // of rows: for one pixel blocks and parts of each, for larger kernels rows of a picture
  long bunches;       // of groups
  long blocks, block; // of columns, and panels of each
  atomic_int failed;
};

// Channels of a pixel that lie together for a kernel of several pixels.
static inline long unit(const struct kerasrun_conv* c) { return c->in % 8 == 0 ? 8 : c->in; }

// Says whether the sums are those of taps, in slide_linux_amd64.c.
static inline int three_taps(const struct kerasrun_conv* c) { return c->kernel_w == 3 && unit(c) == 8 && c->stride_w <= 2; }

// The columns of a group are panels of two vectors, and a rest of one or two; those of taps are all of one. What a vector has more than there are columns is
// zeros of the kernel.
static inline long panel_width(const struct kerasrun_conv* c) { return three_taps(c) ? NARROW_COLUMNS : COLUMNS; }
static inline long panels(const struct kerasrun_conv* c) { return ceiling(c->out / c->groups, panel_width(c)); }
static inline long panel_columns(const struct kerasrun_conv* c, long panel) { return least(panel_width(c), c->out / c->groups - panel * panel_width(c)); }
static inline long whole_vectors(long columns) { return ceiling(columns, LANES) * LANES; }
static inline long group_width(const struct kerasrun_conv* c) { return whole_vectors(c->out / c->groups); }

// Rows are cut into tiles as even as can be.
static inline long tiles_of(long rows, int wide) { return ceiling(rows, wide ? ROWS : NARROW_ROWS); }

static inline long depth(const struct kerasrun_conv* c) { return c->kernel_h * c->kernel_w * c->in; }

// Of a long sum as many products are added at a time that the kernel's columns stay in the first cache, 16 KB.
#define DEPTH 256
static inline long cuts(const struct kerasrun_conv* c) { return kerasrun_conv_pointwise(c) ? ceiling(depth(c), DEPTH) : 1; }

// cut_at is where a part of the sum begins, at a multiple of eight.
static inline long cut_at(const struct kerasrun_conv* c, long cut) { return cut == cuts(c) ? depth(c) : depth(c) * cut / cuts(c) / 8 * 8; }

// padded is how many rows of the kernel a part of that many has, those of zeros included.
static inline long padded(const struct kerasrun_conv* c, long length) { return kerasrun_conv_pointwise(c) ? ceiling(length, 8) * 8 : length; }

// block_end is the panel after those of a block.
static inline long block_end(const struct call* call, long block) { return least((block + 1) * call->block, panels(call->c)); }

// places writes down where pixels of the output are, and of as many more as a tile fetches ahead.
static inline void places(const struct view* v, long from, long n, long* at) {
  if (!v->at) return;
  kerasrun_positions(v, from, n, at);
  for (int i = 0; i < NARROW_ROWS; i++) at[n + i] = at[n - 1];
}

static inline struct out out_of(const struct call* call, const long* y_at, const long* add_at, long column, long columns) {
  return (struct out){.eights = columns / 8, .y = call->y.at + column / 8 * call->y.eight, .y_at = y_at, .y_next = call->y.eight,
                      .add = call->add.at ? call->add.at + column / 8 * call->add.eight : NULL, .add_at = add_at, .add_next = call->add.eight,
                      .bias = call->bias + column, .relu = call->c->relu, .bf16 = call->c->bf16};
}

// scratch returns memory of this thread's, NULL where there is none.
static inline void* scratch(struct call* call, size_t bytes) {
  static __thread void* memory;
  static __thread size_t have;
  if (have < bytes) {
    free(memory);
    have = 0;
    if (posix_memalign(&memory, 64, bytes)) {
      memory = NULL;
      atomic_store(&call->failed, 1);
      return NULL;
    }
    have = bytes;
  }
  return memory;
}

// round_all rounds so many numbers to bfloat16.
static inline void round_all(float* at, long n) {
  long whole = n / 8 * 8;
  for (long i = 0; i < whole; i += 8) _mm256_storeu_ps(at + i, bfloat16(_mm256_loadu_ps(at + i)));
  float rest[8] = {0};
  memcpy(rest, at + whole, (n - whole) * sizeof(float));
  _mm256_storeu_ps(rest, bfloat16(_mm256_loadu_ps(rest)));
  memcpy(at + whole, rest, (n - whole) * sizeof(float));
}

// unrounded says whether the picture may have numbers that are no bfloat16: it comes from TensorFlow.
static inline int unrounded(const struct kerasrun_conv* c) { return c->bf16 && c->x.order == KERASRUN_NHWC; }

// bordered says whether the zeros around a picture are there.
static inline int bordered(const struct kerasrun_conv* c) {
  return c->x.order == KERASRUN_PLANES && c->x.border >= most(most(c->top, c->bottom), most(c->left, c->right));
}
