// The pages of TensorFlow's libraries. Initialisers, the loader's relocations and the loading of a graph go through 250 MB of their code and
// constants, a run through 20. The system keeps all of them in the process for as long as there is memory elsewhere.

// Lets go of the pages that hold what the library's file holds. Those that are used again come back from the system's cache of files, in
// microseconds. A breakpoint that a debugger has set in the libraries is lost.
void kerasrun_drop_pages(void);
