"""Runs the operations that models may consist of with drawn arguments: which end the process?

Each operation runs in processes of its own, eagerly, on the CPU, with little memory; convolutions
and pools also in graphs, as "session Conv2D", with what a session fuses into them. An error is what
is wanted. A signal is not: a client could end a server with it. What dies belongs off the
allow-list of savedmodel/ops.go, or under a rule of trusted.go. Eager runs have no inference of
shapes, so some that die here are refused in a graph: replay.py tells which. All operations take
turns. Results are kept in --out; a run that is ended goes on from there.

    nice python -m scripts.fuzzops --tries 20000 --out out/fuzzops [OP ...]
"""

import argparse
import base64
import json
import marshal
import os
import re
import signal
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import tensorflow as tf
from tensorflow.python.framework import kernels, op_def_registry

from . import eager, sessions
from .process import Board, name_no_functions, refuse_at_once

REPOSITORY = Path(__file__).resolve().parents[2]
SESSIONS = [sessions.name_of(kind) for kind in sessions.KINDS]
SESSION_CHUNK = 50  # a session's primitives stay in memory
NOTED = 20  # tries that died of each kind, and of those that were slow, are written down
MOST_SLOW = 6  # what is large is mostly what is slow: after so many no more is drawn
FIRST_ROUND = 2000  # tries of each operation
TURN_SECONDS = 20  # after which another operation has its turn


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
    devices = {k.device_type for k in kernels.get_registered_kernels_for_op(name).kernel}
    if not devices & {"CPU", "DEFAULT"}:
        return "no kernel for the CPU"
    return ""


class Child:
    """One process of tries, or of one that is tried again."""

    def __init__(self, name, tries, result, args, only=None):
        self.board = Board()
        self.errors = os.memfd_create("errors")
        corpus = args.out / "kept" / name
        first = result["tries"]
        large = len(result["slow"]) < MOST_SLOW
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.dup2(self.errors, 2)
                way = sessions if name in SESSIONS else eager
                if only:
                    way.again(name, only, args)
                else:
                    way.run(name, tries, first, args, self.board, corpus, large)
                status = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(status)

    def wait(self):
        """Returns the signal that ended the process, 0 where none did, -1 where it failed."""
        _, status = os.waitpid(self.pid, 0)
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else -1 if status else 0

    def tail(self):
        size = os.fstat(self.errors).st_size
        return os.pread(self.errors, 1 << 16, max(size - (1 << 16), 0)).decode(errors="replace")

    def close(self):
        os.close(self.errors)
        self.board.close()


OUT_OF_TIME = {signal.SIGPROF: "slow", signal.SIGALRM: "hung"}


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


def written(tried, number):
    """A try as it is to be read, and as it can be made again."""
    made = base64.b64encode(marshal.dumps(tried)).decode()
    return {"number": number, "try": short(tried), "made": made}


def note_death(name, args, result, tried, first):
    """Tries what died once more, alone and with more memory. What does not die of that is counted,
    and is no death."""
    child = Child(name, 1, result, args, only=tried)
    ended = child.wait()
    if ended <= 0 or ended in OUT_OF_TIME or ended == signal.SIGKILL:
        result["unrepeated"] += 1
    else:
        death = {"signal": signal.Signals(ended).name, "why": why(child.tail())}
        result["died"] += 1
        alike = [d for d in result["deaths"] if d["why"] == death["why"]]
        if len(alike) < NOTED:
            result["deaths"].append(death | written(tried, first))
    child.close()


def try_op(name, args, result, most):
    """Goes on with an operation until it has so many tries, for the time of a turn."""
    until = time.monotonic() + TURN_SECONDS
    while result["tries"] < most and time.monotonic() < until and "failed" not in result:
        first = result["tries"]
        chunk = SESSION_CHUNK if name in SESSIONS else eager.CHUNK
        child = Child(name, min(chunk, most - first), result, args)
        ended = child.wait()
        begun, good = child.board.counts()
        result["tries"] += begun
        result["good"] += good
        if ended in OUT_OF_TIME:
            result[OUT_OF_TIME[ended] + "_tries"] += 1
            noted = result[OUT_OF_TIME[ended]]
            if len(noted) < NOTED:
                noted.append(written(child.board.last(), result["tries"] - 1))
        elif ended == -1:
            result["failed"] = child.tail()[-500:]
        elif ended:
            note_death(name, args, result, child.board.last(), result["tries"] - 1)
        child.close()


def path_of(name, args):
    return args.out / "results" / f"{name}.json"


EMPTY = {"tries": 0, "good": 0, "died": 0, "unrepeated": 0, "slow_tries": 0, "hung_tries": 0,
         "deaths": [], "slow": [], "hung": []}  # fmt: skip


def one(name, args, most):
    path = path_of(name, args)
    result = json.loads(path.read_text()) if path.exists() else json.loads(json.dumps(EMPTY))
    if reason := passed_over(name):
        result = {"passed_over": reason}
    elif result["tries"] >= most:
        return
    else:
        seen = len(result["deaths"])
        since = time.monotonic()
        try_op(name, args, result, most)
        result["seconds"] = result.get("seconds", 0) + time.monotonic() - since
        for line in sorted({f"{d['signal']} {d['why']}" for d in result["deaths"][seen:]}):
            print(f"{name}: {line}", flush=True)
    if "failed" in result:
        print(f"{name}: failed: {result['failed'][-200:]}", flush=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(result, indent=1))
    temporary.rename(path)


def take_turns(ops, args):
    """Brings all operations to as many tries, some thousand at a time."""
    rounds = range(eager.CHUNK, args.tries + eager.CHUNK, eager.CHUNK)
    for most in [FIRST_ROUND, *rounds]:
        for name in ops:
            one(name, args, min(most, args.tries))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ops", nargs="*")
    parser.add_argument("--tries", type=int, default=20_000)
    parser.add_argument("--try-seconds", type=float, default=0.5, help="of processors, for a try")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    (args.out / "kept").mkdir(parents=True, exist_ok=True)
    (args.out / "results").mkdir(exist_ok=True)
    ops = args.ops or allowed_ops(REPOSITORY / "savedmodel/ops.go") + SESSIONS
    refuse_at_once()
    name_no_functions()
    # Each job is a process with one thread: a fork of one with more may hang.
    jobs = []
    for i in range(args.jobs):
        jobs.append(os.fork())
        if jobs[-1] == 0:
            status = 1
            try:
                take_turns(ops[i :: args.jobs], args)
                status = 0
            finally:
                os._exit(status)
    for job in jobs:
        if os.waitpid(job, 0)[1]:
            sys.exit("a job of the fuzzer failed")
    results = {name: json.loads(path_of(name, args).read_text()) for name in ops}
    (args.out / "counts.json").write_text(
        json.dumps({"tensorflow": tf.__version__, "operations": results}, indent=1)
    )
    died = sum(bool(r.get("deaths")) for r in results.values())
    print(summary(results))
    return 1 if died else 0


def summary(results):
    tried = [r for r in results.values() if "passed_over" not in r]

    def total(what):
        return sum(r[what] for r in tried)

    return (
        f"{len(results)} operations, {len(results) - len(tried)} passed over, {total('tries')} "
        f"tries, {total('good')} answered, {total('died')} died of "
        f"{sum(bool(r['died']) for r in tried)} operations, {total('unrepeated')} died once, "
        f"{total('slow_tries')} too slow, {total('hung_tries')} hung; "
        f"of {sum(not r['good'] for r in tried)} operations no try was answered"
    )


if __name__ == "__main__":
    sys.exit(main())
