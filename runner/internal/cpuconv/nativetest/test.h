// Random numbers and checks of the native tests.

#pragma once

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../activation.h"

// random_next is splitmix64.
static inline uint64_t random_next(uint64_t* state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

// random_int returns one of low to high.
static inline int64_t random_int(uint64_t* state, int64_t low, int64_t high) {
  return low + (int64_t)(random_next(state) % (uint64_t)(high - low + 1));
}

static inline float random_float(uint64_t* state) {
  return (float)((double)random_next(state) / 0x1p63 - 1);
}

// act_of is an activation by its definition.
static inline double act_of(double x, int act) {
  switch (act) {
    case KERASRUN_RELU:
      return fmax(x, 0);
    case KERASRUN_RELU6:
      return fmin(fmax(x, 0), 6);
    case KERASRUN_SIGMOID:
      return 1 / (1 + exp(-x));
    case KERASRUN_SWISH:
      return x / (1 + exp(-x));
    default:
      return x;
  }
}

#define CHECK(condition, ...)                         \
  do {                                                \
    if (!(condition)) {                               \
      fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
      fprintf(stderr, __VA_ARGS__);                   \
      fputc('\n', stderr);                            \
      exit(1);                                        \
    }                                                 \
  } while (0)

// shrink returns a copy that ends a float earlier.
static inline float* shrink(float* x, int64_t n) {
  float* shorter = malloc((n - 1) * sizeof(float));
  CHECK(shorter, "out of memory");
  memcpy(shorter, x, (n - 1) * sizeof(float));
  free(x);
  return shorter;
}
