// The pages of TensorFlow's libraries. Initialisers, the loader's relocations and the loading of a
// graph touch 250 MB of their code and constants, a run 20. The system keeps all of them in the
// process for as long as there is memory elsewhere.

// Drops clean file-backed pages of the libraries (MADV_DONTNEED). Those that are used again come
// from the page cache, in microseconds. A breakpoint that a debugger has set in them is lost.
void kerasrun_drop_pages(void);
