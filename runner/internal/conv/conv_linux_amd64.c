#include "conv.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"
#include "tile_linux_amd64.h"

// Of a long sum as many products are added at a time that the kernel's columns stay in the first cache, 16 KB.
#define DEPTH 256
// A row of the picture is fetched from memory so many rows before it is copied.
#define AHEAD 8
// A piece of work is so many rows and columns that its rows and columns stay in the second cache.
#define BLOCK_ROWS 100
#define BLOCK_COLUMNS 256
// Groups are copied together where they are narrow: so many channels in one go, as memory is read best, to so many numbers.
#define BUNCH 256
#define SLABS 65536

// Rows are cut into tiles as even as can be.
static long tiles_of(long rows, int columns) {
  int most = columns == COLUMNS ? ROWS : NARROW_ROWS;
  return (rows + most - 1) / most;
}

static struct out below(struct out o, long rows) {
  o.y += rows * o.step;
  if (o.add) o.add += rows * o.step;
  return o;
}

// The columns of a group are panels of sixteen, and one of eight where they leave a rest.
static long panels(const struct kerasrun_conv* c) { return (c->out / c->groups + COLUMNS - 1) / COLUMNS; }

static int panel_columns(const struct kerasrun_conv* c, long panel) {
  return panel * COLUMNS + COLUMNS <= c->out / c->groups ? COLUMNS : NARROW_COLUMNS;
}

// A pixel of the output is a product of a pixel of the picture and the kernel alone where the kernel has one pixel; then the sum is cut.
static int pointwise(const struct kerasrun_conv* c) {
  return c->kernel_h == 1 && c->kernel_w == 1 && c->groups == 1 && c->top == 0 && c->left == 0 && c->bottom == 0 && c->right == 0;
}

static long depth(const struct kerasrun_conv* c) { return c->kernel_h * c->kernel_w * c->in; }

static long cuts(const struct kerasrun_conv* c) { return pointwise(c) ? (depth(c) + DEPTH - 1) / DEPTH : 1; }

// cut_at is where a part of the sum begins. A product of matrices has whole chunks.
static long cut_at(const struct kerasrun_conv* c, long cut) {
  if (cut == cuts(c)) return depth(c);
  return depth(c) * cut / cuts(c) / CHUNK * CHUNK;
}

// padded is how many rows of the kernel a part of that many has, those of zeros included.
static long padded(const struct kerasrun_conv* c, long length) { return pointwise(c) ? (length + CHUNK - 1) / CHUNK * CHUNK : length; }

int kerasrun_conv_preferred(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && !__builtin_cpu_supports("avx512f");
}

float* kerasrun_conv_pack(const struct kerasrun_conv* c, const float* kernel) {
  void* memory;
  if (posix_memalign(&memory, 64, sizeof(float) * padded(c, depth(c)) * c->out)) return NULL;
  float* to = memory;
  for (long group = 0; group < c->groups; group++)
    for (long cut = 0; cut < cuts(c); cut++)
      for (long panel = 0; panel < panels(c); panel++) {
        int columns = panel_columns(c, panel);
        long from = cut_at(c, cut), length = cut_at(c, cut + 1) - from;
        for (long k = from; k < from + length; k++, to += columns)
          memcpy(to, kernel + k * c->out + group * (c->out / c->groups) + panel * COLUMNS, columns * sizeof(float));
        for (long k = length; k < padded(c, length); k++, to += columns) memset(to, 0, columns * sizeof(float));
      }
  return memory;
}

// call is a convolution of a picture.
struct call {
  const struct kerasrun_conv* c;
  const float *packed, *bias, *add, *x;
  float* y;
  long n, h, w, out_h, out_w;
  long bands, bunches, blocks, block;  // pieces of work: of rows, of groups, of columns; panels a block
  atomic_int failed;
};

// scratch returns memory of this thread's.
static float* scratch(struct call* call, long length) {
  static __thread float* memory;
  static __thread long have;
  if (have < length) {
    free(memory);
    have = 0;
    if (posix_memalign((void**)&memory, 64, length * sizeof(float))) {
      memory = NULL;
      atomic_store(&call->failed, 1);
      return NULL;
    }
    have = length;
  }
  return memory;
}

static struct out out_of(const struct call* call, long pixel, long column) {
  long at = pixel * call->c->out + column;
  return (struct out){call->y + at, call->c->out, call->bias + column, call->add ? call->add + at : NULL, call->c->relu};
}

