// What follows a sum: y = act(x).
//
//   RELU max(0, x)   RELU6 min(6, max(0, x))   SIGMOID 1 / (1 + exp(-x))   SWISH x * sigmoid(x)
//
// NaN stays NaN.

#pragma once

enum kerasrun_act {
  KERASRUN_LINEAR,
  KERASRUN_RELU,
  KERASRUN_RELU6,
  KERASRUN_SIGMOID,
  KERASRUN_SWISH,
  KERASRUN_ACTS
};
