#define _GNU_SOURCE
#include "pages.h"

#ifdef __linux__
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int drop_segments(struct dl_phdr_info* library, size_t size, void* unused) {
  (void)size, (void)unused;
  if (!strstr(library->dlpi_name, "/libtensorflow")) return 0;
  uintptr_t page = sysconf(_SC_PAGESIZE);
  for (int i = 0; i < library->dlpi_phnum; i++) {
    const ElfW(Phdr)* segment = &library->dlpi_phdr[i];
    // Pages of a writable segment may differ from the file, the relocated ones among them.
    if (segment->p_type != PT_LOAD || segment->p_flags & PF_W) continue;
    uintptr_t begin = library->dlpi_addr + segment->p_vaddr, end = begin + segment->p_memsz;
    begin -= begin % page;
    madvise((void*)begin, end - begin, MADV_DONTNEED);
  }
  return 0;
}

void kerasrun_drop_pages(void) { dl_iterate_phdr(drop_segments, NULL); }
#else
void kerasrun_drop_pages(void) {}
#endif
