// Regions of convolutions of bytes against their definition, to the bit; and regions whose
// descriptions are damaged, which are refused or computed without touching other memory. Every
// input and output is its own allocation of exactly its size, so that AddressSanitizer sees each
// access beside it.
//
//   quantized_test avx2|avx512 CASES [SEED]
//   quantized_test avx2|avx512 short-x|short-filter|short-bias|short-y
//
// The second is a control: one buffer has a float too few, and the sanitizer ends the program.

#include "../region.h"
#include "../threadpool.h"
#include "test.h"

const char* __asan_default_options(void) { return "allocator_may_return_null=1"; }

enum { MAX_STEPS = 16, MAX_INPUTS = 2 * MAX_STEPS + 1, MAX_PLAN = 1000 };

// image is a value by its definition: floats, and the bytes where a QUANTIZE has made them.
struct image {
  int64_t h, w, c;
  float* data;
  uint8_t* bytes;
  int step;  // of the region, -1 for its input
};

struct program {
  int64_t n;
  int inputs, steps;
  struct kerasrun_value input[MAX_INPUTS];
  int32_t step[MAX_STEPS][22];
  int ints[MAX_STEPS];
};

static const struct kerasrun_conv2d_isa* isa;
static const struct kerasrun_qconv2d_isa* qisa;
static uint64_t seed;

static int64_t draw(int64_t low, int64_t high) { return random_int(&seed, low, high); }

static void* allocate(int64_t n, size_t size) {
  void* x = calloc(n, size);
  CHECK(x, "out of memory");
  return x;
}

static float* floats(int64_t n, float scale) {
  float* x = allocate(n, sizeof *x);
  for (int64_t i = 0; i < n; i++) x[i] = scale * random_float(&seed);
  return x;
}

static int add_input(struct program* p, float* data, int rank, int64_t n, int64_t h, int64_t w,
                     int64_t c) {
  p->input[p->inputs] = (struct kerasrun_value){data, rank, n, h, w, c, {KERASRUN_NHWC, 0}};
  return p->inputs++;
}

// operand of a step: a value of an input is below FIRST_STEP.
enum { FIRST_STEP = 1 << 10 };

static void add_step(struct program* p, const int32_t* head, int operands, const int32_t* operand) {
  CHECK(p->steps < MAX_STEPS, "too many steps");
  int32_t* step = p->step[p->steps];
  memcpy(step, head, 17 * sizeof *head);
  step[17] = operands;
  memcpy(step + 18, operand, operands * sizeof *operand);
  p->ints[p->steps++] = 18 + operands;
}

static int value_of(const struct image* x) { return x->step < 0 ? 0 : FIRST_STEP + x->step; }

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
  struct image y = {x->h, x->w, x->c, NULL, allocate(p->n * x->h * x->w * x->c, 1), p->steps};
  for (int64_t i = 0; i < p->n * x->h * x->w * x->c; i++) {
    volatile float t = fmaxf(q->min, fminf(q->max, x->data[i]));
    t = t - q->min;
    t = t * q->inverse;
    t = t - (float)q->zero;
    t = t + 0.5f;
    y.bytes[i] = (int)floorf(t) + q->zero;
  }
  int32_t head[17] = {KERASRUN_QUANTIZE, 0, 0, 4, KERASRUN_BYTES, padding};
  memcpy(head + 6, q, 3 * sizeof(float));
  head[9] = q->zero;
  int32_t operand = value_of(x);
  add_step(p, head, 1, &operand);
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
  y.c = c.oc, y.step = p->steps;
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
  int32_t head[17] = {
      KERASRUN_QCONV, c.act,      0,          4,        KERASRUN_NHWC, 0,          c.kh,
      c.kw,           c.ic,       c.oc,       c.groups, c.stride_h,    c.stride_w, c.pad_top,
      c.pad_bottom,   c.pad_left, c.pad_right};
  int32_t operand[4] = {value_of(&x), add_input(p, packed, 1, 1, 1, 1, packed_size),
                        add_input(p, bias, 1, 1, 1, 1, c.oc), added ? value_of(added) : 0};
  add_step(p, head, added ? 4 : 3, operand);
  free(filter), free(multiplier), free(x.bytes);
  return y;
}

// assemble writes the plan of a program whose output y is, and returns its length.
static int assemble(const struct program* p, const struct image* y, int32_t* plan) {
  int at = 0;
  plan[at++] = p->inputs;
  plan[at++] = 1;
  plan[at++] = p->inputs + y->step;
  for (int i = 0; i < p->steps; i++)
    for (int j = 0; j < p->ints[i]; j++) {
      int32_t value = p->step[i][j];
      plan[at++] = j >= 18 && value >= FIRST_STEP ? value - FIRST_STEP + p->inputs : value;
    }
  CHECK(at <= MAX_PLAN, "too long a plan");
  return at;
}

