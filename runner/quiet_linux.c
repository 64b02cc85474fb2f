//go:build linux && !tensorflow_banner

// TensorFlow's library logs from its static initialisers, before it looks at TF_CPP_MIN_LOG_LEVEL and before any code of ours but one:
// the functions of an executable's .preinit_array. So standard error is kept in memory from there until the initialisers are through,
// and then what the level lets through is written out. An abort in between writes out all of it.

#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__has_include)
#if __has_include("absl/base/options.h")
#include "absl/base/options.h"
#endif
#endif

static int standard_error = -1, kept = -1;

// In .preinit_array the C library has no environment yet: the loader passes it.
static const char *level_in(char **environment) {
  static const char name[] = "TF_CPP_MIN_LOG_LEVEL=";
  for (; *environment; environment++)
    if (!strncmp(*environment, name, sizeof name - 1)) return *environment + sizeof name - 1;
  return NULL;
}

static void restore(void) {
  dup2(standard_error, STDERR_FILENO);
  close(standard_error);
}

// Copies the kept lines of at least the level's severity; a line that begins no message goes with the message before it.
static void replay(int level) {
  FILE *lines = fdopen(kept, "r");
  if (!lines) return;
  rewind(lines);
  char line[4096];
  int show = 1;
  while (fgets(line, sizeof line, lines)) {
    const char *severity = strchr("IWEF", line[0]);
    if (severity && *severity && isdigit((unsigned char)line[1]))
      show = severity - "IWEF" >= level;
    else if (!strncmp(line, "WARNING: All log messages before absl", 37))
      show = level < 1;
    if (show && write(STDERR_FILENO, line, strlen(line)) < 0) break;
  }
  fclose(lines);
}

static void on_abort(int signal_number) {
  restore();
  char text[4096];
  ssize_t n;
  for (off_t at = 0; (n = pread(kept, text, sizeof text, at)) > 0; at += n)
    if (write(STDERR_FILENO, text, n) < 0) break;
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

static void keep(int argc, char **argv, char **environment) {
  (void)argc, (void)argv;
  const char *level = level_in(environment);
  if (level && !strcmp(level, "0")) return;
  kept = memfd_create("tensorflow-log", MFD_CLOEXEC);
  standard_error = dup(STDERR_FILENO);
  if (kept < 0 || standard_error < 0 || dup2(kept, STDERR_FILENO) < 0) {
    standard_error = -1;
    return;
  }
  signal(SIGABRT, on_abort);
}

__attribute__((section(".preinit_array"), used)) static void (*const before_libraries)(int, char **, char **) = keep;

// Sets the level that the library's initialiser would have read from the environment.
static void set_level(int level) {
#ifdef ABSL_OPTION_INLINE_NAMESPACE_NAME
#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)
  char name[200];
  const char *space = TEXT_OF(ABSL_OPTION_INLINE_NAMESPACE_NAME);
  snprintf(name, sizeof name, "_ZN4absl%zu%s14SetMinLogLevelENS0_18LogSeverityAtLeastE", strlen(space), space);
  void (*set)(int) = (void (*)(int))dlsym(RTLD_DEFAULT, name);
  if (set) set(level);
#endif
}

__attribute__((constructor)) static void after_libraries(void) {
  const char *chosen = getenv("TF_CPP_MIN_LOG_LEVEL");
  if (standard_error >= 0) {
    signal(SIGABRT, SIG_DFL);
    restore();
    replay(chosen ? atoi(chosen) : 2);
  }
  if (!chosen) {
    setenv("TF_CPP_MIN_LOG_LEVEL", "2", 0); // read lazily by libraries older than 2.18, and by those that fork from here
    set_level(2);
  }
}
