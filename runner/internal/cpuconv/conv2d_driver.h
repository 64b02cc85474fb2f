// A convolution: its kernel packed, the work cut into pieces, and the run.

#include "conv_1x1.h"
#include "threadpool.h"
#include "direct_conv.h"
#include "isa.h"

// A piece of work is so many columns that they and a block of pixels stay in the second cache.
#define PIECE_COLUMNS 256
// Groups are copied together where they are narrow: so many channels in one go, as memory is read best, to so many numbers.
#define BUNCH 256
#define COPIED 65536

// source returns which row of the kernel, as TensorFlow has it, is read as the k-th.
static long source(const struct kerasrun_conv* c, long k) {
  if (kerasrun_conv_pointwise(c)) return k;
  long u = unit(c), row = c->kernel_w * u, plane = c->kernel_h * row;
  long i = k % plane / row, in = k % row;  // the kernel's row, and which number of it
  long j = three_taps(c) ? in % 3 : in / u, channel = k / plane * u + (three_taps(c) ? in / 3 : in % u);
  return (i * c->kernel_w + j) * c->in + channel;
}

static long packed_size(const struct kerasrun_conv* c) { return padded(c, depth(c)) * c->groups * group_width(c); }

struct packing {
  const struct kerasrun_conv* c;
  const float* kernel;
  float* packed;
};

// pack packs part of a sum, of a group. A row of the kernel is read whole and spread over the panels: memory is faster in order, the more so where it is read.
static void pack(void* of, long piece) {
  const struct packing* p = of;
  const struct kerasrun_conv* c = p->c;
  long group = piece / cuts(c), cut = piece % cuts(c), out = c->out / c->groups, panel = panel_width(c);
  long from = cut_at(c, cut), length = cut_at(c, cut + 1) - from, whole = padded(c, length);
  float* packed = p->packed + (group * padded(c, depth(c)) + from) * group_width(c);
  for (long k = 0; k < whole; k++) {
    const float* row = k < length ? p->kernel + source(c, from + k) * c->out + group * out : NULL;
    for (long column = 0; column < out; column += panel) {
      long rest = least(panel, out - column), width = whole_vectors(rest), columns = row ? rest : 0;
      float* to = packed + column * whole + k * width;
      if (columns > 0) memcpy(to, row + column, columns * sizeof(float));
      if (columns < width) memset(to + columns, 0, (width - columns) * sizeof(float));
    }
  }
  if (c->bf16) round_all(packed, whole * group_width(c));
}

static void pack_all(const struct kerasrun_conv* c, const float* kernel, float* packed) {
  struct packing p = {c, kernel, packed};
  kerasrun_pool_run(pack, &p, c->groups * cuts(c));
}

// cut cuts the call into pieces.
static void cut(struct call* call) {
  const struct kerasrun_conv* c = call->c;
  // Threads that share few pieces wait for the last.
  long wanted = 4 * kerasrun_pool_threads(), pictures = 1, limit = BLOCK_PIXELS / ROWS;
  call->bunches = call->parts = 1;
  call->block = PIECE_COLUMNS / COLUMNS;
  if (kerasrun_conv_pointwise(c)) {
    call->bands = ceiling(call->n * call->y.h * call->y.w, BLOCK_PIXELS);
  } else {
    pictures = call->n;
    call->bands = 1;
    if (bordered(c)) {
      call->bunches = least(c->groups, ceiling(wanted, pictures));
    } else {
      call->bunches = least(c->groups, ceiling(c->groups * c->in, BUNCH));
      // Planes that the first cache holds, or the second where the kernel does not fit the first in any case.
      long room = least(depth(c) * (c->out / c->groups) > 16384 ? 49152 : 8192, COPIED / ceiling(c->groups, call->bunches));
      call->bands = ceiling(call->y.h, most(1, (room / (call->y.w * c->stride_w * c->in) - 2) / c->stride_h));
    }
    limit = call->y.h / call->bands;
  }
  for (;;) {
    call->blocks = ceiling(panels(c), call->block);
    call->pieces = pictures * call->bunches * call->bands * call->parts * call->blocks;
    if (call->pieces >= wanted) break;
    if (call->block * COLUMNS > 64)
      call->block /= 2;
    else if (2 * call->parts <= limit)
      call->parts *= 2;
    else
      break;
  }
  if (!kerasrun_conv_pointwise(c)) call->bands *= call->parts;
}

static int run(const struct kerasrun_conv* c, const float* packed, const float* bias, const float* add, const float* x, long n, long h, long w, float* y) {
  struct call call = {.c = c, .packed = packed, .bias = bias, .n = n};
  long out_h = kerasrun_conv_out_h(c, h), out_w = kerasrun_conv_out_w(c, w);
  call.x = kerasrun_view(c->x, x, h, w, c->in * c->groups);
  call.y = kerasrun_view(c->y, y, out_h, out_w, c->out);
  if (add) call.add = kerasrun_view(c->add, add, out_h, out_w, c->out);
  kerasrun_border(&call.y, n, c->out);
  cut(&call);
  kerasrun_pool_run(kerasrun_conv_pointwise(c) ? multiply : slide, &call, call.pieces);
  return !atomic_load(&call.failed);
}
