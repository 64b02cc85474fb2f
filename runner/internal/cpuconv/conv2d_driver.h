// A convolution: its filter packed, the work divided into tasks, and the run. What includes this
// defines the vectors: LANES, MR, MR_NARROW, K_UNROLL, and those of activation_vector.h.
//
//   tasks = 1x1:    m_blocks * m_splits * n_blocks            conv_1x1_microkernel.h
//           other:  n * m_blocks * group_blocks * n_blocks    direct_conv_microkernels.h

#include "conv_1x1_microkernel.h"
#include "direct_conv_microkernels.h"
#include "isa.h"
#include "threadpool.h"

// So many output channels that they and an m block stay in the second cache.
#define NC 256
// Narrow groups are copied together: so many channels in one go, as memory is read best, to at most
// so many floats.
#define COPY_CHANNELS 256
#define MAX_COPY_FLOATS 65536

// filter_row returns which row of filter[kh * kw * ic][oc] is packed as the k-th.
static int64_t filter_row(const struct kerasrun_conv2d* c, int64_t k) {
  if (kerasrun_conv2d_is_1x1(c)) return k;
  int64_t cb = channel_block(c), row = c->kw * cb, plane = c->kh * row;
  int64_t i = k % plane / row, in_row = k % row;
  int64_t j = is_kw3(c) ? in_row % 3 : in_row / cb;
  int64_t channel = k / plane * cb + (is_kw3(c) ? in_row / 3 : in_row % cb);
  return (i * c->kw + j) * c->ic + channel;
}

static int64_t packed_size(const struct kerasrun_conv2d* c) {
  return padded_kc(c, k_size(c)) * c->groups * group_packed_oc(c);
}

struct pack_call {
  const struct kerasrun_conv2d* c;
  const float* filter;
  float* packed;
};

// pack_task packs a k block of a group. A row of the filter is read whole and spread over the
// panels: memory is faster in sequence, the more so where it is read.
static void pack_task(void* context, int64_t task) {
  const struct pack_call* call = context;
  const struct kerasrun_conv2d* c = call->c;
  int64_t group = task / k_blocks(c), k_block = task % k_blocks(c);
  int64_t group_oc = c->oc / c->groups, nr = panel_nr(c), k = k_block_begin(c, k_block);
  int64_t kc = k_block_begin(c, k_block + 1) - k, kc_padded = padded_kc(c, kc);
  float* packed = call->packed + (group * padded_kc(c, k_size(c)) + k) * group_packed_oc(c);
  for (int64_t i = 0; i < kc_padded; i++) {
    const float* row = NULL;
    if (i < kc) row = call->filter + filter_row(c, k + i) * c->oc + group * group_oc;
    for (int64_t channel = 0; channel < group_oc; channel += nr) {
      int64_t rest = min(nr, group_oc - channel), width = round_up_lanes(rest);
      int64_t copied = row ? rest : 0;
      float* to = packed + channel * kc_padded + i * width;
      if (copied > 0) memcpy(to, row + channel, copied * sizeof(float));
      if (copied < width) memset(to + copied, 0, (width - copied) * sizeof(float));
    }
  }
  if (c->bf16) round_to_bf16(packed, kc_padded * group_packed_oc(c));
}

static void pack_filter(const struct kerasrun_conv2d* c, const float* filter, float* packed) {
  struct pack_call call = {c, filter, packed};
  kerasrun_threadpool_run(pack_task, &call, c->groups * k_blocks(c));
}

// divide_tasks divides a call into tasks.
static void divide_tasks(struct conv2d_call* call) {
  const struct kerasrun_conv2d* c = call->c;
  // Threads that share few tasks wait for the last.
  int64_t wanted = 4 * kerasrun_threadpool_size(), images = 1, max_splits = KERASRUN_MC / MR;
  call->group_blocks = call->m_splits = 1;
  call->n_block_panels = NC / NR;
  if (kerasrun_conv2d_is_1x1(c)) {
    call->m_blocks = div_round_up(call->n * call->y.h * call->y.w, KERASRUN_MC);
  } else {
    images = call->n;
    call->m_blocks = 1;
    if (kerasrun_conv2d_has_padding(c)) {
      call->group_blocks = min(c->groups, div_round_up(wanted, images));
    } else {
      call->group_blocks = min(c->groups, div_round_up(c->groups * c->ic, COPY_CHANNELS));
      // What the first cache holds, or the second where the filter does not fit the first.
      int64_t cache = k_size(c) * (c->oc / c->groups) > 16384 ? 49152 : 8192;
      int64_t plane = min(cache, MAX_COPY_FLOATS / div_round_up(c->groups, call->group_blocks));
      int64_t rows = (plane / (call->y.w * c->stride_w * c->ic) - 2) / c->stride_h;
      call->m_blocks = div_round_up(call->y.h, max(1, rows));
    }
    max_splits = call->y.h / call->m_blocks;
  }
  for (;;) {
    call->n_blocks = div_round_up(panels(c), call->n_block_panels);
    call->tasks = images * call->group_blocks * call->m_blocks * call->m_splits * call->n_blocks;
    if (call->tasks >= wanted) break;
    if (call->n_block_panels * NR > 64)
      call->n_block_panels /= 2;
    else if (2 * call->m_splits <= max_splits)
      call->m_splits *= 2;
    else
      break;
  }
  if (!kerasrun_conv2d_is_1x1(c)) call->m_blocks *= call->m_splits;
}

static int run(const struct kerasrun_conv2d* c, const float* packed, const float* bias,
               const float* add, const float* x, int64_t n, int64_t h, int64_t w, float* y) {
  assert(kerasrun_conv2d_valid(c) && packed && bias && x && y);
  assert(n > 0 && kerasrun_conv2d_fits(c, n, h, w));
  struct conv2d_call call = {.c = c, .packed = packed, .bias = bias, .n = n};
  int64_t out_h = kerasrun_conv2d_out_h(c, h), out_w = kerasrun_conv2d_out_w(c, w);
  assert(out_h > 0 && out_w > 0);
  call.x = kerasrun_view(c->x, x, h, w, c->ic * c->groups);
  call.y = kerasrun_view(c->y, y, out_h, out_w, c->oc);
  if (add) call.add = kerasrun_view(c->add, add, out_h, out_w, c->oc);
  kerasrun_zero_padding(&call.y, n, c->oc);
  divide_tasks(&call);
  kerasrun_threadpool_task* task = kerasrun_conv2d_is_1x1(c) ? conv_1x1_task : direct_conv_task;
  kerasrun_threadpool_run(task, &call, call.tasks);
  return !atomic_load(&call.failed);
}
