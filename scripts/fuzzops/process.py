"""What a process of tries has: bounds of its memory, and a board that its parent reads, also after
the process has died."""

import marshal
import mmap
import resource
import struct
from pathlib import Path

# Above what the process has when it starts: a try that wants more is refused, or ends it.
MEMORY = 1 << 30
HEADER = struct.Struct("qqq")  # tries begun, of these done without an error, bytes of the last
BOARD = 1 << 20  # bytes of the memory that parent and child share


def limit_memory():
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Board:
    def __init__(self):
        self.memory = mmap.mmap(-1, BOARD)

    def begin(self, number, good, tried):
        """Writes a try down before it is made: the last one is what died. Returns whether there is
        room for it."""
        text = marshal.dumps(tried)
        if len(text) > BOARD - HEADER.size:
            return False
        self.memory[HEADER.size : HEADER.size + len(text)] = text
        HEADER.pack_into(self.memory, 0, number, good, len(text))
        return True

    def end(self, tries, good):
        HEADER.pack_into(self.memory, 0, tries, good, 0)

    def counts(self):
        """(begun, good)"""
        return HEADER.unpack_from(self.memory)[:2]

    def last(self):
        """The try that was begun last."""
        size = HEADER.unpack_from(self.memory)[2]
        return marshal.loads(self.memory[HEADER.size : HEADER.size + size]) if size else None

    def close(self):
        self.memory.close()
