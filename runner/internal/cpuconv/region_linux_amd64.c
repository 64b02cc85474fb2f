// A call is in four passes over the steps:
//
//   shapes    what each step makes, and whether its operands fit
//   memory    where in one piece of it each value is: values that are not needed at the same time
//             share a place, and a sum may take that of a summand
//   outputs   the memory of those
//   compute

#define _GNU_SOURCE
#include "region.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "max_pool.h"
#include "qconv2d.h"

enum { STEP_INTS = 18, MAX_VALUES = 1 << 16 };
enum { IMAGE, FILTER, BIAS, ADD };           // operands of most
enum { SCALE, SHIFT, ADDED, FIRST_SCALED };  // operands of SCALE

struct step {
  enum kerasrun_step_kind kind;
  int rank;
  struct kerasrun_conv2d conv;
  int fused;    // a DEPTHWISE that is computed with the CONV before it, a QUANTIZE with the QCONV
  int nowhere;  // nothing but the fused step behind it reads its value
  struct kerasrun_quantization q;
  int64_t operands;
  const int32_t* operand;
};

// As many pieces of memory stay with a region for its next call: calls at once need one each.
#define KEPT 4

struct arena {
  float* memory;
  int64_t floats;
};

struct kerasrun_region {
  const struct kerasrun_conv2d_isa* isa;
  const struct kerasrun_qconv2d_isa* qisa;
  int32_t* plan;
  int64_t inputs, outputs, steps;
  const int32_t* output;
  struct step* step;
  int64_t* last_use;  // of each value: the step, the number of steps for outputs
  pthread_mutex_t lock;
  struct arena kept[KEPT];
};

__attribute__((format(printf, 2, 3))) static int invalid(char* fault, const char* format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(fault, KERASRUN_FAULT, format, args);
  va_end(args);
  return 0;
}

static int64_t operands_of(enum kerasrun_step_kind kind) {
  switch (kind) {
    case KERASRUN_CONV:
    case KERASRUN_DEPTHWISE:
    case KERASRUN_DENSE:
    case KERASRUN_QCONV:
      return 3;
    case KERASRUN_SCALE:
      return FIRST_SCALED + 1;
    default:
      return 1;
  }
}

