// Each call of run is a job in one of JOBS slots:
//
//   caller: fill a slot, wake sleepers, take tasks until there are none, close it, await helpers
//   helper: find an open job and a free CPU, take tasks, leave; sleep after SPIN_NANOSECONDS
//
// The tasks are in as many parts as there are threads. A thread takes those of its own part first,
// then those that others have left: what it reads is likely to be what it wrote in the call before,
// and lies in its own cache.

#define _GNU_SOURCE
#include "threadpool.h"

#include <assert.h>
#include <immintrin.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// As many calls may run at once and have help.
#define JOBS 16
// More threads than these share parts.
#define MAX_PARTS 64
// What lies between two convolutions of a run takes tens of microseconds; to sleep and be woken
// takes as long.
#define SPIN_NANOSECONDS 200000
enum { FLUSH_TO_ZERO = 1 << 15, DENORMALS_ARE_ZERO = 1 << 6 };  // of MXCSR
// A thread looks for jobs so many times before it lets others have its CPU.
#define LOOKS 64

// part is the tasks from next to end, in a cache line of its own.
struct part {
  _Alignas(64) atomic_long next;
  long end;
};

// job is a call. Helpers come in and the caller takes the job out under the lock; it waits then for
// those who are in.
static struct job {
  atomic_flag lock;
  kerasrun_threadpool_task* task;  // NULL: the slot is free
  void* context;
  atomic_int helpers;
  atomic_bool open;
  struct part parts[MAX_PARTS];
} jobs[JOBS];

static int threads = 1, parts = 1;
static atomic_int active;  // callers and helpers: threads that compute
static atomic_int open_jobs;
static atomic_int sleepers;
static atomic_int calls;  // a count, which sleepers wait on

static void lock(struct job* j) {
  while (atomic_flag_test_and_set_explicit(&j->lock, memory_order_acquire)) __builtin_ia32_pause();
}

static void unlock(struct job* j) { atomic_flag_clear_explicit(&j->lock, memory_order_release); }

// compute takes tasks until there are none, of a thread's own part first; a helper leaves when
// callers need the CPUs.
static void compute(struct job* j, int thread) {
  for (int i = 0; i < parts; i++) {
    struct part* p = &j->parts[(thread + i) % parts];
    while (thread == 0 || atomic_load_explicit(&active, memory_order_relaxed) <= threads) {
      if (atomic_load_explicit(&p->next, memory_order_relaxed) >= p->end) break;
      long task = atomic_fetch_add(&p->next, 1);
      if (task >= p->end) break;
      j->task(j->context, task);
    }
  }
}

static int has_tasks(struct job* j) {
  for (int i = 0; i < parts; i++)
    if (atomic_load_explicit(&j->parts[i].next, memory_order_relaxed) < j->parts[i].end) return 1;
  return 0;
}

// help computes tasks of a job that has some, where a CPU is free for it.
static int help(int thread) {
  for (int i = 0; i < JOBS; i++) {
    struct job* j = &jobs[i];
    if (!atomic_load_explicit(&j->open, memory_order_acquire)) continue;
    int n = atomic_load(&active);
    if (n >= threads || !atomic_compare_exchange_strong(&active, &n, n + 1)) continue;
    lock(j);
    int in = atomic_load(&j->open) && has_tasks(j);
    if (in) atomic_fetch_add(&j->helpers, 1);
    unlock(j);
    if (in) {
      compute(j, thread);
      atomic_fetch_sub_explicit(&j->helpers, 1, memory_order_release);
    }
    atomic_fetch_sub(&active, 1);
    if (in) return 1;
  }
  return 0;
}

static int64_t nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void* work(void* thread) {
  // As TensorFlow's threads: numbers below 2^-126 are 0, which take a hundred times as long else.
  _mm_setcsr(_mm_getcsr() | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
  for (;;) {
    int seen = atomic_load(&calls);
    int64_t since = nanoseconds();
    do {
      int helped = 0;
      for (int i = 0; i < LOOKS; i++) {
        if (atomic_load_explicit(&open_jobs, memory_order_relaxed) > 0)
          helped |= help((int)(intptr_t)thread);
        __builtin_ia32_pause();
      }
      if (helped) since = nanoseconds();
      sched_yield();  // TensorFlow's threads, and callers, may wait for this CPU
    } while (nanoseconds() - since < SPIN_NANOSECONDS);
    if (seen != atomic_load(&calls)) continue;
    atomic_fetch_add(&sleepers, 1);
    syscall(SYS_futex, &calls, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    atomic_fetch_sub(&sleepers, 1);
  }
  return NULL;
}

void kerasrun_threadpool_start(int n) {
  assert(n > 0);
  threads = n;
  parts = n < MAX_PARTS ? n : MAX_PARTS;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for Go's threads
  for (intptr_t i = 1; i < threads; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, (void*)i) == 0) pthread_detach(thread);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int kerasrun_threadpool_size(void) { return threads; }

// open_job puts a call in a free slot, NULL where there is none.
static struct job* open_job(kerasrun_threadpool_task* task, void* context, int64_t tasks) {
  for (int i = 0; i < JOBS; i++) {
    struct job* j = &jobs[i];
    lock(j);
    int free = !j->task;
    if (free) {
      j->task = task;
      j->context = context;
      for (int p = 0; p < parts; p++) {
        atomic_store_explicit(&j->parts[p].next, tasks * p / parts, memory_order_relaxed);
        j->parts[p].end = tasks * (p + 1) / parts;
      }
      atomic_store_explicit(&j->open, 1, memory_order_release);
    }
    unlock(j);
    if (free) return j;
  }
  return NULL;
}

void kerasrun_threadpool_run(kerasrun_threadpool_task* task, void* context, int64_t tasks) {
  assert(task && tasks >= 0);
  int busy = atomic_fetch_add(&active, 1) + 1 >= threads;
  struct job* j = NULL;
  if (!busy && tasks > 1) j = open_job(task, context, tasks);
  if (j) {
    atomic_fetch_add(&open_jobs, 1);
    atomic_fetch_add(&calls, 1);
    if (atomic_load(&sleepers) > 0)
      syscall(SYS_futex, &calls, FUTEX_WAKE_PRIVATE, threads - 1, NULL, NULL, 0);
    compute(j, 0);
    lock(j);
    atomic_store(&j->open, 0);
    unlock(j);
    atomic_fetch_sub(&open_jobs, 1);
    for (int spins = 0; atomic_load_explicit(&j->helpers, memory_order_acquire) > 0; spins++) {
      if (spins < 1000)
        __builtin_ia32_pause();
      else
        sched_yield();
    }
    lock(j);
    j->task = NULL;
    unlock(j);
  } else {
    for (int64_t i = 0; i < tasks; i++) task(context, i);
  }
  atomic_fetch_sub(&active, 1);
}