// block_end is the panel after those of a block.
static long block_end(const struct call* call, long block) {
  long end = (block + 1) * call->block;
  return end < panels(call->c) ? end : panels(call->c);
}

// gather copies part of the numbers of rows from to to of the matrix that a picture is, tile by tile, chunk by chunk, row by row.
AVX2 static void gather(const struct call* call, long from, long to, long k, long length, int columns, float* at) {
  const struct kerasrun_conv* c = call->c;
  int dense = c->stride_h == 1 && c->stride_w == 1;
  long tiles = tiles_of(to - from, columns), whole = length / CHUNK * CHUNK;
  for (long tile = 0; tile < tiles; tile++) {
    long first = from + (to - from) * tile / tiles, rows = from + (to - from) * (tile + 1) / tiles - first;
    for (long i = 0; i < rows; i++) {
      long row = first + i;
      if (!dense) {
        long column = row % call->out_w, line = row / call->out_w % call->out_h, picture = row / call->out_w / call->out_h;
        row = (picture * call->h + line * c->stride_h) * call->w + column * c->stride_w;
      }
      const float* x = call->x + row * c->in + k;
      float* chunk = at + i * CHUNK;
      for (long j = 0; j < whole; j += CHUNK, chunk += rows * CHUNK) {
        __builtin_prefetch(x + AHEAD * c->in + j);
        _mm256_storeu_ps(chunk, _mm256_loadu_ps(x + j));
      }
      if (whole < length) {
        memset(chunk, 0, CHUNK * sizeof(float));
        memcpy(chunk, x + whole, (length - whole) * sizeof(float));
      }
    }
    at += rows * padded(c, length);
  }
}

// multiply is a piece of a pointwise convolution: of a product of matrices.
static void multiply(void* of, long piece) {
  struct call* call = of;
  const struct kerasrun_conv* c = call->c;
  long pixels = call->n * call->out_h * call->out_w, band = piece / call->blocks, block = piece % call->blocks;
  long from = pixels * band / call->bands, n = pixels * (band + 1) / call->bands - from;
  long last = block_end(call, block);
  float* x = scratch(call, n * (DEPTH + 2 * CHUNK));  // parts begin at whole chunks, and end with one
  if (!x) return;
  const float* kernel = call->packed;
  for (long cut = 0; cut < cuts(c); cut++) {
    long k = cut_at(c, cut), length = cut_at(c, cut + 1) - k, whole = padded(c, length);
    int gathered = 0;
    for (long panel = block * call->block; panel < last; panel++) {
      int columns = panel_columns(c, panel);
      if (columns != gathered) gather(call, from, from + n, k, length, columns, x);
      gathered = columns;
      struct out o = out_of(call, from, panel * COLUMNS);
      long tiles = tiles_of(n, columns);
      const float* now = kernel + panel * COLUMNS * whole;
      // What is multiplied next, a part with each tile: the memory is slower than a tile.
      const float* next = panel + 1 < last ? now + columns * whole : kernel + whole * c->out + block * call->block * COLUMNS * whole;
      long lines = (columns * whole + 15) / 16;
      for (long tile = 0; tile < tiles; tile++) {
        long first = n * tile / tiles, rows = n * (tile + 1) / tiles - first;
        for (long line = lines * tile / tiles; line < lines * (tile + 1) / tiles; line++) __builtin_prefetch(next + line * 16);
        multipliers[columns == COLUMNS][rows](x + first * whole, whole / CHUNK, now, below(o, first),
                                              (cut == 0 ? FIRST : 0) | (cut == cuts(c) - 1 ? LAST : 0));
      }
    }
    kernel += whole * c->out;
  }
}

