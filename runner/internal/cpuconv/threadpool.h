// Threads that compute the tasks of a convolution. A run is as many calls of operations as the
// model has convolutions, each over in a millisecond: a thread that waits for the next spins, and
// one whose CPU a second run needs stays out.

#pragma once

#include <stdint.h>

typedef void kerasrun_threadpool_task(void* context, int64_t task);

// kerasrun_threadpool_start starts what it takes for so many threads to compute at once, callers
// included. To be called once, before the first run.
void kerasrun_threadpool_start(int threads);

// kerasrun_threadpool_size returns how many threads compute at once.
int kerasrun_threadpool_size(void);

// kerasrun_threadpool_run calls task(context, i) for each i below tasks, on this thread and those
// that are free, and returns when all are done. Safe for concurrent use.
void kerasrun_threadpool_run(kerasrun_threadpool_task* task, void* context, int64_t tasks);
