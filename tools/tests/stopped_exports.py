"""Exports a model again and again, each time in a fork of this program that a signal stops at one
of the events that Python reports, so that where it is stopped depends on no clock.

stopped_exports.py MODEL OUT < JSON of [moment, signal, ...]; writes the JSON of what happened.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from kerasrun_export.cli import export, stopping

EVENTS = ("open", "os.mkdir", "os.rename", "shutil.copyfile", "shutil.rmtree", "tempfile.mkdtemp")


def main(model: str, out: Path) -> None:
    """A moment is the share of the events that a whole export has, of those that name a path beside
    out, or "place": when the directory is about to be put in place.
    """
    earlier = out.with_name("earlier")
    log = out.with_name("log")
    _, count, _ = run(model, earlier, log, None, 0)
    happened = []
    for moment, number, replaced in json.load(sys.stdin):
        if replaced:
            shutil.copytree(earlier, out)
        at = moment if moment == "place" else int(moment * count)
        status, _, text = run(model, out, log, at, number)
        kept = out.with_name(f"kept-{len(happened)}")
        if out.exists():
            out.rename(kept)
        left = sorted(path.name for path in out.parent.iterdir())
        left = [n for n in left if n not in ("earlier", "log") and not n.startswith("kept-")]
        whole = kept.name if kept.exists() else ""
        happened.append({"status": status, "stderr": text, "left": left, "whole": whole})
    json.dump(happened, sys.stdout)


def run(model: str, out: Path, log: Path, at: int | str | None, number: int) -> tuple:
    """The status of an export, how many events it had, and what it wrote to standard error."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 99
        try:
            with log.open("wb") as file:
                os.dup2(file.fileno(), 2)
                os.dup2(file.fileno(), 1)
            sys.argv[0] = stopping.PROGRAMS[0]
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
            stopping.install()
            count = 0

            def event(name: str, args: tuple) -> None:
                nonlocal count
                paths = [os.fspath(a) for a in args if isinstance(a, (str, os.PathLike))]
                if name not in EVENTS or not any(p.startswith(str(out.parent)) for p in paths):
                    return
                count += 1
                if count == at or (at == "place" and name == "os.rename" and paths[1] == str(out)):
                    os.kill(os.getpid(), number)

            sys.addaudithook(event)
            status = export.main(
                [model, "--pipeline", "load_img", "--mode", "tf", "--out", str(out)]
            )
            os.write(writer, str(count).encode())
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    _, ended = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(ended), int(text or 0), log.read_text()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