// read_step reads a step from the plan, and returns its length, 0 where it is none.
static int64_t read_step(struct step* s, int64_t number, int64_t value, const int32_t* plan,
                         int64_t left, char* fault) {
  if (left < STEP_INTS)
    return invalid(fault, "step %" PRId64 ": expected %d integers, got %" PRId64, number, STEP_INTS,
                   left);
  s->kind = plan[0];
  s->rank = plan[3];
  s->conv = (struct kerasrun_conv2d){.act = plan[1],
                                     .bf16 = plan[2] != 0,
                                     .y = {plan[4], plan[5]},
                                     .stride_h = plan[11],
                                     .stride_w = plan[12],
                                     .pad_top = plan[13],
                                     .pad_bottom = plan[14],
                                     .pad_left = plan[15],
                                     .pad_right = plan[16]};
  kerasrun_conv2d_set_filter(&s->conv, plan + 6);
  if (s->kind == KERASRUN_QUANTIZE) {
    memcpy(&s->q, plan + 6, 3 * sizeof(float));
    s->q.zero = plan[9];
    s->conv = (struct kerasrun_conv2d){.y = {plan[4], plan[5]}, .stride_h = 1, .stride_w = 1};
    struct kerasrun_layout l = s->conv.y;
    s->conv.y.kind = KERASRUN_NCHW8C;  // whose padding is checked as that of bytes is
    if (l.kind != KERASRUN_BYTES || !kerasrun_layout_valid(s->conv.y) ||
        !kerasrun_quantization_valid(&s->q))
      return invalid(fault,
                     "step %" PRId64
                     ": expected bytes with a range around 0, got layout %d,%" PRId64
                     ", range %g to %g, zero %d",
                     number, (int)l.kind, l.padding, s->q.min, s->q.max, s->q.zero);
  }
  s->operands = plan[17];
  s->operand = plan + STEP_INTS;
  int bytes = s->kind == KERASRUN_QUANTIZE;
  if ((unsigned)s->kind >= KERASRUN_STEP_KINDS || (s->rank != 2 && s->rank != 4) ||
      (s->rank == 2 && s->conv.y.kind != KERASRUN_NHWC && !bytes))
    return invalid(fault, "step %" PRId64 ": expected a kind and a rank of 2 or 4, got %d and %d",
                   number, (int)s->kind, s->rank);
  if (!kerasrun_conv2d_window_valid(&s->conv))
    return invalid(fault,
                   "step %" PRId64
                   ": expected an activation, strides of 1 or more, padding of 0 or more and a "
                   "layout of which nChw8c alone has padding, got activation %d, strides %d,%d, "
                   "padding %d,%d,%d,%d, layout %d,%d",
                   number, plan[1], plan[11], plan[12], plan[13], plan[14], plan[15], plan[16],
                   plan[4], plan[5]);
  int64_t fewest = operands_of(s->kind), most = fewest;
  if (s->kind == KERASRUN_CONV || s->kind == KERASRUN_QCONV) most = 4;
  if (s->kind == KERASRUN_SCALE) most = MAX_VALUES;
  if (s->operands < fewest || s->operands > most || s->operands > left - STEP_INTS)
    return invalid(fault, "step %" PRId64 ": expected %" PRId64 " operands or more, got %" PRId64,
                   number, fewest, s->operands);
  for (int64_t i = 0; i < s->operands; i++) {
    int optional = s->kind == KERASRUN_SCALE && i < FIRST_SCALED;
    if (s->operand[i] >= value || s->operand[i] < (optional ? -1 : 0))
      return invalid(fault, "step %" PRId64 ": expected values before %" PRId64 ", got %d", number,
                     value, s->operand[i]);
  }
  // Checks of the image's layout are left to the call.
  if (s->kind == KERASRUN_CONV && !kerasrun_conv2d_filter_valid(&s->conv))
    return invalid(fault,
                   "step %" PRId64
                   ": expected a filter of a pixel or more, with 8 channels a group or a multiple, "
                   "got %dx%dx%dx%d in %d groups",
                   number, plan[6], plan[7], plan[8], plan[9], plan[10]);
  if (s->kind == KERASRUN_QCONV &&
      (!kerasrun_qconv2d_valid(&s->conv) || s->conv.y.kind != KERASRUN_NHWC))
    return invalid(fault,
                   "step %" PRId64
                   ": expected a filter of a pixel or more, and sums that fit in 32 bits, to NHWC, "
                   "got %dx%dx%dx%d in %d groups",
                   number, plan[6], plan[7], plan[8], plan[9], plan[10]);
  if (s->kind == KERASRUN_QUANTIZE) s->conv.y.kind = KERASRUN_BYTES;
  if (s->kind == KERASRUN_DENSE && (s->conv.ic < 1 || s->conv.oc < 1))
    return invalid(fault, "step %" PRId64 ": expected a matrix, got %d x %d", number, plan[8],
                   plan[9]);
  return STEP_INTS + s->operands;
}

static int read_plan(struct kerasrun_region* r, int64_t length, char* fault) {
  const int32_t* plan = r->plan;
  if (length < 2 || plan[0] < 1 || plan[0] > MAX_VALUES || plan[1] < 1 || plan[1] > length - 2)
    return invalid(fault, "expected a region with inputs and outputs, got %" PRId64 " integers",
                   length);
  r->inputs = plan[0];
  r->outputs = plan[1];
  r->output = plan + 2;
  r->step = calloc(length / STEP_INTS + 1, sizeof *r->step);
  r->last_use = calloc(r->inputs + length / STEP_INTS + 1, sizeof *r->last_use);
  if (!r->step || !r->last_use) return invalid(fault, "out of memory");
  for (int64_t at = 2 + r->outputs; at < length;) {
    int64_t value = r->inputs + r->steps;
    struct step* s = &r->step[r->steps];
    int64_t n = read_step(s, r->steps, value, plan + at, length - at, fault);
    if (n == 0) return 0;
    for (int64_t i = 0; i < s->operands; i++)
      if (s->operand[i] >= 0) r->last_use[s->operand[i]] = r->steps;
    r->last_use[value] = r->steps;
    r->steps++;
    at += n;
  }
  for (int64_t i = 0; i < r->outputs; i++) {
    int64_t v = r->output[i];
    if (v < r->inputs || v >= r->inputs + r->steps || r->last_use[v] == r->steps ||
        r->step[v - r->inputs].conv.y.kind != KERASRUN_NHWC)
      return invalid(
          fault, "output %" PRId64 ": expected a step's value in NHWC, got value %" PRId64, i, v);
    r->last_use[v] = r->steps;
  }
  return 1;
}

