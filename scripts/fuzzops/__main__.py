"""Runs the operations that models may consist of with drawn arguments: which end the process?

Each operation runs in processes of its own, eagerly, on the CPU, with 1 GiB; convolutions and pools
also in graphs, as "session Conv2D", with what a session fuses into them. An error is what is
wanted. A signal is not: a client could end a server with it. What dies belongs off the allow-list
of savedmodel/ops.go, or under a rule of trusted.go. Eager runs have no inference of shapes, so some
that die here are refused in a graph. Results are kept in --out; a run that is ended goes on from
there.

    nice python -m scripts.fuzzops --tries 20000 --out out/fuzzops [OP ...]
"""

import argparse
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from . import eager, sessions
from .process import Board

REPOSITORY = Path(__file__).resolve().parents[2]
SESSIONS = [sessions.name_of(kind) for kind in sessions.KINDS]
CHUNK = 2500  # tries of one process
SESSION_CHUNK = 50  # a session's primitives stay in memory
MOST_DEATHS = 20
MOST_SLOW = 6


def allowed_ops(source):
    text = source.read_text()
    body = text[text.index("var allowedOps") : text.index("// variableWriters")]
    return sorted({op for group in re.findall(r"`([^`]*)`", body) for op in group.split()})


def passed_over(name):
    if name in SESSIONS:
        return ""
    op = op_def_registry.get(name)
    if op is None:
        return "TensorFlow does not have it"
    for attr in op.attr:
        if "func" in attr.type or attr.type == "tensor":
            return f"an attribute of type {attr.type}"
    if any(a.is_ref for a in [*op.input_arg, *op.output_arg]):
        return "a reference"
    return ""


class Child:
    """One process of tries."""

    def __init__(self, name, tries, result, args, only=None):
        self.board = Board()
        self.errors = os.memfd_create("errors")
        corpus = args.out / "kept" / name
        first = result["tries"]
        large = len(result["slow"]) < MOST_SLOW // 2  # what is large is mostly what is slow
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.dup2(self.errors, 2)
                way = sessions if name in SESSIONS else eager
                if only:
                    way.again(name, only)
                else:
                    way.run(name, tries, first, args.seed, self.board, corpus, large)
                status = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(status)

    def used(self):
        """The seconds of processors that the process took so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait(self, seconds):
        """Returns how the process ended, or None where one try took so much of the processors, or
        twenty times as long without them."""
        last, since, used = -1, time.monotonic(), 0
        pause = 0.005
        while True:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                return status
            begun, _ = self.board.counts()
            if begun != last:
                last, since, used = begun, time.monotonic(), self.used()
            elif self.used() - used > seconds or time.monotonic() - since > 20 * seconds:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                return None
            time.sleep(pause)
            pause = min(pause * 2, 0.1)

    def tail(self):
        size = os.fstat(self.errors).st_size
        return os.pread(self.errors, 1 << 16, max(size - (1 << 16), 0)).decode(errors="replace")

    def close(self):
        os.close(self.errors)
        self.board.close()


WHY = re.compile(
    r"Check failed|terminate called|what\(\)|Assertion|free\(\)|malloc|corrupt|Unsupported"
)


def why(tail):
    lines = [line for line in tail.splitlines() if WHY.search(line)]
    line = (lines or [""])[-1]
    return re.sub(r"^\S+ [\d:.]+ +\d+ ", "", line)[-300:]


def short(tried):
    def one(value):
        if isinstance(value, bytes):
            return value[:20].decode("latin-1")
        if isinstance(value, (list, tuple)):
            return [one(v) for v in value[:24]]
        if isinstance(value, dict):
            return {k: one(v) for k, v in value.items()}
        return value

    return one(tried)


def note_death(name, args, result, tried):
    """Tries what died once more, alone. A process that dies of many tries together has died of
    their memory; that is counted, and is no death."""
    child = Child(name, 1, result, args, only=tried)
    status = child.wait(args.try_seconds)
    if status is None or not os.WIFSIGNALED(status):
        result["unrepeated"] = result.get("unrepeated", 0) + 1
    else:
        how = signal.Signals(os.WTERMSIG(status)).name
        result["deaths"].append({"signal": how, "why": why(child.tail()), "try": short(tried)})
    child.close()


def deaths(result):
    return len(result["deaths"]) + result.get("unrepeated", 0)


def try_op(name, args, result):
    """Goes on with an operation until it has its tries, or has died or been slow often enough."""
    until = time.monotonic() + args.seconds
    while result["tries"] < args.tries and deaths(result) < MOST_DEATHS:
        if time.monotonic() > until or len(result["slow"]) >= MOST_SLOW:
            break
        chunk = SESSION_CHUNK if name in SESSIONS else CHUNK
        child = Child(name, min(chunk, args.tries - result["tries"]), result, args)
        status = child.wait(args.try_seconds)
        begun, good = child.board.counts()
        result["tries"] += begun
        result["good"] += good
        if status is None:
            result["slow"].append({"try": short(child.board.last())})
        elif os.WIFSIGNALED(status):
            note_death(name, args, result, child.board.last())
        elif status:
            result["failed"] = child.tail()[-500:]
            child.close()
            break
        child.close()


def path_of(name, args):
    return args.out / "results" / f"{name}.json"


def one(name, args):
    path = path_of(name, args)
    result = {"tries": 0, "good": 0, "deaths": [], "slow": []}
    if reason := passed_over(name):
        result = {"passed_over": reason}
    else:
        if path.exists():
            result = json.loads(path.read_text())
        try_op(name, args, result)
    path.write_text(json.dumps(result, indent=1))
    for line in sorted({f"{d['signal']} {d['why']}" for d in result.get("deaths", [])}):
        print(f"{name}: {line}", flush=True)
    if "failed" in result:
        print(f"{name}: failed: {result['failed'][-200:]}", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ops", nargs="*")
    parser.add_argument("--tries", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=3600, help="an operation's time")
    parser.add_argument("--try-seconds", type=float, default=4, help="a try's time")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    (args.out / "kept").mkdir(parents=True, exist_ok=True)
    (args.out / "results").mkdir(exist_ok=True)
    ops = args.ops or SESSIONS + allowed_ops(REPOSITORY / "savedmodel/ops.go")
    # Each job is a process with one thread: a fork of one with more may hang.
    jobs = []
    for i in range(args.jobs):
        jobs.append(os.fork())
        if jobs[-1] == 0:
            for name in ops[i :: args.jobs]:
                one(name, args)
            os._exit(0)
    for job in jobs:
        if os.waitpid(job, 0)[1]:
            sys.exit("a job of the fuzzer failed")
    results = {name: json.loads(path_of(name, args).read_text()) for name in ops}
    (args.out / "counts.json").write_text(
        json.dumps({"tensorflow": tf.__version__, "operations": results}, indent=1)
    )
    done = list(results.values())
    died = sum(bool(r.get("deaths")) for r in done)
    over = sum("passed_over" in r for r in done)
    tries = sum(r.get("tries", 0) for r in done)
    print(f"{len(done)} operations, {over} passed over, {tries} tries, {died} ended the process")
    return 1 if died else 0


if __name__ == "__main__":
    sys.exit(main())
