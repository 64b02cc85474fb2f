// Convolutions and max pools of random shapes, in random layouts, against their definition in
// double. Every buffer is its own allocation of exactly its size, so that AddressSanitizer sees
// each access beside it.
//
//   conv2d_test avx2|avx512 CASES [SEED]
//   conv2d_test avx2|avx512 short-x|short-filter|short-packed|short-bias|short-y
//
// The second is a control: one buffer has a float too few, and the sanitizer ends the program.

#include <math.h>
#include <string.h>

#include "../conv2d.h"
#include "../isa.h"
#include "../max_pool.h"
#include "../threadpool.h"
#include "test.h"

static const struct kerasrun_layout nhwc = {KERASRUN_NHWC, 0};

struct problem {
  struct kerasrun_conv2d c;
  int64_t n, h, w, out_h, out_w;
  int add, in_place;  // in_place: what is added is where the output goes
};

// round_bf16 rounds as the operations do.
static float round_bf16(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits = (bits + ((bits >> 16 & 1) + 0x7fff)) & 0xffff0000;
  memcpy(&x, &bits, sizeof bits);
  return x;
}

static float* random_floats(int64_t n, int bf16, uint64_t* random) {
  float* x = malloc(n * sizeof(float));
  CHECK(x, "out of memory");
  for (int64_t i = 0; i < n; i++)
    x[i] = bf16 ? round_bf16(random_float(random)) : random_float(random);
  return x;
}

// offset_of returns where x[n][row][column][channel] is in a layout.
static int64_t offset_of(const struct kerasrun_view* v, const float* base, int64_t n, int64_t row,
                         int64_t column, int64_t channel) {
  int64_t pixel;
  kerasrun_pixel_offsets(v, (n * v->h + row) * v->w + column, 1, &pixel);
  int64_t in_pixel = channel;
  if (v->layout.kind != KERASRUN_NHWC) in_pixel = channel / 8 * v->c8_stride + channel % 8;
  return v->data - base + pixel + in_pixel;
}

// lay_out returns NHWC images in another layout, whose padding is zeros.
static float* lay_out(const float* images, struct kerasrun_layout l, int64_t n, int64_t h,
                      int64_t w, int64_t c) {
  int64_t size = kerasrun_layout_size(l, n, h, w, c);
  float* x = malloc(size * sizeof(float));
  CHECK(x, "out of memory");
  for (int64_t i = 0; i < size; i++) x[i] = NAN;  // the gaps: nothing may read them
  struct kerasrun_view v = kerasrun_view(l, x, h, w, c);
  kerasrun_zero_padding(&v, n, c);
  for (int64_t i = 0; i < n * h * w * c; i++)
    x[offset_of(&v, x, i / c / w / h, i / c / w % h, i / c % w, i % c)] = images[i];
  return x;
}

static struct kerasrun_layout random_layout(int64_t channels, uint64_t* random) {
  int kind = channels % 8 == 0 ? random_int(random, KERASRUN_NHWC, KERASRUN_NCHW8C) : KERASRUN_NHWC;
  return (struct kerasrun_layout){kind, kind == KERASRUN_NCHW8C ? random_int(random, 0, 4) : 0};
}

static void draw(struct problem* p, uint64_t* random) {
  struct kerasrun_conv2d* c = &p->c;
  do {
    int is_1x1 = random_int(random, 0, 2) == 0;
    *c = (struct kerasrun_conv2d){.kh = is_1x1 ? 1 : random_int(random, 1, 5),
                                  .kw = is_1x1 ? 1 : random_int(random, 1, 5),
                                  .ic = random_int(random, 1, 20),
                                  .groups = is_1x1 ? 1 : random_int(random, 1, 4),
                                  .stride_h = random_int(random, 1, 3),
                                  .stride_w = random_int(random, 1, 3),
                                  .act = random_int(random, 0, KERASRUN_ACTS - 1),
                                  .bf16 = random_int(random, 0, 3) == 0};
    if (random_int(random, 0, 1)) c->kw = is_1x1 ? 1 : 3;
    if (random_int(random, 0, 1)) c->ic = 8 * random_int(random, 1, is_1x1 ? 80 : 4);
    c->oc = 8 * c->groups * random_int(random, 1, 9);
    if (!is_1x1) {
      c->pad_top = random_int(random, 0, 3);
      c->pad_bottom = random_int(random, 0, 3);
      c->pad_left = random_int(random, 0, 3);
      c->pad_right = random_int(random, 0, 3);
    }
    p->n = random_int(random, 1, 3);
    p->h = random_int(random, 1, 17);
    p->w = random_int(random, 1, 40);
    p->out_h = kerasrun_conv2d_out_h(c, p->h);
    p->out_w = kerasrun_conv2d_out_w(c, p->w);
    c->x = random_layout(c->ic % 8 == 0 ? 8 : 1, random);
    c->y = random_layout(c->oc, random);
    c->add = random_layout(c->oc, random);
    p->add = random_int(random, 0, 1);
    p->in_place = p->add && random_int(random, 0, 1);
    if (p->in_place) c->add = c->y;
  } while (p->out_h < 1 || p->out_w < 1 || !kerasrun_conv2d_valid(c) ||
           c->kh * c->kw * c->ic * c->oc * p->n * p->out_h * p->out_w > 4000000);
}

