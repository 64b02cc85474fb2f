// Regions of random steps against their definition in double, in random layouts; and regions whose
// descriptions are damaged, which are refused or computed without touching other memory. Every
// input and output is its own allocation of exactly its size, so that AddressSanitizer sees each
// access beside it.
//
//   region_test avx2|avx512 CASES [SEED]
//   region_test avx2|avx512 short-x|short-filter|short-bias|short-y
//
// The second is a control: one buffer has a float too few, and the sanitizer ends the program.

#include "program.h"

// An image that the test computes in double beside the region.
struct image {
  int64_t h, w, c;
  double* data;
  int value;  // of the region: of an input, or FIRST_STEP and the step's number
  struct kerasrun_layout layout;
};

static struct kerasrun_layout any_layout(int64_t c) {
  int kind = c % 8 == 0 ? draw(KERASRUN_NHWC, KERASRUN_NCHW8C) : KERASRUN_NHWC;
  return (struct kerasrun_layout){kind, kind == KERASRUN_NCHW8C ? draw(0, 3) : 0};
}

static struct image new_image(const struct program* p, int64_t h, int64_t w, int64_t c,
                              struct kerasrun_layout l) {
  struct image y = {h, w, c, calloc(p->n * h * w * c, sizeof(double)), 0, l};
  CHECK(y.data, "out of memory");
  return y;
}

static const struct kerasrun_conv2d nothing = {.stride_h = 1, .stride_w = 1, .groups = 1};

// scale adds a step that concatenates images, some of which may be NULL.
static struct image scale(struct program* p, const struct image* a, const struct image* b,
                          const struct image* factor, const struct image* added, int constants,
                          int act, struct kerasrun_layout l) {
  int64_t c = a->c + (b ? b->c : 0);
  struct image y = new_image(p, a->h, a->w, c, l);
  struct kerasrun_conv2d conv = nothing;
  conv.act = act;
  float* scales = constants & 1 ? floats(c, 1) : NULL;
  float* shifts = constants & 2 ? floats(c, 1) : NULL;
  y.value = begin_step(p, &conv, KERASRUN_SCALE, 4, y.layout);
  if (factor)
    operand(p, factor->value);
  else
    operand(p, scales ? add_input(p, scales, 1, 1, 1, 1, c) : -1);
  operand(p, shifts ? add_input(p, shifts, 1, 1, 1, 1, c) : -1);
  operand(p, added ? added->value : -1);
  operand(p, a->value);
  if (b) operand(p, b->value);
  for (int64_t i = 0; i < p->n * y.h * y.w * c; i++) {
    int64_t k = i % c, pixel = i / c;
    double x = k < a->c ? a->data[pixel * a->c + k] : b->data[pixel * b->c + k - a->c];
    if (factor)
      x *= factor->data[pixel / (y.h * y.w) * c + k];
    else if (scales)
      x *= scales[k];
    if (shifts) x += shifts[k];
    if (added) x += added->data[i];
    y.data[i] = act_of(x, act);
  }
  return y;
}

// with_layout returns an image in a layout: itself, or a copy.
static struct image with_layout(struct program* p, const struct image* x,
                                struct kerasrun_layout l) {
  return scale(p, x, NULL, NULL, NULL, 0, KERASRUN_LINEAR, l);
}

static void draw_window(struct kerasrun_conv2d* c, const struct image* x, int smaller_padding) {
  do {
    c->kh = draw(1, 5);
    c->kw = draw(0, 1) ? 3 : draw(1, 5);
    c->stride_h = draw(1, 3);
    c->stride_w = draw(1, 3);
    int64_t h = smaller_padding ? c->kh - 1 : 2, w = smaller_padding ? c->kw - 1 : 2;
    c->pad_top = draw(0, min(h, 2));
    c->pad_bottom = draw(0, min(h, 2));
    c->pad_left = draw(0, min(w, 2));
    c->pad_right = draw(0, min(w, 2));
  } while (kerasrun_conv2d_out_h(c, x->h) < 1 || kerasrun_conv2d_out_w(c, x->w) < 1);
}

// EXPAND is a 1x1 convolution that a depthwise one can read where it lies.
enum { CONV, DEPTHWISE, EXPAND };

