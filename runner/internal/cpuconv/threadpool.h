// Threads that compute the tiles of a convolution. A run is as many calls of operations as the model has convolutions, each over in a millisecond: a
// thread that waits for the next spins, and one whose CPU a second run needs stays out.

// Starts what it takes for so many threads to compute at once, callers included. To be called once, before the first run.
void kerasrun_pool_start(int threads);

// Says how many threads compute at once.
int kerasrun_pool_threads(void);

// Calls tile(of, i) for each i below tiles, on this thread and those that are free, and returns when all are done.
void kerasrun_pool_run(void (*tile)(void* of, long i), void* of, long tiles);
