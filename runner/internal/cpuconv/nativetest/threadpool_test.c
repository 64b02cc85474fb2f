// Calls of the thread pool at once, more than it has threads: each task is computed once, and what
// the tasks wrote is there when the call returns. Threads of the pool take denormals for 0.

#include <immintrin.h>
#include <pthread.h>
#include <stdatomic.h>

#include "../threadpool.h"
#include "test.h"

enum { CALLERS = 5, CALLS = 200, MAX_TASKS = 40 };

struct call {
  int computed[MAX_TASKS];  // not atomic: a task that two threads compute is a data race
  int64_t tasks;
};

static __thread int calls;  // set in those that are no threads of the pool

static void task(void* context, int64_t i) {
  struct call* call = context;
  CHECK(calls || (_mm_getcsr() & 0x8040) == 0x8040, "expected no denormals, got MXCSR %x",
        _mm_getcsr());
  CHECK(i >= 0 && i < call->tasks, "task %d of %d", (int)i, (int)call->tasks);
  call->computed[i]++;
}

static void* caller(void* argument) {
  uint64_t random = (uint64_t)(uintptr_t)argument;
  calls = 1;
  for (int n = 0; n < CALLS; n++) {
    struct call call = {.tasks = random_int(&random, 0, MAX_TASKS)};
    kerasrun_threadpool_run(task, &call, call.tasks);
    for (int i = 0; i < MAX_TASKS; i++)
      CHECK(call.computed[i] == (i < call.tasks), "task %d of %d: computed %d times", i,
            (int)call.tasks, call.computed[i]);
  }
  return NULL;
}

// racing is the control, which an argument asks for: all callers compute the same tasks.
static void* racing(void* call) {
  calls = 1;
  for (int i = 0; i < MAX_TASKS; i++) task(call, i);
  return NULL;
}

int main(int argc, char** argv) {
  (void)argv;
  kerasrun_threadpool_start(3);
  static struct call shared = {.tasks = MAX_TASKS};
  pthread_t threads[CALLERS];
  for (intptr_t i = 0; i < CALLERS; i++) {
    void* argument = argc > 1 ? (void*)&shared : (void*)(i + 1);
    CHECK(!pthread_create(&threads[i], NULL, argc > 1 ? racing : caller, argument), "no thread");
  }
  for (int i = 0; i < CALLERS; i++) pthread_join(threads[i], NULL);
  printf("threadpool: %d calls from %d threads\n", CALLERS * CALLS, CALLERS);
  return 0;
}