// fuse_bytes has a QCONV write the bytes of its value too, which the step behind it makes of it.
// What it reads is needed as long as that; but where its value is in the memory of what is added
// (in_place), that is the value's from then on.
static void fuse_bytes(struct kerasrun_region* r, int64_t i) {
  struct step* conv = &r->step[i - 1];
  int64_t value = r->inputs + i - 1;
  if (r->step[i].operand[IMAGE] != value) return;
  r->step[i].fused = 1;
  conv->nowhere = r->last_use[value] == i;
  r->last_use[conv->operand[IMAGE]] = max(r->last_use[conv->operand[IMAGE]], i);
  int in_memory = !conv->nowhere && r->last_use[value] < r->steps;
  if (conv->operands > ADD && !in_memory)
    r->last_use[conv->operand[ADD]] = max(r->last_use[conv->operand[ADD]], i);
}

// fuse finds the 1x1 convolutions that only a depthwise one reads, the step behind it, and the
// convolutions of bytes whose values are made bytes again.
static void fuse(struct kerasrun_region* r) {
  for (int64_t i = 1; i < r->steps; i++) {
    const struct step *e = &r->step[i - 1], *d = &r->step[i];
    int64_t value = r->inputs + i - 1;
    if (e->kind == KERASRUN_QCONV && d->kind == KERASRUN_QUANTIZE) fuse_bytes(r, i);
    if (e->kind != KERASRUN_CONV || e->operands > ADD || !kerasrun_conv2d_is_1x1(&e->conv) ||
        d->kind != KERASRUN_DEPTHWISE || d->operand[IMAGE] != value || r->last_use[value] != i)
      continue;
    int64_t x = e->operand[IMAGE];
    struct kerasrun_conv2d expand = e->conv, depthwise = d->conv;
    depthwise.x = expand.y;
    if (x < r->inputs) continue;
    expand.x = r->step[x - r->inputs].conv.y;
    if (!kerasrun_expand_depthwise_valid(&expand, &depthwise)) continue;
    r->step[i].fused = r->step[i - 1].nowhere = 1;
    r->last_use[x] = max(r->last_use[x], i);
  }
}

struct kerasrun_region* kerasrun_region_new(const struct kerasrun_conv2d_isa* isa,
                                            const struct kerasrun_qconv2d_isa* qisa,
                                            const int32_t* plan, int64_t length, char* fault) {
  struct kerasrun_region* r = calloc(1, sizeof *r);
  if (!r) return invalid(fault, "out of memory"), NULL;
  pthread_mutex_init(&r->lock, NULL);
  r->isa = isa;
  r->qisa = qisa;
  r->plan = calloc(length + 1, sizeof *plan);
  if (r->plan && length > 0) memcpy(r->plan, plan, length * sizeof *plan);
  if (!r->plan) invalid(fault, "out of memory");
  if (r->plan && read_plan(r, length, fault)) {
    fuse(r);
    return r;
  }
  kerasrun_region_free(r);
  return NULL;
}

void kerasrun_region_free(struct kerasrun_region* r) {
  if (!r) return;
  for (int i = 0; i < KEPT; i++) free(r->kept[i].memory);
  pthread_mutex_destroy(&r->lock);
  free(r->step);
  free(r->last_use);
  free(r->plan);
  free(r);
}

int64_t kerasrun_region_inputs(const struct kerasrun_region* r) { return r->inputs; }

static int has_floats(const struct kerasrun_value* v, int64_t floats) {
  if (v->layout.kind != KERASRUN_NHWC) return 0;
  int64_t n = v->n;
  return !__builtin_mul_overflow(n, v->h, &n) && !__builtin_mul_overflow(n, v->w, &n) &&
         !__builtin_mul_overflow(n, v->c, &n) && n == floats;
}

static int same_shape(const struct kerasrun_value* a, const struct kerasrun_value* b) {
  return a->n == b->n && a->h == b->h && a->w == b->w && a->c == b->c;
}