// conv adds a convolution of a kind.
static struct image conv(struct program* p, const struct image* from, int kind,
                         const struct image* added, const char* control) {
  struct kerasrun_conv2d c = nothing;
  struct image x = *from;
  int depthwise = kind == DEPTHWISE;
  c.act = draw(0, KERASRUN_ACTS - 1);
  draw_window(&c, &x, 0);
  if (depthwise) {
    c.ic = 1;
    c.oc = c.groups = x.c;
  } else {
    if (added || kind == EXPAND || draw(0, 1))
      c.kh = c.kw = 1, c.pad_top = c.pad_bottom = c.pad_left = c.pad_right = 0;
    if (added || kind == EXPAND) c.stride_h = c.stride_w = 1;
    c.groups = kind == CONV && !added && draw(0, 3) == 0 ? 2 : 1;
    if (x.c % c.groups) c.groups = 1;
    c.ic = x.c / c.groups;
    c.oc = added ? added->c : 8 * c.groups * draw(1, kind == EXPAND ? 9 : 3);
  }
  int64_t pad = max(max(c.pad_top, c.pad_bottom), max(c.pad_left, c.pad_right));
  c.x = x.layout;
  if (depthwise ? !kerasrun_depthwise_valid(&c) : !kerasrun_conv2d_valid(&c)) {
    x = with_layout(p, from, (struct kerasrun_layout){KERASRUN_NCHW8C, pad + draw(0, 1)});
    c.x = x.layout;
    if (!depthwise && !kerasrun_conv2d_valid(&c)) {
      free(x.data);
      x = with_layout(p, from, (struct kerasrun_layout){KERASRUN_NHWC, 0});
      c.x = x.layout;
    }
  }
  struct image y = new_image(p, kerasrun_conv2d_out_h(&c, x.h), kerasrun_conv2d_out_w(&c, x.w),
                             c.oc, added && draw(0, 1) ? added->layout : any_layout(c.oc));
  if (kind == EXPAND) y.layout = (struct kerasrun_layout){KERASRUN_NCHW8C, draw(2, 3)};
  int64_t size = c.kh * c.kw * c.ic * c.oc;
  float *filter = floats(size, 1 / sqrtf(c.kh * c.kw * c.ic)), *bias = floats(c.oc, 1);
  float* given = filter;
  int64_t given_size = size;
  if (!depthwise) {
    given_size = isa->packed_size(&c);
    given = malloc(given_size * sizeof(float));
    CHECK(given, "out of memory");
    isa->pack(&c, filter, given);
  }
  for (int64_t i = 0; i < p->n * y.h * y.w * c.oc; i++) {
    int64_t o = i % c.oc, ow = i / c.oc % y.w, oh = i / c.oc / y.w % y.h, n = i / c.oc / y.w / y.h;
    double sum = bias[o] + (added ? added->data[i] : 0);
    for (int64_t kh = 0; kh < c.kh; kh++)
      for (int64_t kw = 0; kw < c.kw; kw++) {
        int64_t row = oh * c.stride_h + kh - c.pad_top, column = ow * c.stride_w + kw - c.pad_left;
        if (row < 0 || row >= x.h || column < 0 || column >= x.w) continue;
        const double* pixel = x.data + ((n * x.h + row) * x.w + column) * x.c;
        for (int64_t k = 0; k < c.ic; k++)
          sum += pixel[o / (c.oc / c.groups) * c.ic + k] *
                 filter[((kh * c.kw + kw) * c.ic + k) * c.oc + o];
      }
    y.data[i] = act_of(sum, c.act);
  }
  if (!depthwise) free(filter);
  if (!strcmp(control, "short-filter")) given = shrink(given, given_size);
  if (!strcmp(control, "short-bias")) bias = shrink(bias, c.oc);
  int filter_at = add_input(p, given, 1, 1, 1, 1, given_size);
  int bias_at = add_input(p, bias, 1, 1, 1, 1, c.oc);
  y.value = begin_step(p, &c, depthwise ? KERASRUN_DEPTHWISE : KERASRUN_CONV, 4, y.layout);
  operand(p, x.value), operand(p, filter_at), operand(p, bias_at);
  if (added) operand(p, added->value);
  if (x.data != from->data) free(x.data);
  return y;
}

