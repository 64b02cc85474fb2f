"""Asks of what died in a run of the fuzzer whether a model may have it: makes models of it, scans
them with kerasrun, and runs those that pass in sessions, as `kerasrun serve` does.

A death is answered where each of its models is refused, by the scan or by TensorFlow, or lives.

    python -m scripts.fuzzops.replay --out out/fuzzops --kerasrun bin/kerasrun [OP ...]
"""

import argparse
import base64
import contextlib
import json
import marshal
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from . import draw, eager, sessions
from .process import MORE_MEMORY, limit_memory, limit_time, name_no_functions, refuse_at_once

# What a model says of its inputs: their values, their shapes, their ranks or nothing; of those of
# integers, which mostly are sizes and axes, and of the others.
WAYS = {
    "constants": ("value", "value"),
    "shapes": ("shape", "shape"),
    "ranks": ("rank", "rank"),
    "nothing": ("", ""),
    "integers, ranks": ("value", "rank"),
    "integers, nothing": ("value", ""),
    "ranks of integers": ("rank", "value"),
}
SECONDS = 8
TOO_LONG = ("SIGPROF", "SIGALRM")
INTEGERS = (draw.INT32, draw.INT64)


def array(drawn):
    dtype, shape, values = drawn
    n = int(np.prod(shape, dtype=np.int64))
    kind = tf.as_dtype(dtype).as_numpy_dtype
    values = list(values)[: max(n, 1)] or [0]
    if dtype in eager.QUANTISED:
        flat = np.array(values, eager.QUANTISED[dtype]).view(kind)
    else:
        flat = np.array(values, kind)
    return np.resize(flat, n).reshape(shape)


def make(name, tried, way, directory):
    """Writes a model of a try. Returns what to send to its inputs, once or several times, and the
    names of its outputs."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        if name.startswith(sessions.name_of("")):
            x, y = sessions.graph(name.removeprefix(sessions.name_of("")), tried)
            sent = [sessions.image(x, sizes) for sizes in tried["shapes"]]
            feeds, inputs, outputs = [{x.name: s} for s in sent], [x], [y]
        else:
            one, outputs = node(name, tried, way)
            feeds, inputs = [one], [session.graph.get_tensor_by_name(n) for n in one]
        build = tf.compat.v1.saved_model.utils.build_tensor_info
        signature = tf.compat.v1.saved_model.build_signature_def(
            {f"x{i}": build(t) for i, t in enumerate(inputs)},
            {f"y{i}": build(t) for i, t in enumerate(outputs)},
            "tensorflow/serving/predict",
        )
        builder = tf.compat.v1.saved_model.Builder(str(directory))
        builder.add_meta_graph_and_variables(
            session, ["serve"], signature_def_map={"serving_default": signature}
        )
        builder.save()
        return feeds, [t.name for t in outputs]


def node(name, tried, way):
    """Adds the operation to the graph. Returns what to send, and its outputs."""
    said, feeds = WAYS[way], {}

    def tensor(drawn):
        value = array(drawn)
        says = said[drawn[0] not in INTEGERS]
        if says == "value":
            return tf.constant(value, tf.as_dtype(drawn[0]))
        shape = {"shape": value.shape, "rank": [None] * value.ndim, "": None}[says]
        made = tf.compat.v1.placeholder(drawn[0], shape)
        feeds[made.name] = value
        return made

    op = op_def_registry.get(name)
    inputs = {}
    for arg in op.input_arg:
        made = [tensor(t) for t in tried["inputs"][arg.name]]
        inputs[arg.name] = made if arg.number_attr or arg.type_list_attr else made[0]
    given = {
        a: v
        for a, v in tried["attrs"].items()
        if not any(a in (i.type_attr, i.number_attr, i.type_list_attr) for i in op.input_arg)
    }
    getattr(tf.raw_ops, name)(**inputs, **given)
    operations = tf.compat.v1.get_default_graph().get_operations()
    return feeds, next(o for o in operations if o.type == name).outputs


def scan(kerasrun, directory):
    """What the scan refuses, "" where it refuses nothing."""
    command = [kerasrun, "scan", "--format", "json", "--skip-check", "files,manifest,contract"]
    done = subprocess.run([*command, directory], capture_output=True, text=True)
    if done.returncode == 0:
        return ""
    errors = [f for f in json.loads(done.stdout)["findings"] if f["severity"] == "error"]
    return "; ".join(e["message"] for e in errors) or done.stderr


def in_a_process(work):
    """Runs work in a process with limits. Returns a signal's name, or "" where it ended itself."""
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else ""


def answer(name, tried, way, kerasrun):
    """How one model of a death ends."""
    with tempfile.TemporaryDirectory() as root:
        directory, notes = Path(root) / "model", Path(root) / "notes"

        def write():
            limit_time(SECONDS)
            try:
                notes.write_bytes(marshal.dumps(make(name, tried, way, directory)[1]))
            except Exception as e:
                notes.write_text("!" + str(e)[-300:])

        if ended := in_a_process(write):
            return f"TensorFlow's Python: {ended}"
        if notes.read_bytes()[:1] == b"!":
            return "TensorFlow does not make it: " + notes.read_text()[-200:].replace("\n", " ")
        if refused := scan(kerasrun, directory):
            return "the scan: " + refused

        def run():
            limit_memory(MORE_MEMORY)
            limit_time(SECONDS)
            feeds, outputs = make(name, tried, way, Path(root) / "again")
            notes.write_text("TensorFlow refuses the graph")
            with tf.Graph().as_default(), tf.compat.v1.Session() as session:
                tf.compat.v1.saved_model.load(session, ["serve"], str(directory))
                for feed in feeds:
                    with contextlib.suppress(tf.errors.OpError):
                        session.run(outputs, feed)
            notes.write_text("lives")

        ended = in_a_process(run)
        if ended in TOO_LONG:
            return "takes too long"
        if ended:
            return f"DIES: {ended}"
        return notes.read_text()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ops", nargs="*")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kerasrun", default="bin/kerasrun")
    parser.add_argument("--each", type=int, default=3, help="deaths of one message to ask of")
    args = parser.parse_args()
    refuse_at_once()
    name_no_functions()
    died = 0
    for path in sorted((args.out / "results").glob("*.json")):
        if args.ops and path.stem not in args.ops:
            continue
        asked = {}
        for death in json.loads(path.read_text()).get("deaths", []):
            asked[death["why"]] = asked.get(death["why"], 0) + 1
            if asked[death["why"]] > args.each:
                continue
            tried = marshal.loads(base64.b64decode(death["made"]))
            print(f"{path.stem}: {death['signal']} {death['why']}\n  {death['try']}")
            for way in ["sizes"] if path.stem.startswith(sessions.name_of("")) else WAYS:
                how = answer(path.stem, tried, way, args.kerasrun)
                died += how.startswith("DIES")
                print(f"  {way}: {how[:240]}", flush=True)
    print(f"{died} models that pass the scan die")
    return 1 if died else 0


if __name__ == "__main__":
    sys.exit(main())
