// Convolutions with kernels of several pixels, in groups or not: the kernel slides over planes of pixels.

#pragma once

#include "conv2d_call.h"

// window is the planes that a row of the output is computed from, as kernel_h rows of kernel_w pixels slide over them.
struct window {
  long unit;                  // channels of a plane
  long planes, plane, row;    // planes of a group, and from one to the next; from row to row
  long kernel_h, kernel_w, stride;
};

typedef void slider(const float* x, const struct window* w, const float* kernel, const struct out* o);

TILE void windows(int rows, int vectors, int unit, long step, const float* x, const struct window* w, const float* kernel, vector sum[][2]) {
  for (long p = 0; p < w->planes; p++, x += w->plane) {
    const float* line = x;
    for (long i = 0; i < w->kernel_h; i++, line += w->row)
      for (long k = 0; k < w->kernel_w * w->unit; k += unit, kernel += unit * LANES * vectors) sweep(rows, vectors, unit, line + k, step, kernel, sum);
  }
}

// taps is windows for kernels three pixels wide, of eight channels: a number of the picture is read once for the three sums that it is part of. It takes half the
// loads, which are what there is least of. The kernel has for each number its columns for the three pixels, one after the other.
TILE void taps(int rows, int stride, const float* x, const struct window* w, const float* kernel, vector sum[][2]) {
  for (long p = 0; p < w->planes; p++, x += w->plane) {
    const float* line = x;
    for (long i = 0; i < w->kernel_h; i++, line += w->row)
      for (int k = 0; k < 8; k++, kernel += 3 * LANES) {
        vector tap[3];
#pragma GCC unroll 3
        for (int t = 0; t < 3; t++) tap[t] = load(kernel + t * LANES);
#pragma GCC unroll 29
        for (int j = 0; j < (rows - 1) * stride + 3; j++) {
          vector number = broadcast(line + j * 8 + k);
#pragma GCC unroll 3
          for (int t = 0; t < 3; t++) {
            int i = (j - t) / stride;
            if (j >= t && (j - t) % stride == 0 && i < rows) sum[i][0] = multiply_add(number, tap[t], sum[i][0]);
          }
        }
      }
  }
}

#define SLIDE(vectors, rows)                                                                                               \
  static void slide_##vectors##_##rows(const float* x, const struct window* w, const float* kernel, const struct out* o) { \
    vector sum[rows][2];                                                                                                   \
    begin(rows, vectors, sum, o, FIRST | LAST);                                                                            \
    if (w->unit == 8 && w->stride == 1)                                                                                    \
      windows(rows, vectors, 8, 8, x, w, kernel, sum);                                                                     \
    else if (w->unit == 3 && w->stride == 2)                                                                               \
      windows(rows, vectors, 3, 6, x, w, kernel, sum);                                                                     \
    else                                                                                                                   \
      windows(rows, vectors, 1, w->unit * w->stride, x, w, kernel, sum);                                                   \
    end(rows, vectors, sum, o, FIRST | LAST);                                                                              \
  }
#define TAPS(vectors, rows)                                                                                               \
  static void taps_##vectors##_##rows(const float* x, const struct window* w, const float* kernel, const struct out* o) { \
    vector sum[rows][2];                                                                                                  \
    begin(rows, vectors, sum, o, FIRST | LAST);                                                                           \
    if (w->stride == 1)                                                                                                   \
      taps(rows, 1, x, w, kernel, sum);                                                                                   \
    else                                                                                                                  \
      taps(rows, 2, x, w, kernel, sum);                                                                                   \
    end(rows, vectors, sum, o, FIRST | LAST);                                                                             \
  }
EACH_WIDE(SLIDE) EACH_NARROW(SLIDE) EACH_NARROW(TAPS)

#define NAME_SLIDE(vectors, rows) slide_##vectors##_##rows,
#define NAME_TAPS(vectors, rows) taps_##vectors##_##rows,
static slider* const sliders[2][NARROW_ROWS + 1] = {{NULL, EACH_NARROW(NAME_SLIDE)}, {NULL, EACH_WIDE(NAME_SLIDE)}};
static slider* const tappers[NARROW_ROWS + 1] = {NULL, EACH_NARROW(NAME_TAPS)};

// part copies u channels at a time of so many pixels, one behind the other, each to its plane. The compiler makes more of a u that it knows.
TILE void part(long u, long planes, long size, const float* x, long pixel, long next, long pixels, float* to) {
  for (long j = 0; j < pixels; j++)
    for (long p = 0; p < planes; p++) memcpy(to + p * size + j * u, x + j * pixel + p * next, u * sizeof(float));
}

