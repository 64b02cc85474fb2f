// What has to be done before the static initialisers of TensorFlow's library. No code of the
// program runs before them but one kind: the functions of an executable's .preinit_array.
//
// oneDNN: TF_ENABLE_ONEDNN_OPTS has to be in the environment then. The environment cannot be made
// longer in its place, and the C library takes none from elsewhere before the initialisers. So the
// variable stands where PATH does until they are through. Where there is no PATH the executable is
// started again, once, which takes as long as loading the library.
//
// Standard error: a memory file stands in its place until the initialisers are through.
//
// A standard input or output that is closed: Go would open /dev/null in its place, and what is
// written there be lost without an error. It is opened the other way round, so that it is one.

#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __x86_64__
#include <cpuid.h>
#endif

#if defined(__has_include)
#if __has_include("absl/base/options.h")
#include "absl/base/options.h"
#endif
#endif

// In .preinit_array the C library has no environment yet: the loader passes it.
static char** entry_of(const char* name, char** environment) {
  size_t n = strlen(name);
  for (; *environment; environment++)
    if (!strncmp(*environment, name, n) && (*environment)[n] == '=') return environment;
  return NULL;
}

static const char* value_of(const char* name, char** environment) {
  char** entry = entry_of(name, environment);
  return entry ? *entry + strlen(name) + 1 : NULL;
}

#ifdef __x86_64__
// Says whether the library uses oneDNN unasked: tsl's DefaultOneDnnPolicy.
static int has_vnni(void) {
  unsigned a, b, c, d;
  int avx512_vnni = __get_cpuid_count(7, 0, &a, &b, &c, &d) && c >> 11 & 1;
  int avx_vnni_or_avx512_bf16 = __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 4 & 3;
  return avx512_vnni || avx_vnni_or_avx512_bf16;
}

static char onednn[] = "TF_ENABLE_ONEDNN_OPTS=1";
static char **stood_in_for, *path;

static void use_onednn(char** argv, char** environment) {
  // Without a base the loader itself is the executable, and the program its argument.
  if (has_vnni() || value_of("TF_ENABLE_ONEDNN_OPTS", environment) || !getauxval(AT_BASE)) return;
  stood_in_for = entry_of("PATH", environment);
  if (stood_in_for) {
    path = *stood_in_for;
    *stood_in_for = onednn;
    return;
  }
  size_t n = 0;
  while (environment[n]) n++;
  char* longer[n + 2];
  longer[0] = onednn;
  memcpy(longer + 1, environment, (n + 1) * sizeof *environment);
  char executable[PATH_MAX] = "";
  if (readlink("/proc/self/exe", executable, sizeof executable - 1) > 0)
    execve(executable, argv, longer);  // by its path: the process takes its name from it
  // The path is gone. Where this fails too, sessions do without oneDNN.
  execve("/proc/self/exe", argv, longer);
}

static void put_path_back(void) {
  if (!stood_in_for) return;
  *stood_in_for = path;
  // An initialiser may have copied the environment, to set a variable of its own.
  for (char** v = environ; *v; v++)
    if (*v == onednn) *v = path;
  setenv("TF_ENABLE_ONEDNN_OPTS", "1", 0);  // for what is read later
}
#endif

static int standard_error = -1, kept = -1;

static void restore(void) {
  dup2(standard_error, STDERR_FILENO);
  close(standard_error);
}

// Copies the kept lines of at least the level's severity. A line that begins no message goes with
// the message before it.
static void replay(int level) {
  FILE* lines = fdopen(kept, "r");
  if (!lines) return;
  rewind(lines);
  char line[4096];
  int show = 1;
  while (fgets(line, sizeof line, lines)) {
    const char* severity = strchr("IWEF", line[0]);
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

static void keep_standard_error(char** environment) {
  const char* level = value_of("TF_CPP_MIN_LOG_LEVEL", environment);
  if (level && !strcmp(level, "0")) return;
  kept = memfd_create("tensorflow-log", MFD_CLOEXEC);
  standard_error = dup(STDERR_FILENO);
  if (kept < 0 || standard_error < 0 || dup2(kept, STDERR_FILENO) < 0) {
    standard_error = -1;
    return;
  }
  signal(SIGABRT, on_abort);
}

static void deny_closed(void) {
  // The lowest descriptor that is free is the one that is opened.
  if (fcntl(STDIN_FILENO, F_GETFD) < 0 && errno == EBADF) open("/dev/null", O_WRONLY);
  if (fcntl(STDOUT_FILENO, F_GETFD) < 0 && errno == EBADF) open("/dev/null", O_RDONLY);
}

static void before_libraries(int argc, char** argv, char** environment) {
  (void)argc, (void)argv;
  deny_closed();
#ifdef __x86_64__
  use_onednn(argv, environment);
#endif
  keep_standard_error(environment);
}

__attribute__((section(".preinit_array"),
               used)) static void (*const preinit)(int, char**, char**) = before_libraries;

// Sets the level that the library's initialiser would have read from the environment.
static void set_level(int level) {
#ifdef ABSL_OPTION_INLINE_NAMESPACE_NAME
#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)
  char name[200];
  const char* space = TEXT_OF(ABSL_OPTION_INLINE_NAMESPACE_NAME);
  snprintf(name, sizeof name, "_ZN4absl%zu%s14SetMinLogLevelENS0_18LogSeverityAtLeastE",
           strlen(space), space);
  void (*set)(int) = (void (*)(int))dlsym(RTLD_DEFAULT, name);
  if (set) set(level);
#endif
}

__attribute__((constructor)) static void after_libraries(void) {
#ifdef __x86_64__
  put_path_back();
#endif
  const char* chosen = getenv("TF_CPP_MIN_LOG_LEVEL");
  if (standard_error >= 0) {
    signal(SIGABRT, SIG_DFL);
    restore();
    replay(chosen ? atoi(chosen) : 2);
  }
  if (!chosen) {
    // Libraries older than 2.18 read it lazily, and so do child processes.
    setenv("TF_CPP_MIN_LOG_LEVEL", "2", 0);
    set_level(2);
  }
}