// slide is a piece of any other convolution: the channels of each group are copied with the zeros around them, so that a row of the kernel is one
// piece of memory.
static void slide(void* of, long piece) {
  struct call* call = of;
  const struct kerasrun_conv* c = call->c;
  long block = piece % call->blocks, bunch = piece / call->blocks % call->bunches;
  long band = piece / call->blocks / call->bunches % call->bands, picture = piece / call->blocks / call->bunches / call->bands;
  long from = call->out_h * band / call->bands, to = call->out_h * (band + 1) / call->bands;
  long group = c->groups * bunch / call->bunches, groups = c->groups * (bunch + 1) / call->bunches - group;
  long height = (to - from - 1) * c->stride_h + c->kernel_h, width = (call->out_w - 1) * c->stride_w + c->kernel_w, size = height * width * c->in;
  float* slab = scratch(call, groups * size);
  if (!slab) return;
  // Columns of the slab that the picture has.
  long left = c->left < width ? c->left : width, right = call->w + c->left < width ? call->w + c->left : width;
  for (long i = 0; i < height; i++) {
    long row = from * c->stride_h + i - c->top, channels = c->in * c->groups;
    float* line = slab + i * width * c->in;
    int outside = row < 0 || row >= call->h;
    for (long g = 0; g < groups; g++) {
      memset(line + g * size, 0, (outside ? width : left) * c->in * sizeof(float));
      if (!outside) memset(line + g * size + right * c->in, 0, (width - right) * c->in * sizeof(float));
    }
    if (outside) continue;
    const float* x = call->x + (picture * call->h + row) * call->w * channels + group * c->in;
    if (groups == c->groups && groups == 1) {
      memcpy(line + left * c->in, x, (right - left) * c->in * sizeof(float));
    } else if (c->in == 8) {  // a length that the compiler knows
      for (long j = left; j < right; j++)
        for (long g = 0; g < groups; g++) memcpy(line + g * size + j * 8, x + (j - c->left) * channels + g * 8, 8 * sizeof(float));
    } else {
      for (long j = left; j < right; j++)
        for (long g = 0; g < groups; g++) memcpy(line + g * size + j * c->in, x + (j - c->left) * channels + g * c->in, c->in * sizeof(float));
    }
  }
  long columns = c->out / c->groups, last = block_end(call, block);
  for (long g = 0; g < groups; g++)
    for (long panel = block * call->block; panel < last; panel++) {
      int width_of = panel_columns(c, panel);
      long tiles = tiles_of(call->out_w, width_of), column = (group + g) * columns + panel * COLUMNS;
      const float* kernel = call->packed + column * depth(c);
      for (long row = from; row < to; row++) {
        struct out o = out_of(call, (picture * call->out_h + row) * call->out_w, column);
        const float* x = slab + g * size + (row - from) * c->stride_h * width * c->in;
        for (long tile = 0; tile < tiles; tile++) {
          long first = call->out_w * tile / tiles, rows = call->out_w * (tile + 1) / tiles - first;
          sliders[width_of == COLUMNS][rows](x + first * c->stride_w * c->in, c->stride_w * c->in, c->kernel_h, width * c->in, c->kernel_w * c->in, kernel,
                                             below(o, first));
        }
      }
    }
}

static long at_least_one(long n) { return n > 1 ? n : 1; }

int kerasrun_conv_run(const struct kerasrun_conv* c, const float* packed, const float* bias, const float* add, const float* x, long n, long h, long w, float* y) {
  struct call call = {.c = c, .packed = packed, .bias = bias, .add = add, .x = x, .y = y, .n = n, .h = h, .w = w};
  call.out_h = kerasrun_conv_out_h(c, h);
  call.out_w = kerasrun_conv_out_w(c, w);
  long pictures = 1, most;
  call.bunches = 1;
  if (pointwise(c)) {
    most = n * call.out_h * call.out_w / ROWS;
    call.bands = (n * call.out_h * call.out_w + BLOCK_ROWS - 1) / BLOCK_ROWS;
  } else {
    call.bunches = (c->groups * c->in + BUNCH - 1) / BUNCH;
    if (call.bunches > c->groups) call.bunches = c->groups;
    pictures = n;
    most = call.out_h;
    // A slab that the first cache holds, or the second where the kernel does not fit the first in any case.
    long most_of = depth(c) * (c->out / c->groups) > 16384 ? 49152 : 8192, all = SLABS / ((c->groups + call.bunches - 1) / call.bunches);
    if (all < most_of) most_of = all;
    long room = (most_of / (call.out_w * c->stride_w * c->in) - 2) / c->stride_h;
    call.bands = (call.out_h + at_least_one(room) - 1) / at_least_one(room);
  }
  call.block = BLOCK_COLUMNS / COLUMNS;
  // Threads that share few pieces wait for the last.
  long wanted = 4 * kerasrun_pool_threads();
  for (;;) {
    call.blocks = (panels(c) + call.block - 1) / call.block;
    if (pictures * call.bunches * call.bands * call.blocks >= wanted) break;
    if (call.block > 4)
      call.block /= 2;
    else if (2 * call.bands <= most)
      call.bands *= 2;
    else
      break;
  }
  kerasrun_pool_run(pointwise(c) ? multiply : slide, &call, pictures * call.bunches * call.bands * call.blocks);
  return !atomic_load(&call.failed);
}