// is_images returns whether a value is images of floats, all of them in memory of this layout.
static int is_images(const struct kerasrun_value* v) {
  return (v->rank == 2 || v->rank == 4) && v->layout.kind != KERASRUN_BYTES &&
         (v->layout.kind == KERASRUN_NHWC || v->c % 8 == 0) &&
         kerasrun_layout_fits(v->layout, v->n, v->h, v->w, v->c);
}

// is_bytes returns whether a value is images of bytes that fit in memory.
static int is_bytes(const struct kerasrun_value* v) {
  return (v->rank == 2 || v->rank == 4) && v->layout.kind == KERASRUN_BYTES &&
         v->c <= INT32_MAX - 3 && kerasrun_layout_fits(v->layout, v->n, v->h, v->w, v->c + 3);
}

#define VALUE_FORMAT "%" PRId64 " of %" PRId64 "x%" PRId64 "x%" PRId64 " in layout %d,%" PRId64
#define VALUE_ARGS(v) (v)->n, (v)->h, (v)->w, (v)->c, (int)(v)->layout.kind, (v)->layout.padding

// convolution returns a step's convolution or pool with the layouts of its operands.
static struct kerasrun_conv2d convolution(const struct step* s, const struct kerasrun_value* v) {
  struct kerasrun_conv2d c = s->conv;
  const struct kerasrun_value* x = &v[s->operand[IMAGE]];
  c.x = x->layout;
  if (s->kind == KERASRUN_CONV && s->operands > ADD) c.add = v[s->operand[ADD]].layout;
  if (s->kind == KERASRUN_QCONV) c.x = (struct kerasrun_layout){KERASRUN_NHWC, 0};
  if (s->kind == KERASRUN_MAX_POOL || s->kind == KERASRUN_AVG_POOL) c.ic = c.oc = x->c;
  return c;
}

// scale_channels returns how many channels a SCALE makes, 0 where its images do not fit. One image
// in NHWC may have a number of channels that is no multiple of eight.
static int64_t scale_channels(const struct step* s, const struct kerasrun_value* v) {
  const struct kerasrun_value* first = &v[s->operand[FIRST_SCALED]];
  int64_t channels = 0;
  for (int64_t i = FIRST_SCALED; i < s->operands; i++) {
    const struct kerasrun_value* x = &v[s->operand[i]];
    if (!is_images(x) || x->n != first->n || x->h != first->h || x->w != first->w || x->c < 1)
      return 0;
    if (x->c % 8 != 0 && (s->operands > FIRST_SCALED + 1 || x->c > KERASRUN_MAX_ODD_CHANNELS ||
                          s->operand[ADDED] >= 0))
      return 0;
    channels += x->c;  // of at most MAX_VALUES
    if (channels > INT32_MAX) return 0;
  }
  return channels;
}

// shape_of_bytes is shape of a QUANTIZE and a QCONV.
static int shape_of_bytes(const struct step* s, const struct kerasrun_value* v,
                          struct kerasrun_value* y) {
  const struct kerasrun_value* x = &v[s->operand[IMAGE]];
  const struct kerasrun_conv2d* c = &s->conv;
  y->n = x->n, y->h = x->h, y->w = x->w, y->c = x->c;
  if (s->kind == KERASRUN_QUANTIZE) return is_images(x) && x->c > 0 && is_bytes(y);
  int64_t padding = max(max(c->pad_top, c->pad_bottom), max(c->pad_left, c->pad_right));
  if (!is_bytes(x) || x->layout.padding < padding || x->c != c->ic * c->groups) return 0;
  y->h = kerasrun_conv2d_out_h(c, x->h), y->w = kerasrun_conv2d_out_w(c, x->w), y->c = c->oc;
  if (y->h < 1 || y->w < 1 || (s->rank == 2 && (y->h != 1 || y->w != 1))) return 0;
  if (s->operands > ADD) {
    const struct kerasrun_value* add = &v[s->operand[ADD]];
    if (!same_shape(add, y) || !is_images(add) || add->layout.kind != KERASRUN_NHWC) return 0;
  }
  return is_images(y);
}