struct output {
  float* data;
  int64_t floats;
  int short_by_one;
};

static float* output(void* context, int64_t i, const struct kerasrun_value* v) {
  struct output* o = context;
  if (i > 0) return NULL;
  o->floats = v->n * v->h * v->w * v->c;
  free(o->data);
  return o->data = malloc(max(1, (o->floats - o->short_by_one) * (int64_t)sizeof(float)));
}

// mutate damages a plan.
static void mutate(int32_t* plan, int length) {
  for (int64_t i = draw(1, 3); i > 0; i--) {
    const int32_t extremes[] = {INT32_MIN, INT32_MAX, -1, 0, 1, 2, 0x7f800000, 0x7fc00000};
    plan[draw(0, length - 1)] = draw(0, 1) ? extremes[draw(0, 7)] : draw(-2, 70);
  }
}

// check computes a region of random convolutions. It returns how many of its damaged copies were
// refused.
static int check(int damaged, const char* control) {
  struct program p = {.n = draw(1, 3)};
  struct image images[MAX_STEPS];
  int64_t h = draw(1, 20), w = draw(1, 40), c = draw(1, 40), size = p.n * h * w * c;
  images[0] = (struct image){h, w, c, floats(size, 4), NULL, -1};
  float* x = allocate(size, sizeof *x);
  memcpy(x, images[0].data, size * sizeof *x);
  if (!strcmp(control, "short-x")) x = shrink(x, size);
  add_input(&p, x, 4, p.n, h, w, c);
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
  int32_t plan[MAX_PLAN];
  int length = assemble(&p, last, plan);
  char fault[KERASRUN_FAULT] = "";
  struct kerasrun_region* r = kerasrun_region_new(isa, qisa, plan, length, fault);
  CHECK(r, "%s", fault);
  struct output o = {.short_by_one = !strcmp(control, "short-y")};
  for (int again = 0; again < 2; again++) {  // the second in the memory of the first
    enum kerasrun_outcome outcome = kerasrun_region_run(r, p.input, output, &o, fault);
    CHECK(outcome == KERASRUN_DONE, "%s", fault);
    CHECK(o.floats == p.n * last->h * last->w * last->c, "got %d floats", (int)o.floats);
    for (int64_t i = 0; i < o.floats; i++) {
      if (o.data[i] == last->data[i]) continue;
      fprintf(stderr, "plan:");
      for (int j = 0; j < length; j++) fprintf(stderr, " %d", plan[j]);
      CHECK(0, "\nelement %d: got %.9g, want %.9g", (int)i, o.data[i], last->data[i]);
    }
  }
  kerasrun_region_free(r);
  int refused = 0;
  for (int i = 0; i < damaged; i++) {
    int32_t copy[MAX_PLAN];
    memcpy(copy, plan, sizeof copy);
    int shorter = draw(0, 9) ? length : draw(0, length);
    if (shorter > 0) mutate(copy, shorter);
    r = kerasrun_region_new(isa, qisa, copy, shorter, fault);
    // As the operation does, which knows how many inputs there are.
    if (!r || kerasrun_region_inputs(r) != p.inputs ||
        kerasrun_region_run(r, p.input, output, &o, fault) != KERASRUN_DONE)
      refused++;
    kerasrun_region_free(r);
  }
  free(o.data);
  for (int i = 0; i < p.inputs; i++) free(p.input[i].data);
  for (int i = 0; i < count; i++) free(images[i].data);
  return refused;
}

int main(int argc, char** argv) {
  CHECK(argc >= 3, "expected avx2|avx512 CASES|short-... [SEED], got %d arguments", argc - 1);
  int wide = !strcmp(argv[1], "avx512");
  isa = wide ? &kerasrun_conv2d_avx512 : &kerasrun_conv2d_avx2;
  qisa = wide ? &kerasrun_qconv2d_avx512vnni : &kerasrun_qconv2d_avx2;
  kerasrun_threadpool_start(2);
  seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
  if (!strncmp(argv[2], "short-", 6)) {
    check(0, argv[2]);
    return 0;
  }
  int cases = atoi(argv[2]), refused = 0;
  for (int i = 0; i < cases; i++) refused += check(20, "");
  CHECK(refused > 0 && refused < 20 * cases, "%d of %d damaged regions refused", refused,
        20 * cases);
  printf("%s: %d regions of bytes; of %d damaged ones %d refused\n", argv[1], cases, 20 * cases,
         refused);
  return 0;
}
