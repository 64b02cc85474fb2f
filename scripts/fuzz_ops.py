"""Runs the operations that models may consist of with random inputs: which end the process?

Each operation runs in a process of its own, eagerly, on the CPU. An error is what is wanted. A
signal is not: a client could end a server with it. What dies belongs off the allow-list of
savedmodel/ops.go, or under a bound of the scan's. Eager runs have no inference of shapes, so some
that die here are refused in a graph. Operations that take references, resources or functions are
passed over and counted.

    nice python scripts/fuzz_ops.py --tries 300 --out out/fuzz_ops.json [OP ...]
"""

import argparse
import json
import os
import random
import re
import resource
import signal
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

REPOSITORY = Path(__file__).resolve().parent.parent
MEMORY = 24 << 30  # of addresses, so that a tensor of terabytes is an error
MOST_ELEMENTS = 200_000
SIZES = [0, 1, 1, 2, 2, 3, 4, 5, 8, 17, 64]
LARGE = [255, 4096, 30_000, 65_536]
NUMBERS = [0, 0, 1, 1, 2, 3, 4, 7, -1, -2, 8, 100, 4096, 30_000, 65_536, 2**31 - 1, -(2**31)]
FLOATS = [0.0, 1.0, -1.0, 0.5, 3.0, 1e-30, 1e38, float("nan"), float("inf"), float("-inf")]


class Unsupported(Exception):
    """An operation whose arguments are not made here."""


def allowed_ops(source):
    text = source.read_text()
    body = text[text.index("var allowedOps") : text.index("// variableWriters")]
    return sorted({op for group in re.findall(r"`([^`]*)`", body) for op in group.split()})


class Arguments:
    """Random arguments of one operation."""

    def __init__(self, op, rng):
        self.op, self.rng = op, rng

    def draw(self):
        rng = self.rng
        self.shapes = [self.shape() for _ in range(2)]
        self.rank = rng.choice([None, 4, 4, 5, 3])
        self.small = rng.random() < 0.7
        attrs, given = {}, {}
        for attr in self.op.attr:
            attrs[attr.name] = value = self.attr(attr)
            if not self.inferred(attr.name) and (
                not attr.HasField("default_value") or rng.random() < 0.5
            ):
                given[attr.name] = value
        kwargs = {}
        for arg in self.op.input_arg:
            if arg.is_ref:
                raise Unsupported("a reference")
            if arg.number_attr:
                dtype = arg.type or attrs[arg.type_attr]
                kwargs[arg.name] = [self.tensor(dtype) for _ in range(attrs[arg.number_attr])]
            elif arg.type_list_attr:
                kwargs[arg.name] = [self.tensor(dtype) for dtype in attrs[arg.type_list_attr]]
            else:
                kwargs[arg.name] = self.tensor(arg.type or attrs[arg.type_attr])
        return kwargs | given

    def inferred(self, name):
        return any(
            name in (a.type_attr, a.number_attr, a.type_list_attr) for a in self.op.input_arg
        )

    def attr(self, attr):
        rng = self.rng
        values = attr.allowed_values.list
        match attr.type:
            case "type":
                types = list(values.type) or [1, 3, 9, 7, 10, 2, 19]
                return rng.choice(
                    [t for t in types if t in (1, 2, 3, 9, 10, 7, 4, 6, 8, 12, 11)] or types
                )
            case "list(type)":
                types = [t for t in (list(values.type) or [1, 3, 9]) if t in (1, 2, 3, 9, 10, 7)]
                return [rng.choice(types or [1]) for _ in range(rng.randrange(4))]
            case "int":
                if self.inferred(attr.name):
                    return rng.choice([1, 1, 2, 2, 3, 5])
                return max(attr.minimum if attr.has_minimum else -(2**62), rng.choice(NUMBERS))
            case "list(int)":
                low = 1 if attr.name in ("ksize", "strides", "rates", "dilations") else 0
                if rng.random() < 0.6:
                    n = rng.choice([4, 5])
                    number = (
                        (lambda: rng.choice([low, 1, 1, 2, 3]))
                        if rng.random() < 0.7
                        else self.number
                    )
                    return [1, *(number() for _ in range(n - 2)), 1]
                return [self.number() for _ in range(rng.choice([0, 1, 2, 4, 8, 10]))]
            case "float":
                return rng.choice(FLOATS)
            case "bool":
                return rng.random() < 0.5
            case "string":
                return rng.choice(list(values.s) or [b"", b"a", b"ij,jk->ik", b"UTF-8"])
            case "shape":
                return self.shape()
            case "list(float)":
                return sorted(rng.choice(FLOATS[:7]) for _ in range(rng.randrange(4)))
            case "list(shape)":
                return [self.shape() for _ in range(rng.randrange(3))]
            case "list(string)":
                return [rng.choice([b"", b"a"]) for _ in range(rng.randrange(3))]
        raise Unsupported(attr.type)

    def number(self):
        return self.rng.choice(NUMBERS[:8] if self.small else NUMBERS)

    def shape(self):
        rng = self.rng
        shape = [rng.choice(SIZES) for _ in range(rng.choice([0, 1, 1, 2, 2, 3, 4, 4, 5, 6]))]
        if shape and rng.random() < 0.15:
            shape[rng.randrange(len(shape))] = rng.choice(LARGE)
        while np.prod(shape, dtype=np.float64) > MOST_ELEMENTS:
            shape[int(np.argmax(shape))] = 1
        return shape

    def tensor(self, dtype):
        rng = self.rng
        dtype = tf.dtypes.as_dtype(dtype)
        if dtype == tf.variant:
            return tf.raw_ops.TensorListReserve(
                element_shape=[2], num_elements=rng.choice([0, 1, 3]), element_dtype=tf.float32
            )
        if dtype == tf.resource:
            raise Unsupported("a resource")
        shape = rng.choice([self.shapes[0], self.shapes[0], self.shapes[1], [], self.shape()])
        if dtype == tf.string:
            values = [
                rng.choice([b"", b"a", b"1.5", b"\xff", b"a" * 300])
                for _ in range(min(int(np.prod(shape)), 999))
            ]
            return (
                tf.constant(values) if len(shape) != 0 else tf.constant(rng.choice([b"", b"a,b"]))
            )
        if dtype.is_integer and dtype.size >= 4 and rng.random() < 0.6:
            # Sizes, indices and axes: few, and of any size.
            shape = rng.choice([[], [1], [2], [4], [4, 2], [5, 2], shape])
        n = int(np.prod(shape))
        if dtype.is_integer:
            limits = (dtype.min, dtype.max)
            data = [min(max(self.number(), limits[0]), limits[1]) for _ in range(min(n, 64))]
        elif dtype == tf.bool:
            data = [rng.random() < 0.5 for _ in range(min(n, 64))]
        else:
            data = [rng.choice(FLOATS[:6] if self.small else FLOATS) for _ in range(min(n, 64))]
        array = np.resize(np.array(data, dtype=dtype.as_numpy_dtype), n).reshape(shape)
        return tf.constant(array, dtype)


