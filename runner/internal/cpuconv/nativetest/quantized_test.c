// Regions of convolutions of bytes against their definition, to the bit; and regions whose
// descriptions are damaged, which are refused or computed without touching other memory. Every
// input and output is its own allocation of exactly its size, so that AddressSanitizer sees each
// access beside it.
//
//   quantized_test avx2|avx512 CASES [SEED]
//   quantized_test avx2|avx512 short-x|short-filter|short-bias|short-y
//
// The second is a control: one buffer has a float too few, and the sanitizer ends the program.

#include "program.h"

// image is a value by its definition: floats, and the bytes where a QUANTIZE has made them.
struct image {
  int64_t h, w, c;
  float* data;
  uint8_t* bytes;
  int value;  // of the region: of an input, or FIRST_STEP and the step's number
};

// draw_quantization draws a range as the exporter's are, and of which one may not reach below 0.
static struct kerasrun_quantization draw_quantization(void) {
  float low = draw(0, 1) ? 0 : -3 * (random_float(&seed) + 1), high = 4 + 3 * random_float(&seed);
  float scale = (high - low) / 255;
  struct kerasrun_quantization q = {.inverse = 255 / (high - low), .zero = lroundf(-low / scale)};
  q.min = -(float)q.zero * scale;
  q.max = (float)(255 - q.zero) * scale;
  return q;
}

// quantize adds a step that makes bytes of an image, unless it has some. Each operation of the
// definition is rounded.
static struct image quantize(struct program* p, const struct image* x, int64_t padding,
                             const struct kerasrun_quantization* q) {
  struct image y = {x->h, x->w, x->c, NULL, allocate(p->n * x->h * x->w * x->c, 1), 0};
  for (int64_t i = 0; i < p->n * x->h * x->w * x->c; i++) {
    volatile float t = fmaxf(q->min, fminf(q->max, x->data[i]));
    t = t - q->min;
    t = t * q->inverse;
    t = t - (float)q->zero;
    t = t + 0.5f;
    y.bytes[i] = (int)floorf(t) + q->zero;
  }
  struct kerasrun_conv2d none = {0};
  struct kerasrun_layout bytes = {KERASRUN_BYTES, padding};
  y.value = begin_step(p, &none, KERASRUN_QUANTIZE, 4, bytes);
  int32_t* window = p->step[p->steps - 1] + 6;  // has the quantization in its place
  memcpy(window, q, 3 * sizeof(float));
  window[3] = q->zero;
  operand(p, x->value);
  return y;
}

// draw_filter draws a convolution of an image: of all groups, of one for each channel, or 1x1.
static struct kerasrun_conv2d draw_filter(const struct image* x, const struct image* added) {
  struct kerasrun_conv2d c = {.groups = 1, .stride_h = 1, .stride_w = 1, .kh = 1, .kw = 1};
  c.act = draw(KERASRUN_LINEAR, KERASRUN_RELU6);
  do {
    if (!added && draw(0, 2) > 0) {
      c.kh = draw(1, 5), c.kw = draw(1, 5);
      c.stride_h = draw(1, 3), c.stride_w = draw(1, 3);
      c.pad_top = draw(0, 2), c.pad_bottom = draw(0, 2);
      c.pad_left = draw(0, 2), c.pad_right = draw(0, 2);
    }
  } while (kerasrun_conv2d_out_h(&c, x->h) < 1 || kerasrun_conv2d_out_w(&c, x->w) < 1);
  do c.groups = added ? 1 : draw(1, x->c);
  while (x->c % c.groups);
  if (!added && draw(0, 3) == 0) c.groups = x->c;
  c.ic = x->c / c.groups;
  c.oc = added ? added->c : c.groups * draw(1, c.groups > 8 ? 1 + draw(0, 1) : 70 / c.groups);
  return c;
}

