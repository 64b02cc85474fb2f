"""A process of `kerasrun score --arrow-stream`, and those that wait for work."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator

import pyarrow as pa

# What the process is asked: an image's bytes, or its path, or both.
IMAGES = pa.schema(
    {"image": pa.struct({"bytes": pa.large_binary(), "path": pa.large_string()})},
)

# Record batches that are with the process at a time: one is decoded while the other runs. It reads
# as many without waiting until an answer is taken.
IN_FLIGHT = 2

# How many lines of its standard error an exception has.
LAST_LINES = 20


class ScoreError(RuntimeError):
    """kerasrun could not answer: a wrong model or flag, or its process was killed."""


class _Died(Exception):
    """The process has ended before its answer."""


class Process:
    """Answers record batches in their order.

    It ends with this process, however this ends: its standard input is then closed.
    """

    def __init__(self, command: tuple[str, ...], isolated: bool) -> None:
        self.command = command
        self._isolated = isolated
        self._start()

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise ScoreError(
                f"{self.command[0]}: expected the program kerasrun on this machine, got {error}: "
                "install it on each worker, or name it by program="
            ) from error
        self._writer = pa.ipc.new_stream(self._process.stdin, IMAGES)
        self._reader: pa.RecordBatchStreamReader | None = None
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        """Passes on what it says, and keeps the last of it."""
        for line in self._process.stderr:
            text = line.decode(errors="replace").rstrip("\n")
            self._lines.append(text)
            print(text, file=sys.stderr, flush=True)

    def answers(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yields for each batch of IMAGES an answer of as many rows.

        Where the process is isolated and is killed, it is started once more with what it had.
        """
        waiting: deque[pa.RecordBatch] = deque()
        for batch in batches:
            waiting.append(batch)
            try:
                self._write(batch)
            except _Died:
                self._restart(waiting)
            if len(waiting) == IN_FLIGHT:
                yield self._answer(waiting)
        while waiting:
            yield self._answer(waiting)

    def _answer(self, waiting: deque[pa.RecordBatch]) -> pa.RecordBatch:
        try:
            answer = self._read()
        except _Died:
            self._restart(waiting)
            try:
                answer = self._read()
            except _Died:
                raise self._error(waiting) from None
        asked = waiting.popleft()
        if answer.num_rows != asked.num_rows:
            raise ScoreError(
                f"kerasrun score: expected {asked.num_rows} rows, got {answer.num_rows}"
            )
        return answer

    def _restart(self, waiting: deque[pa.RecordBatch]) -> None:
        self._wait()
        if not self._isolated or self._process.returncode >= 0:
            raise self._error(waiting)
        self._start()
        try:
            for batch in waiting:
                self._write(batch)
        except _Died:
            raise self._error(waiting) from None

    def _write(self, batch: pa.RecordBatch) -> None:
        try:
            self._writer.write_batch(batch)
            self._process.stdin.flush()
        except OSError as error:
            raise _Died from error

    def _read(self) -> pa.RecordBatch:
        try:
            if self._reader is None:
                self._reader = pa.ipc.open_stream(self._process.stdout)
            return self._reader.read_next_batch()
        except (OSError, pa.ArrowInvalid, StopIteration) as error:
            raise _Died from error

    def schema(self) -> pa.Schema:
        """Ends the process, and returns the columns of its answers."""
        try:
            self._writer.close()
            self._process.stdin.close()
            schema = pa.ipc.open_stream(self._process.stdout).schema
        except (OSError, pa.ArrowInvalid):
            raise self._error(()) from None
        self.close()
        return schema

    def _wait(self) -> None:
        """Waits for a process that has closed its output."""
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(10)

    def _error(self, waiting: Iterable[pa.RecordBatch]) -> ScoreError:
        """Says why the process has ended."""
        self._wait()
        said = "\n".join(self._lines)
        status = self._process.returncode
        if status >= 0:
            return ScoreError(said or f"{self.command[0]}: ended with exit status {status}")
        images = [image for batch in waiting for image in _names(batch)]
        what = images[0] if images else "no image"
        if len(images) > 1:
            what = f"one of {len(images)} images, {images[0]} to {images[-1]}"
        advice = "it may be memory, of which a smaller batch= takes less"
        if not self._isolated:
            advice += "; where an image ends TensorFlow, isolate=True makes it a row with its error"
        return ScoreError(
            f"kerasrun score: expected an answer, got the end of its process by "
            f"{signal.Signals(-status).name} while it had {what}: {advice}"
            + (f"; it said:\n{said}" if said else "")
        )

    def close(self) -> None:
        """Ends the process, which has no images."""
        for end in (self._writer.close, self._process.stdin.close):
            with contextlib.suppress(OSError, ValueError):  # it has ended, or was closed
                end()
        self._wait()
        self._process.stdout.close()
        self._process.stderr.close()

    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self.close()


def _names(batch: pa.RecordBatch) -> list[str]:
    paths = batch.column(0).field("path").to_pylist()
    return [path or "an image without a path" for path in paths]


_idle: list[Process] = []
_lock = threading.Lock()
# What a fork's parent has is not the child's.
os.register_at_fork(after_in_child=_idle.clear)


def take(command: tuple[str, ...], isolated: bool) -> Process:
    """Returns a process for a command line: one that waits for work, or a new one."""
    while (process := _waiting(command)) is not None:
        if process.alive():
            return process
        process.close()  # it was killed while it waited
    return Process(command, isolated)


def _waiting(command: tuple[str, ...]) -> Process | None:
    with _lock:
        for process in _idle:
            if process.command == command:
                _idle.remove(process)
                return process
    return None


def give_back(process: Process) -> None:
    """Has a process, of which all answers were taken, wait for more work."""
    with _lock:
        _idle.append(process)


def end(command: tuple[str, ...]) -> None:
    """Ends the processes of a command line that wait for work."""
    with _lock:
        ended = [process for process in _idle if process.command == command]
        _idle[:] = [process for process in _idle if process.command != command]
    for process in ended:
        process.close()


@atexit.register
def _end_all() -> None:
    for command in {process.command for process in _idle}:
        end(command)
