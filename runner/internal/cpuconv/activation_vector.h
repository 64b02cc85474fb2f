// Activations of a vector. What includes this defines the vectors: LANES, load, broadcast, fmadd,
// add, mul, divide, at_most, at_least, power_of_2, all, zero.

#pragma once

#include "activation.h"

#define INLINE static inline __attribute__((always_inline))

// exponential is exp(x) of x from -87 to 88, in one or two units of the last place: x is
// n * log(2) + r, the series of exp(r) ends at r^7, and log(2) is in two parts.
INLINE vector exponential(vector x) {
  // A sum with it has no fraction: its last place is 1.
  const float whole = 0x1.8p23f;
  vector n = add(fmadd(x, all(0x1.715476p0f), all(whole)), all(-whole));
  vector r = fmadd(n, all(-0x1.62ep-1f), x);
  r = fmadd(n, all(-0x1.0bfbe8p-15f), r);
  vector sum = fmadd(r, all(1 / 5040.f), all(1 / 720.f));
  sum = fmadd(sum, r, all(1 / 120.f));
  sum = fmadd(sum, r, all(1 / 24.f));
  sum = fmadd(sum, r, all(1 / 6.f));
  sum = fmadd(sum, r, all(1 / 2.f));
  sum = fmadd(sum, r, all(1));
  sum = fmadd(sum, r, all(1));
  return mul(sum, power_of_2(n));
}

INLINE vector sigmoid(vector x) {
  vector minus = mul(x, all(-1));
  return divide(all(1), add(all(1), exponential(at_least(all(-87), at_most(all(88), minus)))));
}

INLINE vector activated(vector x, enum kerasrun_act act) {
  switch (act) {
    case KERASRUN_RELU:
      return at_least(zero(), x);
    case KERASRUN_RELU6:
      return at_most(all(6), at_least(zero(), x));
    case KERASRUN_SIGMOID:
      return sigmoid(x);
    case KERASRUN_SWISH:
      return mul(x, sigmoid(x));
    default:
      return x;
  }
}
