"""Ends a command by a signal: at once, also inside of TensorFlow, and with nothing left behind.

Python raises KeyboardInterrupt where the main thread next runs Python code, wherever that is: what
removes a directory may itself be cut short, and a long run of TensorFlow is waited for. So a thread
of its own waits for signals here, and the main thread stands still.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from kerasrun_export import scratch

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PROGRAMS = ("kerasrun-export", "kerasrun-golden", "kerasrun-contract")


def is_command() -> bool:
    """Whether this process is one of the commands, and not a program that imports theirs."""
    return Path(sys.argv[0]).name in (*PROGRAMS, "-m")


def install() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP end this process, by a shell's statuses (130, 143,
    129). Those that it was started to ignore, as nohup does with SIGHUP, it ignores.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    messages = os.dup(2)  # what is standard error now may be another file for a while
    threading.Thread(target=_wait, args=(reader, messages), daemon=True).start()
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    handled = [s for s in SIGNALS if signal.getsignal(s) != signal.SIG_IGN]
    for each in handled:
        signal.signal(each, _stand_still)

    def restore() -> None:  # a child has no such thread, and would wake that of its parent
        signal.set_wakeup_fd(-1)
        for each in handled:
            signal.signal(each, signal.SIG_DFL)

    os.register_at_fork(after_in_child=restore)


def _stand_still(*_: object) -> None:
    if not scratch.is_whole():
        threading.Event().wait()


def _wait(reader: int, messages: int) -> None:
    number = 0
    while number not in SIGNALS:  # others may be handled in this process too
        number = os.read(reader, 1)[0]
    scratch.remove_all()
    name = Path(sys.argv[0]).name
    program = name if name in PROGRAMS else "kerasrun_export"
    message = f"{program}: stopped by a signal: {signal.strsignal(number)}\n"
    try:
        os.write(messages, message.encode())
    finally:
        os._exit(128 + number)
