// Each call of run is a job in one of JOBS slots:
//
//   caller: fill a slot, wake sleepers, take tasks until there are none, close it, await helpers
//   helper: find an open job and a free CPU, take tasks, leave; sleep after SPIN_NANOSECONDS

#define _GNU_SOURCE
#include "threadpool.h"

#include <assert.h>
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
// What lies between two convolutions of a run takes tens of microseconds; to sleep and be woken
// takes as long.
#define SPIN_NANOSECONDS 200000

// job is a call. Helpers come in and the caller takes the job out under the lock; it waits then for
// those who are in.
static struct job {
  atomic_flag lock;
  kerasrun_threadpool_task* task;  // NULL: the slot is free
  void* context;
  atomic_long tasks;
  atomic_long next;
  atomic_int helpers;
  atomic_bool open;
} jobs[JOBS];

static int threads = 1;
static atomic_int active;  // callers and helpers: threads that compute
static atomic_int sleepers;
static atomic_int calls;  // a count, which sleepers wait on

static void lock(struct job* j) {
  while (atomic_flag_test_and_set_explicit(&j->lock, memory_order_acquire)) __builtin_ia32_pause();
}

static void unlock(struct job* j) { atomic_flag_clear_explicit(&j->lock, memory_order_release); }

// compute takes tasks until there are none; a helper leaves when callers need the CPUs.
static void compute(struct job* j, int helper) {
  while (!helper || atomic_load_explicit(&active, memory_order_relaxed) <= threads) {
    long i = atomic_fetch_add(&j->next, 1);
    if (i >= j->tasks) break;
    j->task(j->context, i);
  }
}

// help computes tasks of a job that has some, where a CPU is free for it.
static int help(void) {
  for (int i = 0; i < JOBS; i++) {
    struct job* j = &jobs[i];
    if (!atomic_load_explicit(&j->open, memory_order_acquire) || atomic_load(&j->next) >= j->tasks)
      continue;
    int n = atomic_load(&active);
    if (n >= threads || !atomic_compare_exchange_strong(&active, &n, n + 1)) continue;
    lock(j);
    int in = atomic_load(&j->open);
    if (in) atomic_fetch_add(&j->helpers, 1);
    unlock(j);
    if (in) {
      compute(j, 1);
      atomic_fetch_sub_explicit(&j->helpers, 1, memory_order_release);
    }
    atomic_fetch_sub(&active, 1);
    return in;
  }
  return 0;
}

static int64_t nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void* work(void* unused) {
  (void)unused;
  for (;;) {
    int seen = atomic_load(&calls);
    int64_t since = nanoseconds();
    do {
      if (help()) since = nanoseconds();
      sched_yield();  // TensorFlow's threads, and callers, may wait for this CPU
      for (int i = 0; i < 32; i++) __builtin_ia32_pause();
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
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are for Go's threads
  for (int i = 1; i < threads; i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL) == 0) pthread_detach(thread);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int kerasrun_threadpool_size(void) { return threads; }

void kerasrun_threadpool_run(kerasrun_threadpool_task* task, void* context, int64_t tasks) {
  assert(task && tasks >= 0);
  int busy = atomic_fetch_add(&active, 1) + 1 >= threads;
  struct job* j = NULL;
  if (!busy && tasks > 1)
    for (int i = 0; i < JOBS && !j; i++) {
      lock(&jobs[i]);
      if (!jobs[i].task) {
        j = &jobs[i];
        j->task = task;
        j->context = context;
        j->tasks = tasks;
        atomic_store(&j->next, 0);
        atomic_store_explicit(&j->open, 1, memory_order_release);
      }
      unlock(&jobs[i]);
    }
  if (j) {
    atomic_fetch_add(&calls, 1);
    if (atomic_load(&sleepers) > 0)
      syscall(SYS_futex, &calls, FUTEX_WAKE_PRIVATE, threads - 1, NULL, NULL, 0);
    compute(j, 0);
    lock(j);
    atomic_store(&j->open, 0);
    unlock(j);
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