def describe(kwargs):
    def one(value):
        if isinstance(value, list):
            return [one(v) for v in value][:12]
        if isinstance(value, tf.Tensor):
            if value.dtype == tf.variant:
                return "variant"
            flat = value.numpy().ravel()[:12].tolist() if value.shape.rank else value.numpy()
            return f"{value.dtype.name}{value.shape.as_list()} {flat}"
        return str(value)

    return json.dumps({name: one(value) for name, value in kwargs.items()}, default=str)


def run_op(name, tries, seed, log):
    """Runs in the child. It writes each try down first: the last one written is what died."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    arguments = Arguments(op_def_registry.get(name), random.Random(seed))
    function = getattr(tf.raw_ops, name)
    good = 0
    for i in range(tries):
        try:
            kwargs = arguments.draw()
            os.pwrite(
                log,
                (json.dumps({"try": i, "good": good}) + "\n" + describe(kwargs) + "\n")
                .ljust(4096)
                .encode(),
                0,
            )
            function(**kwargs)
            good += 1
        except Unsupported as e:
            return {"passed_over": str(e)}
        except Exception:
            continue
    return {"tries": tries, "good": good}


def try_op(name, tries, seed, seconds, errors):
    if op_def_registry.get(name) is None or not hasattr(tf.raw_ops, name):
        return {"passed_over": "unknown"}
    if any("func" in attr.type or attr.type == "tensor" for attr in op_def_registry.get(name).attr):
        return {"passed_over": "a function or a tensor as an attribute"}
    before = os.fstat(errors).st_size
    log = os.memfd_create("try")
    answer = os.memfd_create("answer")
    pid = os.fork()
    if pid == 0:
        os.dup2(errors, 2)
        try:
            os.pwrite(answer, json.dumps(run_op(name, tries, seed, log)).encode(), 0)
        finally:
            os._exit(0)
    until = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            lines = os.pread(log, 8192, 0).decode(errors="replace").split("\n")
            return {"not_done_after_s": seconds, "last": lines[:2]}
        time.sleep(0.005)
    if not os.WIFSIGNALED(status):
        return json.loads(os.pread(answer, 4096, 0) or b'{"tries": 0, "failed": true}')
    lines = os.pread(log, 8192, 0).decode(errors="replace").split("\n")
    tail = os.pread(errors, 1 << 20, before).decode(errors="replace")
    why = [
        line
        for line in tail.splitlines()
        if "Check failed" in line or "terminate" in line or "what()" in line
    ]
    return {
        "signal": signal.Signals(os.WTERMSIG(status)).name,
        "at": lines[0].strip(),
        "arguments": lines[1].strip()[:1500] if len(lines) > 1 else "",
        "why": (why or [""])[-1][-300:],
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ops", nargs="*")
    parser.add_argument("--tries", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=6, help="an operation's time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    results = {}
    errors = os.memfd_create("errors")
    for op in args.ops or allowed_ops(REPOSITORY / "savedmodel/ops.go"):
        results[op] = result = try_op(op, args.tries, args.seed, args.seconds, errors)
        if "signal" in result:
            print(f"{op}: {result['signal']} {result['why']}", flush=True)
        args.out.write_text(json.dumps(results, indent=1))
    died = sum("signal" in r for r in results.values())
    passed_over = sum("passed_over" in r for r in results.values())
    print(f"{len(results)} operations, {passed_over} passed over, {died} ended the process")
    return 1 if died else 0


if __name__ == "__main__":
    sys.exit(main())
