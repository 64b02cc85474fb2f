// The inner loops: tiles of sums that stay in the registers.

#include <immintrin.h>
#include <stddef.h>

#define AVX2 __attribute__((target("avx2,fma")))
#define TILE static inline __attribute__((always_inline, target("avx2,fma")))

// Columns of a tile are two vectors: with six rows that is twelve sums, two vectors of the kernel and one number of the picture, in sixteen registers.
#define COLUMNS 16
#define ROWS 6
// Where a group has but one vector of columns, twelve rows make as many sums.
#define NARROW_COLUMNS 8
#define NARROW_ROWS 12
// Numbers of a row that lie together in a piece of a matrix.
#define CHUNK 8

enum { FIRST = 1, LAST = 2 };  // parts of a sum

// out is where a tile's sums go.
struct out {
  float* y;
  long step;  // from row to row
  const float* bias;
  const float* add;
  int relu;
};

// tile adds products of rows of x and columns of the kernel to rows x 8 * vectors sums. A row is `segments` pieces, `jump` apart, of `chunks` times
// `unroll` numbers, `advance` apart; rows begin `step` apart. The kernel has for each number of a row its columns, one after the other. What the compiler
// knows of this needs no instructions: where the core's other thread is somebody else's, it is their number that takes the time.
TILE void tile(int rows, int vectors, int unroll, const float* x, long step, long segments, long jump, long chunks, long advance, const float* kernel,
               struct out o, int part) {
  __m256 sum[NARROW_ROWS][2];
#pragma GCC unroll 12
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
      if (part & FIRST) {
        sum[i][v] = _mm256_loadu_ps(o.bias + 8 * v);
        if (o.add) sum[i][v] = _mm256_add_ps(sum[i][v], _mm256_loadu_ps(o.add + i * o.step + 8 * v));
      } else {
        sum[i][v] = _mm256_loadu_ps(o.y + i * o.step + 8 * v);
      }
    }
  // The next tile is that of the rows below.
#pragma GCC unroll 12
  for (int i = 0; i < rows; i++) {
    __builtin_prefetch(o.y + (rows + i) * o.step, 1);
    if (part & FIRST && o.add) __builtin_prefetch(o.add + (rows + i) * o.step);
  }
  for (; segments > 0; segments--, x += jump) {
    const float* at = x;
    for (long c = 0; c < chunks; c++, at += advance, kernel += unroll * 8 * vectors)
#pragma GCC unroll 8
      for (int k = 0; k < unroll; k++) {
        __m256 w[2];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) w[v] = _mm256_loadu_ps(kernel + (k * vectors + v) * 8);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
          __m256 number = _mm256_broadcast_ss(at + i * step + k);
#pragma GCC unroll 2
          for (int v = 0; v < vectors; v++) sum[i][v] = _mm256_fmadd_ps(number, w[v], sum[i][v]);
        }
      }
  }
#pragma GCC unroll 12
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
      if (part & LAST && o.relu) sum[i][v] = _mm256_max_ps(_mm256_setzero_ps(), sum[i][v]);  // of NaN: NaN
      _mm256_storeu_ps(o.y + i * o.step + 8 * v, sum[i][v]);
    }
}

// A tile of a product of matrices, whose rows gather has cut into chunks, and one of a picture, whose rows overlap.
typedef void multiplier(const float* x, long chunks, const float* kernel, struct out o, int part);
typedef void slider(const float* x, long step, long segments, long jump, long length, const float* kernel, struct out o);

#define MULTIPLY(vectors, rows)                                                                                                  \
  AVX2 static void multiply_##vectors##_##rows(const float* x, long chunks, const float* kernel, struct out o, int part) {       \
    tile(rows, vectors, CHUNK, x, CHUNK, 1, 0, chunks, rows * CHUNK, kernel, o, part);                                            \
  }
#define SLIDE(vectors, rows)                                                                                                     \
  AVX2 static void slide_##vectors##_##rows(const float* x, long step, long segments, long jump, long length, const float* kernel, struct out o) { \
    if (length % 8 == 0 && step == 8)                                                                                            \
      tile(rows, vectors, 8, x, 8, segments, jump, length / 8, 8, kernel, o, FIRST | LAST);                                      \
    else if (length % 8 == 0 && step == 16)                                                                                      \
      tile(rows, vectors, 8, x, 16, segments, jump, length / 8, 8, kernel, o, FIRST | LAST);                                     \
    else if (length % 8 == 0 && step == 32)                                                                                      \
      tile(rows, vectors, 8, x, 32, segments, jump, length / 8, 8, kernel, o, FIRST | LAST);                                     \
    else if (length % 8 == 0 && step == 64)                                                                                      \
      tile(rows, vectors, 8, x, 64, segments, jump, length / 8, 8, kernel, o, FIRST | LAST);                                     \
    else if (length % 3 == 0 && step == 6)                                                                                       \
      tile(rows, vectors, 3, x, 6, segments, jump, length / 3, 3, kernel, o, FIRST | LAST);                                      \
    else                                                                                                                         \
      tile(rows, vectors, 1, x, step, segments, jump, length, 1, kernel, o, FIRST | LAST);                                       \
  }
#define EACH_WIDE(f) f(2, 1) f(2, 2) f(2, 3) f(2, 4) f(2, 5) f(2, 6)
#define EACH_NARROW(f) f(1, 1) f(1, 2) f(1, 3) f(1, 4) f(1, 5) f(1, 6) f(1, 7) f(1, 8) f(1, 9) f(1, 10) f(1, 11) f(1, 12)
EACH_WIDE(MULTIPLY) EACH_NARROW(MULTIPLY) EACH_WIDE(SLIDE) EACH_NARROW(SLIDE)

#define NAME_MULTIPLY(vectors, rows) multiply_##vectors##_##rows,
#define NAME_SLIDE(vectors, rows) slide_##vectors##_##rows,
static multiplier* const multipliers[2][NARROW_ROWS + 1] = {{NULL, EACH_NARROW(NAME_MULTIPLY)}, {NULL, EACH_WIDE(NAME_MULTIPLY)}};
static slider* const sliders[2][NARROW_ROWS + 1] = {{NULL, EACH_NARROW(NAME_SLIDE)}, {NULL, EACH_WIDE(NAME_SLIDE)}};
