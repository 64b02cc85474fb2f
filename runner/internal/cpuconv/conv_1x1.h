// Convolutions with kernels of one pixel: products of matrices.

#pragma once

#include "conv2d_call.h"
#include "threadpool.h"

// A pixel is fetched from memory so many before it is copied.
#define AHEAD 8
// Numbers of a cache line.
#define LINE 16

// A tile of the product. Eight numbers of a row lie together, those of the next row behind them, the next eight of each row a plane further. What is ahead is
// fetched from memory meanwhile, a line for each plane: the caches take but so many at a time.
typedef void multiplier(const float* x, long plane, long planes, const float* kernel, const float* ahead, const struct out* o, int part);

#define MULTIPLY(vectors, rows)                                                                                                                  \
  static void multiply_##vectors##_##rows(const float* x, long plane, long planes, const float* kernel, const float* ahead, const struct out* o, \
                                               int part) {                                                                                       \
    vector sum[rows][2];                                                                                                                         \
    begin(rows, vectors, sum, o, part);                                                                                                          \
    for (; planes > 0; planes--, x += plane, kernel += 8 * LANES * vectors, ahead += LINE) {                                                     \
      __builtin_prefetch(ahead);                                                                                                                 \
      sweep(rows, vectors, 8, x, 8, kernel, sum);                                                                                                \
    }                                                                                                                                            \
    end(rows, vectors, sum, o, part);                                                                                                            \
  }
EACH_WIDE(MULTIPLY) EACH_NARROW(MULTIPLY)

#define NAME(vectors, rows) multiply_##vectors##_##rows,
static multiplier* const multipliers[2][NARROW_ROWS + 1] = {{NULL, EACH_NARROW(NAME)}, {NULL, EACH_WIDE(NAME)}};

// in_place says whether the matrix that is multiplied is the picture as it lies there.
static int in_place(const struct kerasrun_conv* c) { return c->x.order == KERASRUN_BLOCKS && c->stride_h == 1 && c->stride_w == 1; }

// gather copies part of the channels of the pixels that the output needs into planes of a block.
static void gather(const struct call* call, long from, long n, long k, long length, float* to) {
  const struct kerasrun_conv* c = call->c;
  const float* base = call->x.at + k / 8 * call->x.eight;
  float* at = to;
  int dense = c->x.order == KERASRUN_NHWC && c->stride_h == 1 && c->stride_w == 1;
  long whole = length / 8, plane = 8 * BLOCK_PIXELS, column = from % call->y.w, row = from / call->y.w;  // a row of all pictures
  for (long i = 0; i < n; i++, at += 8) {
    long where = (from + i) * call->x.pixel;
    if (!dense) {
      kerasrun_positions(&call->x, (row / call->y.h * call->x.h + row % call->y.h * c->stride_h) * call->x.w + column * c->stride_w, 1, &where);
      if (++column == call->y.w) {
        column = 0;
        row++;
      }
    }
    const float* x = base + where;
    for (long j = 0; j < whole; j++) {
      __builtin_prefetch(x + j * call->x.eight + AHEAD * c->stride_w * call->x.pixel);
      _mm256_storeu_ps(at + j * plane, _mm256_loadu_ps(x + j * call->x.eight));
    }
    if (8 * whole < length) {
      memset(at + whole * plane, 0, 8 * sizeof(float));
      memcpy(at + whole * plane, x + 8 * whole, (length - 8 * whole) * sizeof(float));
    }
  }
  for (long j = 0; unrounded(c) && j < ceiling(length, 8); j++) round_all(to + j * plane, 8 * n);
}

// Memory that is to be fetched.
struct ahead {
  const float *at, *end;
};

static void multiply(void* of, long piece) {
  struct call* call = of;
  const struct kerasrun_conv* c = call->c;
  long block = piece % call->blocks, part = piece / call->blocks % call->parts, band = piece / call->blocks / call->parts;
  long first = band * BLOCK_PIXELS, pixels = least(BLOCK_PIXELS, call->n * call->y.h * call->y.w - first);
  long from = pixels * part / call->parts, n = pixels * (part + 1) / call->parts - from;
  if (n == 0) return;
  float* own = NULL;
  if (!in_place(c) && !(own = scratch(call, (DEPTH + 2 * 8) * BLOCK_PIXELS * sizeof(float)))) return;  // parts begin and end with whole eights
  long y_at[BLOCK_PIXELS + NARROW_ROWS], add_at[BLOCK_PIXELS + NARROW_ROWS];
  places(&call->y, first + from, n, y_at);
  places(&call->add, first + from, n, add_at);
  long begin = block * call->block, end = block_end(call, block);
  // The block that this thread is likely to come to next.
  struct ahead block_ahead = {0};
  long then = (piece + kerasrun_pool_threads()) / call->blocks / call->parts;
  if (in_place(c) && then != band && then < call->bands) block_ahead = (struct ahead){call->x.at + then * call->x.block, call->x.at + (then + 1) * call->x.block};
  const float* kernel = call->packed;
  for (long cut = 0; cut < cuts(c); cut++) {
    long k = cut_at(c, cut), length = cut_at(c, cut + 1) - k, whole = padded(c, length);
    const float* x = own;
    if (in_place(c))
      x = call->x.at + band * call->x.block + k / 8 * call->x.eight + from * 8;
    else
      gather(call, first + from, n, k, length, own);
    for (long panel = begin; panel < end; panel++) {
      long columns = panel_columns(c, panel), width = whole_vectors(columns);
      int wide = width == COLUMNS;
      long tiles = tiles_of(n, wide);
      const float* now = kernel + panel * COLUMNS * whole;
      const float* next = panel + 1 < end ? now + width * whole : kernel + whole * group_width(c) + begin * COLUMNS * whole;
      struct ahead panel_ahead = {next, next + width * whole};
      for (long tile = 0; tile < tiles; tile++) {
        struct ahead* a = panel_ahead.at < panel_ahead.end || block_ahead.at >= block_ahead.end ? &panel_ahead : &block_ahead;
        long row = n * tile / tiles, rows = n * (tile + 1) / tiles - row;
        struct out o = out_of(call, y_at + row, add_at + row, panel * COLUMNS, columns);
        multipliers[wide][rows](x + row * 8, 8 * BLOCK_PIXELS, whole / 8, now, a->at, &o, (cut == 0 ? FIRST : 0) | (cut == cuts(c) - 1 ? LAST : 0));
        a->at += whole / 8 * LINE;
      }
    }
    kernel += whole * group_width(c);
  }
}