// conv adds bytes of an image and a convolution of them.
static struct image conv(struct program* p, const struct image* from, const struct image* added,
                         const char* control) {
  struct kerasrun_quantization q = draw_quantization();
  struct kerasrun_conv2d c = draw_filter(from, added);
  int64_t pad = max(max(c.pad_top, c.pad_bottom), max(c.pad_left, c.pad_right));
  struct image x = quantize(p, from, pad + draw(0, 1), &q);
  struct image y = {.h = kerasrun_conv2d_out_h(&c, x.h), .w = kerasrun_conv2d_out_w(&c, x.w)};
  y.c = c.oc;
  int64_t size = c.kh * c.kw * c.ic * c.oc, packed_size = qisa->packed_size(&c);
  int8_t* filter = allocate(size, 1);
  for (int64_t i = 0; i < size; i++) filter[i] = draw(0, 9) ? draw(-127, 127) : 127;
  float *multiplier = floats(c.oc, 0.02f / (c.kh * c.kw * c.ic)), *bias = floats(c.oc, 1);
  float* packed = allocate(packed_size, sizeof *packed);
  qisa->pack(&c, filter, multiplier, q.zero, packed);
  y.data = allocate(p->n * y.h * y.w * y.c, sizeof *y.data);
  for (int64_t i = 0; i < p->n * y.h * y.w * c.oc; i++) {
    int64_t o = i % c.oc, ow = i / c.oc % y.w, oh = i / c.oc / y.w % y.h, n = i / c.oc / y.w / y.h;
    int32_t sum = 0;
    for (int64_t kh = 0; kh < c.kh; kh++)
      for (int64_t kw = 0; kw < c.kw; kw++) {
        int64_t row = oh * c.stride_h + kh - c.pad_top, column = ow * c.stride_w + kw - c.pad_left;
        if (row < 0 || row >= x.h || column < 0 || column >= x.w) continue;
        const uint8_t* pixel = x.bytes + ((n * x.h + row) * x.w + column) * x.c;
        for (int64_t k = 0; k < c.ic; k++)
          sum += (pixel[o / (c.oc / c.groups) * c.ic + k] - q.zero) *
                 filter[((kh * c.kw + kw) * c.ic + k) * c.oc + o];
      }
    volatile float t = sum;
    t = t * multiplier[o];
    t = t + bias[o];
    if (added) t = t + added->data[i];
    y.data[i] = act_of(t, c.act);
  }
  if (!strcmp(control, "short-filter")) packed = shrink(packed, packed_size);
  if (!strcmp(control, "short-bias")) bias = shrink(bias, c.oc);
  int filter_at = add_input(p, packed, 1, 1, 1, 1, packed_size);
  int bias_at = add_input(p, bias, 1, 1, 1, 1, c.oc);
  y.value = begin_step(p, &c, KERASRUN_QCONV, 4, (struct kerasrun_layout){KERASRUN_NHWC, 0});
  operand(p, x.value), operand(p, filter_at), operand(p, bias_at);
  if (added) operand(p, added->value);
  free(filter), free(multiplier), free(x.bytes);
  return y;
}

// check computes a region of random convolutions. It returns how many of its damaged copies were
// refused.
static int check(int damaged, const char* control) {
  struct program p = {.n = draw(1, 3)};
  struct image images[MAX_STEPS];
  int64_t h = draw(1, 20), w = draw(1, 40), c = draw(1, 40), size = p.n * h * w * c;
  images[0] = (struct image){h, w, c, floats(size, 4), NULL, 0};
  float* x = allocate(size, sizeof *x);
  memcpy(x, images[0].data, size * sizeof *x);
  if (!strcmp(control, "short-x")) x = shrink(x, size);
  images[0].value = add_input(&p, x, 4, p.n, h, w, c);
  int count = 1;
  for (int64_t left = *control ? 1 : draw(1, 4); left > 0; left--) {
    const struct image* from = &images[draw(0, 2) ? count - 1 : draw(0, count - 1)];
    const struct image* like = NULL;
    for (int i = 0; i < count; i++)
      if (images[i].h == from->h && images[i].w == from->w && draw(0, 1)) like = &images[i];
    images[count] = conv(&p, from, *control ? NULL : like, control);
    count++;
  }
  const struct image* last = &images[count - 1];
  int64_t values = p.n * last->h * last->w * last->c;
  double* want = allocate(values, sizeof *want);
  for (int64_t i = 0; i < values; i++) want[i] = last->data[i];
  assemble(&p, last->value);
  int refused = run_program(&p, want, values, 0, damaged, control);
  free(want);
  for (int i = 0; i < count; i++) free(images[i].data);
  return refused;
}

int main(int argc, char** argv) {
  CHECK(argc >= 3, "expected avx2|avx512 CASES|short-... [SEED], got %d arguments", argc - 1);
  int wide = !strcmp(argv[1], "avx512");
  isa = wide ? &kerasrun_conv2d_avx512 : &kerasrun_conv2d_avx2;
  qisa = wide ? &kerasrun_qconv2d_avx512vnni : &kerasrun_qconv2d_avx2;
  return run_cases(argc, argv, "regions of bytes", check);
}
