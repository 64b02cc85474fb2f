// Package preinit prepares a program for TensorFlow before it starts: a program opts in by
//
//	import _ "kerasrun/runner/preinit"
//
// TensorFlow's library decides in its static initialisers, before main, whether it computes with
// oneDNN, and writes to standard error there, whatever TF_CPP_MIN_LOG_LEVEL says. On Linux, this
// package runs before them:
//
//   - On x86 CPUs without VNNI TensorFlow leaves oneDNN off, which takes twice as long. There
//     TF_ENABLE_ONEDNN_OPTS is set to 1, unless it is set already. For that, a program that is
//     started without PATH starts itself again, once, which takes 0.3 s.
//   - Standard error is kept in memory until the initialisers are through. Then what
//     TF_CPP_MIN_LOG_LEVEL lets through is written out, or everything where they abort: there is a
//     handler of SIGABRT until then.
//   - TF_CPP_MIN_LOG_LEVEL is set to 2, errors only, unless it is set already.
//   - Reading a standard input, or writing a standard output, that was closed is an error. Go alone
//     would open /dev/null in its place.
//
// Only executables can have code that runs so early: a library of -buildmode=c-shared cannot import
// this package. On other systems it does nothing.
package preinit