// reference returns y[n][oh][ow][o] before its rounding to bfloat16; size is the sum of the terms'
// sizes, to which float32's rounding is in proportion.
static double reference(const struct problem* p, const float* x, const float* filter,
                        const float* bias, const float* add, int64_t i, double* size) {
  const struct kerasrun_conv2d* c = &p->c;
  int64_t o = i % c->oc, ow = i / c->oc % p->out_w, oh = i / c->oc / p->out_w % p->out_h;
  int64_t n = i / c->oc / p->out_w / p->out_h, channels = c->ic * c->groups;
  int64_t group = o / (c->oc / c->groups);
  double sum = (double)bias[o] + (add ? add[i] : 0);
  *size = fabs(sum);
  for (int64_t kh = 0; kh < c->kh; kh++)
    for (int64_t kw = 0; kw < c->kw; kw++) {
      int64_t row = oh * c->stride_h + kh - c->pad_top,
              column = ow * c->stride_w + kw - c->pad_left;
      if (row < 0 || row >= p->h || column < 0 || column >= p->w) continue;
      for (int64_t k = 0; k < c->ic; k++) {
        float a = x[((n * p->h + row) * p->w + column) * channels + group * c->ic + k];
        float b = filter[((kh * c->kw + kw) * c->ic + k) * c->oc + o];
        double product = c->bf16 ? (double)round_bf16(a) * round_bf16(b) : (double)a * b;
        sum += product;
        *size += fabs(product);
      }
    }
  return act_of(sum, c->act);
}

static void describe(const struct problem* p, char* text, size_t length) {
  const struct kerasrun_conv2d* c = &p->c;
  snprintf(text, length,
           "%dx%dx%d filter %dx%dx%dx%d groups %d stride %d,%d padding %d,%d,%d,%d activation %d "
           "bf16 %d "
           "layouts %d/%d %d/%d %d/%d add %d%s",
           (int)p->n, (int)p->h, (int)p->w, (int)c->kh, (int)c->kw, (int)c->ic, (int)c->oc,
           (int)c->groups, (int)c->stride_h, (int)c->stride_w, (int)c->pad_top, (int)c->pad_bottom,
           (int)c->pad_left, (int)c->pad_right, (int)c->act, c->bf16, (int)c->x.kind,
           (int)c->x.padding, (int)c->add.kind, (int)c->add.padding, (int)c->y.kind,
           (int)c->y.padding, p->add, p->in_place ? " in place" : "");
}

static void check_conv2d(const struct kerasrun_conv2d_isa* isa, const struct problem* p,
                         const char* control, uint64_t* random) {
  const struct kerasrun_conv2d* c = &p->c;
  CHECK(kerasrun_conv2d_fits(c, p->n, p->h, p->w), "a convolution that does not fit");
  int64_t channels = c->ic * c->groups, y_floats = p->n * p->out_h * p->out_w * c->oc;
  int64_t filter_size = c->kh * c->kw * c->ic * c->oc, packed_size = isa->packed_size(c);
  float* images = random_floats(p->n * p->h * p->w * channels, c->bf16, random);
  float* filter = random_floats(filter_size, 0, random);
  float* bias = random_floats(c->oc, 0, random);
  float* added = p->add ? random_floats(y_floats, c->bf16, random) : NULL;
  float* packed = malloc(packed_size * sizeof(float));
  float* x = lay_out(images, c->x, p->n, p->h, p->w, channels);
  float* add = added ? lay_out(added, c->add, p->n, p->out_h, p->out_w, c->oc) : NULL;
  int64_t y_size = kerasrun_layout_size(c->y, p->n, p->out_h, p->out_w, c->oc);
  float* y = p->in_place ? add : malloc(y_size * sizeof(float));
  CHECK(packed && y, "out of memory");
  if (!strcmp(control, "short-x")) x = shrink(x, p->n * p->h * p->w * channels);
  if (!strcmp(control, "short-filter")) filter = shrink(filter, filter_size);
  if (!strcmp(control, "short-packed")) packed = shrink(packed, packed_size);
  if (!strcmp(control, "short-bias")) bias = shrink(bias, c->oc);
  if (!strcmp(control, "short-y")) y = shrink(y, y_size);
  isa->pack(c, filter, packed);
  CHECK(isa->run(c, packed, bias, add, x, p->n, p->h, p->w, y), "out of memory");
  struct kerasrun_view v = kerasrun_view(c->y, y, p->out_h, p->out_w, c->oc);
  for (int64_t i = 0; i < y_floats; i++) {
    double size, want = reference(p, images, filter, bias, added, i, &size);
    float got = y[offset_of(&v, y, i / c->oc / p->out_w / p->out_h, i / c->oc / p->out_w % p->out_h,
                            i / c->oc % p->out_w, i % c->oc)];
    double tolerance = 1e-6 * (size + fabs(want)) + (c->bf16 ? fabs(want) / 256 : 0);
    if (fabs(got - want) <= tolerance && (!c->bf16 || got == round_bf16(got))) continue;
    char text[512];
    describe(p, text, sizeof text);
    CHECK(0, "%s: element %d: got %g, want %g", text, (int)i, got, want);
  }
  free(images), free(filter), free(bias), free(added), free(packed), free(x);
  if (!p->in_place) free(add);
  free(y);
}