// shape writes what a step makes, and checks that its operands are what it reads.
static int shape(const struct step* s, const struct kerasrun_value* v, struct kerasrun_value* y) {
  const struct kerasrun_value* x = &v[s->operand[IMAGE]];
  *y = (struct kerasrun_value){.rank = s->rank, .layout = s->conv.y};
  if (s->kind == KERASRUN_QUANTIZE || s->kind == KERASRUN_QCONV) return shape_of_bytes(s, v, y);
  if (s->kind == KERASRUN_SCALE) {
    x = &v[s->operand[FIRST_SCALED]];
    int64_t channels = scale_channels(s, v);
    if (channels == 0) return 0;
    y->n = x->n, y->h = x->h, y->w = x->w, y->c = channels;
    const int32_t* o = s->operand;
    if (o[SCALE] >= 0 && !has_floats(&v[o[SCALE]], channels) &&
        (channels % 8 != 0 || !has_floats(&v[o[SCALE]], channels * x->n)))
      return 0;
    if (channels % 8 != 0 && y->layout.kind != KERASRUN_NHWC) return 0;
    if (o[SHIFT] >= 0 && !has_floats(&v[o[SHIFT]], channels)) return 0;
    if (o[ADDED] >= 0 && (!same_shape(&v[o[ADDED]], y) || !is_images(&v[o[ADDED]]))) return 0;
  } else {
    if (!is_images(x)) return 0;
    struct kerasrun_conv2d c = convolution(s, v);
    y->n = x->n, y->h = 1, y->w = 1, y->c = c.oc;
    switch (s->kind) {
      case KERASRUN_CONV:
        if (!kerasrun_conv2d_valid(&c) || x->c != c.ic * c.groups) return 0;
        y->h = kerasrun_conv2d_out_h(&c, x->h), y->w = kerasrun_conv2d_out_w(&c, x->w);
        if (y->h < 1 || y->w < 1 || !kerasrun_conv2d_fits(&c, x->n, x->h, x->w)) return 0;
        if (s->operands > ADD &&
            (!same_shape(&v[s->operand[ADD]], y) || !is_images(&v[s->operand[ADD]])))
          return 0;
        break;
      case KERASRUN_DEPTHWISE:
        if (!kerasrun_depthwise_valid(&c) || x->c != c.oc) return 0;
        y->h = kerasrun_conv2d_out_h(&c, x->h), y->w = kerasrun_conv2d_out_w(&c, x->w);
        if (y->h < 1 || y->w < 1 || !kerasrun_depthwise_fits(&c, x->n, x->h, x->w)) return 0;
        break;
      case KERASRUN_MAX_POOL:
      case KERASRUN_AVG_POOL:
        if (!kerasrun_pool_valid(&c)) return 0;
        y->h = kerasrun_conv2d_out_h(&c, x->h), y->w = kerasrun_conv2d_out_w(&c, x->w);
        if (y->h < 1 || y->w < 1) return 0;
        break;
      case KERASRUN_MEAN:
        y->c = x->c;
        if (x->h < 1 || x->w < 1 || x->c < 8 || x->c % 8 != 0) return 0;
        break;
      default:  // DENSE
        if (x->h != 1 || x->w != 1 || x->c != c.ic || x->layout.kind != KERASRUN_NHWC) return 0;
    }
  }
  if ((s->kind == KERASRUN_MEAN || s->kind == KERASRUN_DENSE) && y->layout.kind != KERASRUN_NHWC)
    return 0;
  if (s->rank == 2 && (y->h != 1 || y->w != 1)) return 0;
  return is_images(y);
}

// weights checks the sizes of a filter and a bias.
static int weights(const struct kerasrun_region* r, const struct step* s,
                   const struct kerasrun_value* v) {
  if (s->kind > KERASRUN_DENSE && s->kind != KERASRUN_QCONV) return 1;
  struct kerasrun_conv2d c = convolution(s, v);
  int64_t floats;
  switch (s->kind) {
    case KERASRUN_QCONV:
      floats = r->qisa->packed_size(&c);
      break;
    case KERASRUN_CONV:
      floats = r->isa->packed_size(&c);
      break;
    case KERASRUN_DEPTHWISE:
      floats = c.kh * c.kw * c.oc;
      break;
    default:
      floats = c.ic * c.oc;
  }
  return has_floats(&v[s->operand[FILTER]], floats) && has_floats(&v[s->operand[BIAS]], c.oc);
}