// expand adds two convolutions that are computed together.
static struct image expand(struct program* p, const struct image* from) {
  struct image x = with_layout(p, from, (struct kerasrun_layout){KERASRUN_TILED, 0});
  struct image between = conv(p, &x, EXPAND, NULL, "");
  struct image y = conv(p, &between, DEPTHWISE, NULL, "");
  free(x.data), free(between.data);
  return y;
}

static struct image pool(struct program* p, const struct image* from, int mean) {
  struct kerasrun_conv2d c = nothing;
  draw_window(&c, from, 1);
  struct image x = *from;
  if (x.layout.kind == KERASRUN_TILED)
    x = with_layout(p, from, (struct kerasrun_layout){KERASRUN_NCHW8C, draw(0, 2)});
  struct image y = new_image(p, kerasrun_conv2d_out_h(&c, x.h), kerasrun_conv2d_out_w(&c, x.w), x.c,
                             any_layout(x.c));
  for (int64_t i = 0; i < p->n * y.h * y.w * x.c; i++) {
    int64_t o = i % x.c, ow = i / x.c % y.w, oh = i / x.c / y.w % y.h, n = i / x.c / y.w / y.h;
    double sum = 0, largest = -INFINITY, count = 0;
    for (int64_t kh = 0; kh < c.kh; kh++)
      for (int64_t kw = 0; kw < c.kw; kw++) {
        int64_t row = oh * c.stride_h + kh - c.pad_top, column = ow * c.stride_w + kw - c.pad_left;
        if (row < 0 || row >= x.h || column < 0 || column >= x.w) continue;
        double value = x.data[((n * x.h + row) * x.w + column) * x.c + o];
        sum += value, count++, largest = fmax(largest, value);
      }
    y.data[i] = mean ? sum / count : largest;
  }
  y.value = begin_step(p, &c, mean ? KERASRUN_AVG_POOL : KERASRUN_MAX_POOL, 4, y.layout);
  operand(p, x.value);
  if (x.data != from->data) free(x.data);
  return y;
}

static struct image mean(struct program* p, const struct image* x) {
  struct image y = new_image(p, 1, 1, x->c, (struct kerasrun_layout){KERASRUN_NHWC, 0});
  for (int64_t i = 0; i < p->n * x->c; i++) {
    for (int64_t j = 0; j < x->h * x->w; j++)
      y.data[i] += x->data[(i / x->c * x->h * x->w + j) * x->c + i % x->c];
    y.data[i] /= x->h * x->w;
  }
  y.value = begin_step(p, &nothing, KERASRUN_MEAN, draw(0, 1) ? 2 : 4, y.layout);
  operand(p, x->value);
  return y;
}

static struct image dense(struct program* p, const struct image* x, int64_t oc, int act) {
  struct image y = new_image(p, 1, 1, oc, (struct kerasrun_layout){KERASRUN_NHWC, 0});
  struct kerasrun_conv2d c = nothing;
  c.ic = x->c, c.oc = oc, c.act = act;
  float *filter = floats(x->c * oc, 1 / sqrtf(x->c)), *bias = floats(oc, 1);
  for (int64_t i = 0; i < p->n * oc; i++) {
    double sum = bias[i % oc];
    for (int64_t k = 0; k < x->c; k++) sum += x->data[i / oc * x->c + k] * filter[k * oc + i % oc];
    y.data[i] = act_of(sum, act);
  }
  int filter_at = add_input(p, filter, 2, x->c, 1, 1, oc);
  int bias_at = add_input(p, bias, 1, 1, 1, 1, oc);
  y.value = begin_step(p, &c, KERASRUN_DENSE, draw(0, 1) ? 2 : 4, y.layout);
  operand(p, x->value), operand(p, filter_at), operand(p, bias_at);
  return y;
}

// excite multiplies each channel by what is computed of the channels' means.
static struct image excite(struct program* p, const struct image* x) {
  struct image m = mean(p, x), reduced = dense(p, &m, draw(1, 40), draw(0, KERASRUN_ACTS - 1));
  struct image factor = dense(p, &reduced, x->c, KERASRUN_SIGMOID);
  struct kerasrun_layout l = draw(0, 1) ? x->layout : any_layout(x->c);
  struct image y = scale(p, x, NULL, &factor, NULL, 0, KERASRUN_LINEAR, l);
  free(m.data), free(reduced.data), free(factor.data);
  return y;
}