static void check_max_pool(struct problem p, uint64_t* random) {
  struct kerasrun_conv2d* c = &p.c;
  c->oc = c->ic = 8 * random_int(random, 1, 4);
  c->x = nhwc;
  if (random_int(random, 0, 1))
    c->x = (struct kerasrun_layout){KERASRUN_NCHW8C, random_int(random, 0, 3)};
  if (!kerasrun_pool_valid(c)) return;
  float* images = random_floats(p.n * p.h * p.w * c->oc, 0, random);
  float* x = lay_out(images, c->x, p.n, p.h, p.w, c->oc);
  float* y = malloc(kerasrun_layout_size(c->y, p.n, p.out_h, p.out_w, c->oc) * sizeof(float));
  CHECK(y, "out of memory");
  kerasrun_pool_run(c, 0, x, p.n, p.h, p.w, y);
  struct kerasrun_view v = kerasrun_view(c->y, y, p.out_h, p.out_w, c->oc);
  for (int64_t i = 0; i < p.n * p.out_h * p.out_w * c->oc; i++) {
    int64_t channel = i % c->oc, ow = i / c->oc % p.out_w, oh = i / c->oc / p.out_w % p.out_h;
    int64_t n = i / c->oc / p.out_w / p.out_h;
    float want = -INFINITY;
    for (int64_t kh = 0; kh < c->kh; kh++)
      for (int64_t kw = 0; kw < c->kw; kw++) {
        int64_t row = oh * c->stride_h + kh - c->pad_top,
                column = ow * c->stride_w + kw - c->pad_left;
        if (row < 0 || row >= p.h || column < 0 || column >= p.w) continue;
        want = fmaxf(want, images[((n * p.h + row) * p.w + column) * c->oc + channel]);
      }
    float got = y[offset_of(&v, y, n, oh, ow, channel)];
    CHECK(got == want, "max pool: element %d: got %g, want %g", (int)i, got, want);
  }
  free(images), free(x), free(y);
}

// check_sizes holds that sizes whose product overflows are refused.
static void check_sizes(void) {
  struct kerasrun_conv2d c = {
      .kh = 3, .kw = 3, .ic = 8, .oc = 8, .groups = 1, .stride_h = 1, .stride_w = 1};
  CHECK(kerasrun_conv2d_valid(&c) && kerasrun_conv2d_fits(&c, 1, 8, 8), "a convolution refused");
  CHECK(!kerasrun_conv2d_fits(&c, 1, INT64_MAX, 8), "a height of 2^63 - 1 fits");
  CHECK(!kerasrun_conv2d_fits(&c, INT32_MAX, INT32_MAX, INT32_MAX), "2^93 pixels fit");
  CHECK(!kerasrun_conv2d_fits(&c, -1, 8, 8), "-1 images fit");
  c.pad_top = c.pad_left = INT32_MAX;
  c.stride_h = c.stride_w = INT32_MAX;
  CHECK(kerasrun_conv2d_valid(&c) && !kerasrun_conv2d_fits(&c, 1, 8, 8),
        "2^62 pixels of zeros fit");
  c.kh = c.kw = INT32_MAX;
  CHECK(!kerasrun_conv2d_valid(&c), "a filter of 2^68 floats is valid");
  struct kerasrun_layout l = {KERASRUN_NCHW8C, INT32_MAX};
  CHECK(!kerasrun_layout_fits(l, 1, 8, 8, 8), "2^64 floats of padding fit");
}

int main(int argc, char** argv) {
  CHECK(argc >= 3, "expected avx2|avx512 CASES|short-... [SEED], got %d arguments", argc - 1);
  const struct kerasrun_conv2d_isa* isa =
      strcmp(argv[1], "avx512") ? &kerasrun_conv2d_avx2 : &kerasrun_conv2d_avx512;
  kerasrun_threadpool_start(2);
  uint64_t random = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
  struct problem p = {.n = 1, .h = 5, .w = 5, .out_h = 5, .out_w = 5};
  if (!strncmp(argv[2], "short-", 6)) {
    p.c = (struct kerasrun_conv2d){
        .kh = 1, .kw = 1, .ic = 8, .oc = 16, .groups = 1, .stride_h = 1, .stride_w = 1};
    check_conv2d(isa, &p, argv[2], &random);
    return 0;
  }
  check_sizes();
  int cases = atoi(argv[2]);
  for (int i = 0; i < cases; i++) {
    draw(&p, &random);
    check_conv2d(isa, &p, "", &random);
    check_max_pool(p, &random);
  }
  printf("%s: %d convolutions and max pools\n", argv[1], cases);
  return 0;
}