static int shapes(const struct kerasrun_region* r, struct kerasrun_value* v, char* fault) {
  for (int64_t i = 0; i < r->steps; i++) {
    const struct step* s = &r->step[i];
    struct kerasrun_value* y = &v[r->inputs + i];
    if (shape(s, v, y) && weights(r, s, v)) continue;
    const struct kerasrun_value* x = &v[s->operand[s->kind == KERASRUN_SCALE ? FIRST_SCALED : 0]];
    return invalid(fault,
                   "step %" PRId64 " of kind %d with a filter of %" PRId64 "x%" PRId64 "x%" PRId64
                   "x%" PRId64 " in %" PRId64
                   " groups: expected operands of sizes that fit, got images " VALUE_FORMAT,
                   i, (int)s->kind, s->conv.kh, s->conv.kw, s->conv.ic, s->conv.oc, s->conv.groups,
                   VALUE_ARGS(x));
  }
  return 1;
}

// place is where in the memory a value is: floats from its begin. None: size is 0.
struct place {
  int64_t begin, size;
};

// in_place returns the operand whose memory a step's value may take, -1 where there is none.
static int64_t in_place(const struct kerasrun_region* r, int64_t i, const struct kerasrun_value* v,
                        const struct place* places) {
  const struct step* s = &r->step[i];
  int64_t at = -1;
  if ((s->kind == KERASRUN_CONV || s->kind == KERASRUN_QCONV) && s->operands > ADD &&
      s->operand[ADD] != s->operand[IMAGE])
    at = s->operand[ADD];
  if (s->kind == KERASRUN_SCALE && s->operands == FIRST_SCALED + 1 &&
      s->operand[FIRST_SCALED] != s->operand[SCALE])
    at = s->operand[FIRST_SCALED];
  if (at < 0 || places[at].size == 0 || r->last_use[at] != i) return -1;
  struct kerasrun_layout from = v[at].layout, to = s->conv.y;
  return from.kind == to.kind && from.padding == to.padding ? at : -1;
}

// free_place returns the first place of a size that none of these has.
static int64_t free_place(const struct place* places, int64_t n, int64_t size) {
  int64_t begin = 0;
  for (int64_t i = 0; i < n; i++) {
    const struct place* p = &places[i];
    if (p->size == 0 || p->begin >= begin + size || p->begin + p->size <= begin) continue;
    begin = p->begin + p->size;
    i = -1;  // from the beginning: begin only grows
  }
  return begin;
}

// value_size returns how many floats' memory a value takes: whole cache lines.
static int64_t value_size(const struct kerasrun_value* v) {
  int64_t floats = v->layout.kind == KERASRUN_BYTES
                       ? kerasrun_bytes_floats(v->layout.padding, v->n, v->h, v->w, v->c)
                       : kerasrun_layout_size(v->layout, v->n, v->h, v->w, v->c);
  return div_round_up(floats, 16) * 16;
}

// plan_memory places the values of the steps that are no outputs, and returns how many floats they
// take. A value that is needed no more keeps its begin, and has no size.
static int64_t plan_memory(const struct kerasrun_region* r, const struct kerasrun_value* v,
                           struct place* places) {
  int64_t total = 0;
  for (int64_t i = 0; i < r->steps; i++) {
    int64_t value = r->inputs + i;
    const struct kerasrun_value* y = &v[value];
    if (r->step[i].nowhere) continue;
    if (r->last_use[value] < r->steps) {
      int64_t from = in_place(r, i, v, places);
      if (from >= 0) {
        places[value] = places[from];
        places[from].size = 0;
      } else {
        int64_t size = value_size(y);
        places[value] = (struct place){free_place(places + r->inputs, i, size), size};
      }
      total = max(total, places[value].begin + places[value].size);
    }
    for (int64_t k = i - r->step[i].fused; k <= i; k++)
      for (int64_t j = 0; j < r->step[k].operands; j++) {
        int64_t operand = r->step[k].operand[j];
        if (operand >= 0 && r->last_use[operand] == i) places[operand].size = 0;
      }
    if (r->last_use[value] == i) places[value].size = 0;
  }
  return total;
}

