// What the tests of regions share: a region that is put together step by step, its run against what
// was computed beside it, and its damaged copies.

#pragma once

#include "../region.h"
#include "../threadpool.h"
#include "test.h"

const char* __asan_default_options(void) { return "allocator_may_return_null=1"; }

// FIRST_STEP is the number of the first step's value until it is known how many inputs there are.
enum { MAX_STEPS = 48, MAX_INPUTS = 3 * MAX_STEPS, FIRST_STEP = MAX_INPUTS, MAX_PLAN = 4000 };
enum { OPERANDS = 17, STEP_INTS = 18 };  // of a step: where their number is, and they begin

struct program {
  int64_t n;
  int inputs, steps;
  struct kerasrun_value input[MAX_INPUTS];
  int32_t step[MAX_STEPS][24];
  int length[MAX_STEPS];
  int32_t plan[MAX_PLAN];
  int plan_length;
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

// begin_step starts a step, and returns its value; operands follow.
static int begin_step(struct program* p, const struct kerasrun_conv2d* c, int kind, int rank,
                      struct kerasrun_layout l) {
  CHECK(p->steps < MAX_STEPS, "too many steps");
  const int32_t ints[] = {kind,        c->act,       0,
                          rank,        l.kind,       l.padding,
                          c->kh,       c->kw,        c->ic,
                          c->oc,       c->groups,    c->stride_h,
                          c->stride_w, c->pad_top,   c->pad_bottom,
                          c->pad_left, c->pad_right, 0};
  memcpy(p->step[p->steps], ints, sizeof ints);
  p->length[p->steps] = sizeof ints / sizeof *ints;
  return FIRST_STEP + p->steps++;
}

static void operand(struct program* p, int value) {
  int i = p->steps - 1;
  p->step[i][OPERANDS]++;
  p->step[i][p->length[i]++] = value;
}

// assemble writes the plan. Steps name their operands before it is known how many inputs there are.
static void assemble(struct program* p, int output) {
  int at = 0;
  p->plan[at++] = p->inputs;
  p->plan[at++] = 1;
  p->plan[at++] = p->inputs + output - FIRST_STEP;
  for (int i = 0; i < p->steps; i++)
    for (int j = 0; j < p->length[i]; j++) {
      int32_t value = p->step[i][j];
      if (j >= STEP_INTS && value >= FIRST_STEP) value += p->inputs - FIRST_STEP;
      CHECK(at < MAX_PLAN, "too long a plan");
      p->plan[at++] = value;
    }
  p->plan_length = at;
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

// run_program compares what a program's region computes with what is wanted, to a tolerance that is
// relative too, and frees its inputs. It returns how many of its damaged copies were refused.
static int run_program(struct program* p, const double* want, int64_t floats, double tolerance,
                       int damaged, const char* control) {
  char fault[KERASRUN_FAULT] = "";
  struct kerasrun_region* r = kerasrun_region_new(isa, qisa, p->plan, p->plan_length, fault);
  CHECK(r, "%s", fault);
  struct output o = {.short_by_one = !strcmp(control, "short-y")};
  for (int again = 0; again < 2; again++) {  // the second in the memory of the first
    enum kerasrun_outcome outcome = kerasrun_region_run(r, p->input, output, &o, fault);
    CHECK(outcome == KERASRUN_DONE, "%s", fault);
    CHECK(o.floats == floats, "got %d floats", (int)o.floats);
    for (int64_t i = 0; i < floats; i++) {
      if (fabs(o.data[i] - want[i]) <= tolerance * (1 + fabs(want[i]))) continue;
      fprintf(stderr, "plan:");
      for (int j = 0; j < p->plan_length; j++) fprintf(stderr, " %d", p->plan[j]);
      CHECK(0, "\nelement %d: got %.9g, want %.9g", (int)i, o.data[i], want[i]);
    }
  }
  kerasrun_region_free(r);
  int refused = 0;
  for (int i = 0; i < damaged; i++) {
    int32_t* plan = allocate(p->plan_length, sizeof *plan);
    memcpy(plan, p->plan, p->plan_length * sizeof *plan);
    int length = draw(0, 9) ? p->plan_length : draw(0, p->plan_length);
    if (length > 0) mutate(plan, length);
    r = kerasrun_region_new(isa, qisa, plan, length, fault);
    // As the operation does, which knows how many inputs there are.
    if (!r || kerasrun_region_inputs(r) != p->inputs ||
        kerasrun_region_run(r, p->input, output, &o, fault) != KERASRUN_DONE)
      refused++;
    kerasrun_region_free(r);
    free(plan);
  }
  free(o.data);
  for (int i = 0; i < p->inputs; i++) free(p->input[i].data);
  return refused;
}

// run_cases is the rest of main: check computes a random region, and returns what run_program does.
static int run_cases(int argc, char** argv, const char* what,
                     int (*check)(int damaged, const char* control)) {
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
  printf("%s: %d %s; of %d damaged ones %d refused\n", argv[1], cases, what, 20 * cases, refused);
  return 0;
}
