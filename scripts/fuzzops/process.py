"""What a process of tries has: bounds of its memory, and a board that its parent reads, also after
the process has died."""

import ctypes
import marshal
import mmap
import resource
import signal
import struct
from pathlib import Path

# Above what the process has when it starts: a try that wants more is refused, or ends it. What
# ended a process is tried again with more: it counts where it was not for want of memory.
MEMORY = 512 << 20
MORE_MEMORY = 2 << 30
HUNG = 120  # seconds without an answer
HEADER = struct.Struct("qqq")  # tries begun, of these done without an error, bytes of the last
BOARD = 1 << 20  # bytes of the memory that parent and child share


def limit_memory(memory=MEMORY):
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def refuse_at_once():
    """Where there is no memory TensorFlow waits 10 s in case that another thread returns some. This
    process's code is changed to wait for 1 ms: otherwise most of a run's time goes there."""
    wait = "_ZN3tsl12BFCAllocator28AllocateRawInternalWithRetryEmmRKNS_20AllocationAttributesE"
    function = getattr(ctypes.CDLL(framework()), wait)
    address = ctypes.cast(function, ctypes.c_void_p).value
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        memory.seek(address)
        code = memory.read(256)
        ten_seconds = struct.pack("<I", 10_000)
        if code.count(ten_seconds) != 1:
            raise RuntimeError(f"expected one constant of 10000 in {wait}, got another code")
        memory.seek(address + code.index(ten_seconds))
        memory.write(struct.pack("<I", 1))


def name_no_functions():
    """What dies prints where, which takes half a second. The message alone is enough."""
    name = "_ZN4absl12lts_2025081412log_internal28EnableSymbolizeLogStackTraceEb"
    getattr(ctypes.CDLL(framework()), name)(False)


def framework():
    """The path of the library that TensorFlow has loaded."""
    maps = Path("/proc/self/maps").read_text().split()
    return next(path for path in maps if "libtensorflow_framework.so" in path)


def limit_time(seconds):
    """Ends the process by SIGPROF where it takes so much of the processors from now on, and by
    SIGALRM where it waits for ever."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, max(HUNG, 20 * seconds))


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