// take_arena returns memory of so many floats, which give_arena takes back.
static struct arena take_arena(struct kerasrun_region* r, int64_t floats) {
  struct arena a = {0};
  pthread_mutex_lock(&r->lock);
  for (int i = 0; i < KEPT && !a.memory; i++)
    if (r->kept[i].memory && r->kept[i].floats >= floats) {
      a = r->kept[i];
      r->kept[i] = (struct arena){0};
    }
  pthread_mutex_unlock(&r->lock);
  if (a.memory) return a;
  enum { HUGE_PAGE = 2 << 20 };
  size_t bytes = max(floats, 1) * sizeof(float), alignment = bytes < HUGE_PAGE ? 64 : HUGE_PAGE;
  void* memory;
  if (posix_memalign(&memory, alignment, bytes)) return a;
  if (alignment == HUGE_PAGE) madvise(memory, bytes, MADV_HUGEPAGE);  // a system may have none
  return (struct arena){memory, max(floats, 1)};
}

// give_arena keeps memory for the next call, in the place of a smaller piece if need be.
static void give_arena(struct kerasrun_region* r, struct arena a) {
  pthread_mutex_lock(&r->lock);
  for (int i = 0; i < KEPT && a.memory; i++)
    if (r->kept[i].floats < a.floats) {
      struct arena smaller = r->kept[i];
      r->kept[i] = a;
      a = smaller;
    }
  pthread_mutex_unlock(&r->lock);
  free(a.memory);
}

static struct kerasrun_view view(const struct kerasrun_value* v) {
  return kerasrun_view(v->layout, v->data, v->h, v->w, v->c);
}

static int compute_scale(const struct kerasrun_region* r, const struct step* s,
                         const struct kerasrun_value* v, const struct kerasrun_value* y) {
  int64_t inputs = s->operands - FIRST_SCALED;
  struct kerasrun_view* x = malloc(inputs * sizeof *x);
  int64_t* channels = malloc(inputs * sizeof *channels);
  const int32_t* o = s->operand;
  if (x && channels) {
    for (int64_t i = 0; i < inputs; i++) {
      const struct kerasrun_value* from = &v[o[FIRST_SCALED + i]];
      x[i] = view(from);
      channels[i] = from->c;
    }
    struct kerasrun_scale scale = {
        .inputs = inputs, .x = x, .channels = channels, .act = s->conv.act};
    if (o[SCALE] >= 0) {
      scale.scale = v[o[SCALE]].data;
      scale.scale_stride = has_floats(&v[o[SCALE]], y->c) ? 0 : y->c;
    }
    if (o[SHIFT] >= 0) scale.shift = v[o[SHIFT]].data;
    if (o[ADDED] >= 0) scale.add = view(&v[o[ADDED]]);
    struct kerasrun_view to = view(y);
    r->isa->scale(&scale, y->n, &to, y->c);
  }
  int done = x && channels;
  free(x);
  free(channels);
  return done;
}

// compute_fused computes a depthwise step and the convolution before it.
static int compute_fused(const struct kerasrun_region* r, const struct step* s,
                         const struct kerasrun_value* v, const struct kerasrun_value* y) {
  const struct step* before = s - 1;
  const struct kerasrun_value* x = &v[before->operand[IMAGE]];
  struct kerasrun_conv2d e = convolution(before, v), d = convolution(s, v);
  return r->isa->expand_depthwise(&e, v[before->operand[FILTER]].data,
                                  v[before->operand[BIAS]].data, &d, v[s->operand[FILTER]].data,
                                  v[s->operand[BIAS]].data, x->data, x->n, x->h, x->w, y->data);
}

static struct kerasrun_bytes bytes(const struct kerasrun_value* v) {
  return kerasrun_bytes(v->data, v->layout.padding, v->h, v->w, v->c);
}

// compute_qconv computes a QCONV, whose value y is, and its bytes z where a QUANTIZE, which may be
// NULL, makes some.
static void compute_qconv(const struct kerasrun_region* r, const struct step* s,
                          const struct step* quantize, const struct kerasrun_value* v,
                          const struct kerasrun_value* y, const struct kerasrun_value* z) {
  const struct kerasrun_value* x = &v[s->operand[IMAGE]];
  struct kerasrun_conv2d c = convolution(s, v);
  struct kerasrun_qconv2d_call call = {.c = &c,
                                       .packed = v[s->operand[FILTER]].data,
                                       .bias = v[s->operand[BIAS]].data,
                                       .x = bytes(x),
                                       .add = s->operands > ADD ? v[s->operand[ADD]].data : NULL,
                                       .y = s->nowhere ? NULL : y->data,
                                       .n = x->n,
                                       .out_h = y->h,
                                       .out_w = y->w};
  if (quantize) call.z = bytes(z), call.q = quantize->q;
  r->qisa->run(&call);
}

