// Package runner loads a SavedModel with TensorFlow, through tfgo, and runs it on the CPU or on
// GPUs.
//
//	model, err := runner.Open(ctx, "models/resnext50")
//	...
//	defer model.Close()
//	predictions, err := model.Classify(ctx, 5, photo)
//
// [Open] compares the directory with its manifest, and scans its graph, before TensorFlow reads any
// of it. Tensors are compared with the signature, because TensorFlow aborts the process on some
// mistakes. What tfgo panics with comes back as an error. [Model.Classify] goes from image files to
// labelled predictions, which match those of Keras; [Model.Run] takes tensors.
//
// # What vouches for a model
//
// TensorFlow runs in this process, and a model may end it. So Open loads only what something
// vouches for: that this user has exported it or that a process of its own has survived it, both
// remembered by the model's SHA-256 in the user's cache ([os.UserCacheDir]), or that the program
// names its SHA-256 ([WithModelSHA256]). Else it is [ErrUnvouched]. Open starts a process only
// where [WithProbe] says which; it may be the program itself:
//
//	func main() {
//		if len(os.Args) == 2 && os.Args[1] == "probe" {
//			if err := runner.Probe(context.Background(), os.Stdin); err != nil {
//				log.Fatal(err)
//			}
//			return
//		}
//		program, err := os.Executable()
//		...
//		model, err := runner.Open(ctx, dir, runner.WithProbe(program, "probe"))
//
// The process gets this one's environment, and the model's directory and options on standard input.
// Open waits for it.
//
// # Use
//
// A [Model] is safe for concurrent use. [Model.Close] frees its memory, which the garbage collector
// does not see: the caller of Open has to call it. The tensors that a run returns are in Go's
// memory, and are the caller's.
//
// Importing this package changes nothing in the process. A program that also imports
// [kerasrun/runner/preinit], for its side effects, keeps TensorFlow's first log lines away from
// standard error, and has TensorFlow use oneDNN on x86 CPUs without VNNI, where it is twice as
// fast. Without that import everything works; where TensorFlow leaves oneDNN off unasked, Open says
// so in one line, once, through [log/slog].
//
// # Environment
//
// TensorFlow reads these before main:
//
//	TF_ENABLE_ONEDNN_OPTS  0 leaves oneDNN off: slower, and without BF16
//	TF_CPP_MIN_LOG_LEVEL   what TensorFlow logs to standard error: 0 everything, 2 errors only
//	CUDA_VISIBLE_DEVICES   the GPUs that the process sees; all of them where it is not set
//
// GOMAXPROCS does not change TensorFlow's threads: see [WithThreads].
package runner