// check computes a region of random steps. It returns how many of its damaged copies were refused.
static int check(int damaged, const char* control) {
  struct program p = {.n = draw(1, 3)};
  int odd = !*control && draw(0, 2) == 0;
  int64_t c = odd ? draw(1, 7) : 8 * draw(1, 4), h = draw(1, 20), w = draw(1, 40);
  struct image images[MAX_STEPS];
  int count = 0, control_run = *control;
  images[0] =
      (struct image){h, w, c, malloc(p.n * h * w * c * sizeof(double)), 0, {KERASRUN_NHWC, 0}};
  float* x = floats(p.n * h * w * c, 1);
  for (int64_t i = 0; i < p.n * h * w * c; i++) images[0].data[i] = x[i];
  if (!strcmp(control, "short-x")) x = shrink(x, p.n * h * w * c);
  images[count++].value = add_input(&p, x, 4, p.n, h, w, c);
  int first = 0;  // of the images that the steps below may read
  if (odd) {
    struct kerasrun_layout nhwc = {KERASRUN_NHWC, 0};
    images[1] =
        scale(&p, &images[0], NULL, NULL, NULL, draw(1, 3), draw(0, KERASRUN_ACTS - 1), nhwc);
    images[2] = conv(&p, &images[1], CONV, NULL, "");
    count = 3, first = 2;
  }
  for (int64_t left = control_run ? 1 : draw(1, 6); left > 0; left--) {
    const struct image* from = &images[draw(0, 2) ? count - 1 : draw(first, count - 1)];
    const struct image* like = NULL;
    for (int i = first; i < count; i++)
      if (images[i].h == from->h && images[i].w == from->w && draw(0, 1)) like = &images[i];
    int act = draw(0, KERASRUN_ACTS - 1);
    struct image y;
    switch (control_run ? 0 : draw(0, 9)) {
      case 0:
        y = conv(&p, from, DEPTHWISE, NULL, control);
        break;
      case 1:
      case 2:
        y = conv(&p, from, CONV, like, control);
        break;
      case 8:
      case 9:
        y = expand(&p, from);
        break;
      case 3:
        y = pool(&p, from, draw(0, 1));
        break;
      case 4:
        y = excite(&p, from);
        break;
      case 5:
        y = scale(&p, from, like, NULL, NULL, draw(0, 3), act, any_layout(8));
        break;
      case 6:
        like = like && like->c == from->c ? like : from;
        y = scale(&p, from, NULL, NULL, like, draw(0, 3), act,
                  draw(0, 1) ? from->layout : any_layout(8));
        break;
      default:
        y = scale(&p, from, NULL, NULL, NULL, draw(0, 3), act,
                  draw(0, 1) ? from->layout : any_layout(8));
    }
    images[count++] = y;
  }
  struct image last = images[count - 1];
  if (!control_run && draw(0, 3) == 0) {
    struct image m = mean(&p, &last);
    images[count++] = m;
    images[count++] = last = dense(&p, &m, draw(1, 100), draw(0, KERASRUN_ACTS - 1));
  } else if (last.layout.kind != KERASRUN_NHWC) {
    images[count++] = last = with_layout(&p, &last, (struct kerasrun_layout){KERASRUN_NHWC, 0});
  }
  assemble(&p, last.value);
  int refused = run_program(&p, last.data, p.n * last.h * last.w * last.c, 2e-5, damaged, control);
  for (int i = 0; i < count; i++) free(images[i].data);
  return refused;
}

int main(int argc, char** argv) {
  CHECK(argc >= 3, "expected avx2|avx512 CASES|short-... [SEED], got %d arguments", argc - 1);
  isa = strcmp(argv[1], "avx512") ? &kerasrun_conv2d_avx2 : &kerasrun_conv2d_avx512;
  qisa = &kerasrun_qconv2d_avx2;
  return run_cases(argc, argv, "regions", check);
}