// copy makes planes of some groups' channels, with the zeros around them, for rows of the output.
static void copy(const struct call* call, long picture, long from, long group, long groups, long height, long width, float* to) {
  const struct kerasrun_conv* c = call->c;
  long u = unit(c), planes = groups * c->in / u, size = height * width * u, next = call->x.form.order == KERASRUN_PLANES ? call->x.eight : u;
  // Columns of the planes that the picture has.
  long left = least(c->left, width), right = least(call->x.w + c->left, width);
  for (long i = 0; i < height; i++) {
    long row = from * c->stride_h + i - c->top;
    float* line = to + i * width * u;
    int outside = row < 0 || row >= call->x.h;
    for (long p = 0; p < planes; p++) {
      memset(line + p * size, 0, (outside ? width : left) * u * sizeof(float));
      if (!outside) memset(line + p * size + right * u, 0, (width - right) * u * sizeof(float));
    }
    if (outside) continue;
    const float* x = call->x.at + picture * call->x.picture + row * call->x.row + group * c->in / u * next;
    if (planes == 1 && call->x.pixel == u)
      memcpy(line + left * u, x, (right - left) * u * sizeof(float));
    else if (u == 8)
      part(8, planes, size, x, call->x.pixel, next, right - left, line + left * 8);
    else
      part(u, planes, size, x, call->x.pixel, next, right - left, line + left * u);
  }
  if (unrounded(c)) round_all(to, planes * size);
}

static void slide(void* of, long piece) {
  struct call* call = of;
  const struct kerasrun_conv* c = call->c;
  long block = piece % call->blocks, bunch = piece / call->blocks % call->bunches;
  long band = piece / call->blocks / call->bunches % call->bands, picture = piece / call->blocks / call->bunches / call->bands;
  long from = call->y.h * band / call->bands, n = call->y.h * (band + 1) / call->bands - from;
  long group = c->groups * bunch / call->bunches, groups = c->groups * (bunch + 1) / call->bunches - group;
  long height = (n - 1) * c->stride_h + c->kernel_h, width = (call->y.w - 1) * c->stride_w + c->kernel_w, u = unit(c), line = call->y.w + NARROW_ROWS;
  long* y_at = scratch(call, 2 * n * line * sizeof(long) + (bordered(c) ? 0 : groups * c->in * height * width) * sizeof(float));
  if (!y_at) return;
  long* add_at = y_at + n * line;
  for (long row = 0; row < n; row++) {
    long pixel = (picture * call->y.h + from + row) * call->y.w;
    places(&call->y, pixel, call->y.w, y_at + row * line);
    places(&call->add, pixel, call->y.w, add_at + row * line);
  }
  struct window w = {.unit = u, .planes = c->in / u, .kernel_h = c->kernel_h, .kernel_w = c->kernel_w, .stride = c->stride_w};
  const float* planes;
  if (bordered(c)) {
    w.plane = call->x.eight;
    w.row = call->x.row;
    planes = call->x.at + picture * call->x.picture + (from * c->stride_h - c->top) * w.row - c->left * u + group * w.planes * w.plane;
  } else {
    float* own = (float*)(add_at + n * line);
    copy(call, picture, from, group, groups, height, width, own);
    w.row = width * u;
    w.plane = height * w.row;
    planes = own;
  }
  for (long g = 0; g < groups; g++, planes += w.planes * w.plane)
    for (long panel = block * call->block; panel < block_end(call, block); panel++) {
      long columns = panel_columns(c, panel), packed = (group + g) * group_width(c) + panel * panel_width(c);
      int wide = whole_vectors(columns) == COLUMNS;
      long tiles = tiles_of(call->y.w, wide), column = (group + g) * (c->out / c->groups) + panel * panel_width(c);
      for (long row = 0; row < n; row++)
        for (long tile = 0; tile < tiles; tile++) {
          long first = call->y.w * tile / tiles, rows = call->y.w * (tile + 1) / tiles - first;
          struct out o = out_of(call, y_at + row * line + first, add_at + row * line + first, column, columns);
          slider* const* of = three_taps(c) ? tappers : sliders[wide];
          of[rows](planes + row * c->stride_h * w.row + first * c->stride_w * u, &w, call->packed + packed * depth(c), &o);
        }
    }
}
