// Package worker runs a model in a process of its own. What ends that process, such as an abort
// inside TensorFlow, ends neither the program nor what others ask of it: the runs that were in
// flight get a [*DiedError], and the process is started again.
//
// [Open] starts the process, a command that calls [Serve]; [Model] has the methods by which other
// packages run a model. The two sides speak over a pair of connected sockets: a gob message for
// each request and answer, and behind it the bytes of its tensors as they lie in memory. The
// package links no TensorFlow.
//
// A worker ends with the program that started it. It is no sandbox: it may do what the program may.
package worker
