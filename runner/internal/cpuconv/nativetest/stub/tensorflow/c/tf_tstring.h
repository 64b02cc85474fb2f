// A string of TensorFlow's, as large as it is there.

#pragma once

#include <stdint.h>

typedef struct TF_TString {
  uint64_t words[3];
} TF_TString;

void TF_StringDealloc(TF_TString* string);
