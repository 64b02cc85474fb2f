package runner

/*
#define _GNU_SOURCE
#include <dlfcn.h>

// tensorflow::IsMKLEnabled; the libraries without it are newer or older than those that leave oneDNN off on some CPUs.
static int uses_onednn(void) {
  _Bool (*enabled)(void) = (_Bool (*)(void))dlsym(RTLD_DEFAULT, "_ZN10tensorflow12IsMKLEnabledEv");
  return !enabled || enabled();
}
*/
import "C"

// usesOneDNN says whether TensorFlow computes with oneDNN on the CPU, as it has decided at its start; see preinit_linux.c.
func usesOneDNN() bool { return C.uses_onednn() != 0 }
