// A region of a graph, computed in one call: steps that read values and make one each. The values
// are the region's inputs, in their order, and behind them what each step makes.
//
// A region is described by integers. All of them are checked when it is made, and all sizes of
// values in each call, before anything is computed:
//
//   inputs, outputs, the value of each output, and for each step
//   kind, act, bf16, rank, kind and padding of y's layout,
//   kh, kw, ic, oc, groups, stride_h, stride_w, pad_top, pad_bottom, pad_left, pad_right,
//   operands, the value of each operand
//
//   CONV       image, packed filter, bias and, where it has four, what is added    conv2d.h
//   DEPTHWISE  image, filter[kh][kw][oc], bias                                      isa.h
//   DENSE      matrix, filter[ic][oc], bias                                         isa.h
//   MAX_POOL   image                                                                max_pool.h
//   AVG_POOL   image                                                                max_pool.h
//   MEAN       image                       y[n][c]: the mean of all pixels
//   SCALE      scale, shift, added, images y = act(images * scale + shift + added): -1 where there
//                                          is none of the first three; images are concatenated
//   QUANTIZE   image                       y: its bytes; in the place of kh to oc are the bits of
//                                          min, max and inverse, and zero                qconv2d.h
//   QCONV      bytes, packed filter, bias and, where it has four, what is added          qconv2d.h
//
// rank is 2 where y is a matrix, of images of one pixel. Values that leave the region are NHWC. A
// QUANTIZE's value, and no other, is in the layout BYTES; a QCONV reads that, adds NHWC and makes
// NHWC.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "isa.h"
#include "qconv2d.h"

enum kerasrun_step_kind {
  KERASRUN_CONV,
  KERASRUN_DEPTHWISE,
  KERASRUN_DENSE,
  KERASRUN_MAX_POOL,
  KERASRUN_AVG_POOL,
  KERASRUN_MEAN,
  KERASRUN_SCALE,
  KERASRUN_QUANTIZE,
  KERASRUN_QCONV,
  KERASRUN_STEP_KINDS
};

// kerasrun_value is n images of h x w pixels of c channels, or other numbers: then n, h, w and c
// are the sizes of a tensor of fewer dimensions, the last of them c, and 1.
struct kerasrun_value {
  float* data;
  int rank;
  int64_t n, h, w, c;
  struct kerasrun_layout layout;
};

struct kerasrun_region;

enum { KERASRUN_FAULT = 512 };  // bytes of a message

// kerasrun_region_new returns a region, or NULL and what is wrong with its description.
struct kerasrun_region* kerasrun_region_new(const struct kerasrun_conv2d_isa* isa,
                                            const struct kerasrun_qconv2d_isa* qisa,
                                            const int32_t* plan, int64_t length, char* fault);
void kerasrun_region_free(struct kerasrun_region* r);
int64_t kerasrun_region_inputs(const struct kerasrun_region* r);

enum kerasrun_outcome { KERASRUN_DONE, KERASRUN_INVALID, KERASRUN_NO_MEMORY };

// kerasrun_region_run computes a region. inputs are as many values as it has, NHWC, each with the
// memory that its sizes say. output returns the memory for one of the outputs, or NULL. Safe for
// concurrent use.
enum kerasrun_outcome kerasrun_region_run(struct kerasrun_region* r,
                                          const struct kerasrun_value* inputs,
                                          float* (*output)(void* context, int64_t i,
                                                           const struct kerasrun_value* v),
                                          void* context, char* fault);