// compute computes a step, and returns 0 where there is no memory.
static int compute(const struct kerasrun_region* r, const struct step* s,
                   const struct kerasrun_value* v, const struct kerasrun_value* y) {
  if (s->kind == KERASRUN_SCALE) return compute_scale(r, s, v, y);
  const struct kerasrun_value* x = &v[s->operand[IMAGE]];
  struct kerasrun_conv2d c = convolution(s, v);
  const float *filter = NULL, *bias = NULL, *add = NULL;
  if (s->kind <= KERASRUN_DENSE)
    filter = v[s->operand[FILTER]].data, bias = v[s->operand[BIAS]].data;
  if (s->kind == KERASRUN_CONV && s->operands > ADD) add = v[s->operand[ADD]].data;
  if (s->kind == KERASRUN_QCONV) {
    compute_qconv(r, s, NULL, v, y, NULL);
    return 1;
  }
  struct kerasrun_view image = view(x);
  switch (s->kind) {
    case KERASRUN_CONV:
      return r->isa->run(&c, filter, bias, add, x->data, x->n, x->h, x->w, y->data);
    case KERASRUN_DEPTHWISE:
      if (s->fused) return compute_fused(r, s, v, y);
      r->isa->depthwise(&c, filter, bias, x->data, x->n, x->h, x->w, y->data);
      return 1;
    case KERASRUN_QUANTIZE:
      if (s->fused) {
        compute_qconv(r, s - 1, s, v, y - 1, y);
      } else {
        struct kerasrun_bytes z = bytes(y);
        r->qisa->quantize(&s->q, &image, x->n, x->c, &z);
      }
      return 1;
    case KERASRUN_DENSE:
      r->isa->dense(&(struct kerasrun_dense){c.ic, c.oc, filter, bias, c.act}, x->data, x->n,
                    y->data);
      return 1;
    case KERASRUN_MEAN:
      r->isa->mean(&image, x->n, x->c, y->data);
      return 1;
    default:
      kerasrun_pool_run(&c, s->kind == KERASRUN_AVG_POOL, x->data, x->n, x->h, x->w, y->data);
      return 1;
  }
}

enum kerasrun_outcome kerasrun_region_run(struct kerasrun_region* r,
                                          const struct kerasrun_value* inputs,
                                          float* (*output)(void* context, int64_t i,
                                                           const struct kerasrun_value* v),
                                          void* context, char* fault) {
  int64_t values = r->inputs + r->steps;
  struct kerasrun_value* v = calloc(values, sizeof *v);
  struct place* places = calloc(values, sizeof *places);
  struct arena arena = {0};
  enum kerasrun_outcome outcome = KERASRUN_NO_MEMORY;
  if (v && places) {
    memcpy(v, inputs, r->inputs * sizeof *v);
    outcome = shapes(r, v, fault) ? KERASRUN_DONE : KERASRUN_INVALID;
  }
  if (outcome == KERASRUN_DONE) {
    arena = take_arena(r, plan_memory(r, v, places));
    if (!arena.memory) outcome = KERASRUN_NO_MEMORY;
  }
  for (int64_t i = 0; i < r->steps && outcome == KERASRUN_DONE; i++)
    v[r->inputs + i].data = arena.memory + places[r->inputs + i].begin;
  for (int64_t i = 0; i < r->outputs && outcome == KERASRUN_DONE; i++) {
    struct kerasrun_value* y = &v[r->output[i]];
    y->data = output(context, i, y);
    if (!y->data) outcome = KERASRUN_NO_MEMORY;
  }
  for (int64_t i = 0; i < r->steps && outcome == KERASRUN_DONE; i++) {
    const struct kerasrun_value* y = &v[r->inputs + i];
    int together = i + 1 < r->steps && r->step[i + 1].fused;  // with the next
    if (y->n > 0 && !together && !compute(r, &r->step[i], v, y)) outcome = KERASRUN_NO_MEMORY;
  }
  give_arena(r, arena);
  free(v);
  free(places);
  if (outcome == KERASRUN_NO_MEMORY) invalid(fault, "out of memory");
  return outcome;
}
