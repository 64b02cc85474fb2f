// Package runner loads a SavedModel with TensorFlow, through tfgo, and runs it on the CPU or on
// GPUs.
//
// [Open] holds the directory against its manifest and judges what the graph would do before
// TensorFlow sees any of it; every tensor is held against the signature before TensorFlow sees it,
// because TensorFlow answers some mistakes with an abort of the process. What tfgo panics with
// comes back as an error. [Model.Classify] goes from image files to labelled predictions, and
// gives the answers of Keras.
//
// The memory of tensors in C is allocated and freed around each run; none of it waits for Go's
// garbage collector, which cannot see it.
//
// TensorFlow writes to standard error as the process starts, whatever TF_CPP_MIN_LOG_LEVEL says.
// This package keeps that back, and sets TF_CPP_MIN_LOG_LEVEL to 2, errors only, unless it is set;
// 0 brings everything back.
//
// On x86 CPUs without VNNI TensorFlow leaves oneDNN off, which takes twice as long. There this
// package sets TF_ENABLE_ONEDNN_OPTS to 1 unless it is set; with 0, sessions do without oneDNN. An
// executable that is started without PATH starts itself again for that, which takes 0.3 s.
//
// Both are done on Linux before TensorFlow's own initialisers, in a section that only executables
// can have: build with the tag no_preinit to leave it out, for -buildmode=c-shared.
package runner
