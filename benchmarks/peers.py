"""One peer: `python -m benchmarks.peers NAME IMAGES.f32 BATCH DIR`.

The process loads, warms up, prints a line of JSON and then, for each number of seconds it reads,
runs that long and prints a line of JSON with the milliseconds of every run. The parent lets one
process run at a time, so the peers are interleaved. Each peer imports only what it needs, because
its memory is measured.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.machine import OUT
from benchmarks.timing import timed

Run = Callable[[], object]
WARM_UP_RUNS = 3
MATMUL_SIZE = 3072


def keras_peer(name: str) -> Callable[[Path, np.ndarray], Run]:
    def open_model(model: Path, x: np.ndarray) -> Run:
        from kerasrun_export import cli, group_sum  # noqa: F401  Keras finds its layers by name
        from kerasrun_export.backend import keras

        loaded = keras.models.load_model(OUT / f"{name}.keras")
        return lambda: loaded.predict(x, batch_size=len(x), verbose=0)

    return open_model


def tensorflow_python(model: Path, x: np.ndarray) -> Run:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(OUT / "frozen"), tags=["serve"])
    signature, tensor = loaded.signatures["serving_default"], tf.constant(x)
    return lambda: signature(images=tensor)["probs"].numpy()


def onnxruntime_python(model: Path, x: np.ndarray) -> Run:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = ort.InferenceSession(
        OUT / "resnext50.onnx", options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"images": x})[0]


def openvino_peer(precision: str, source: str) -> Callable[[Path, np.ndarray], Run]:
    def open_model(model: Path, x: np.ndarray) -> Run:
        import openvino as ov

        core = ov.Core()
        read = core.read_model(OUT / source)
        read.reshape({"images": list(x.shape)})  # static shapes are its fastest form
        compiled = core.compile_model(
            read,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": precision,
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": len(os.sched_getaffinity(0)),
            },
        )
        request = compiled.create_infer_request()
        return lambda: request.infer({"images": x}, share_inputs=True)[compiled.output("probs")]

    return open_model


def litert(model: Path, x: np.ndarray) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(
        model_path=str(OUT / "resnext50.tflite"), num_threads=len(os.sched_getaffinity(0))
    )
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], x.shape)
    interpreter.allocate_tensors()
    source, target = (
        interpreter.get_input_details()[0]["index"],
        interpreter.get_output_details()[0]["index"],
    )

    def run() -> np.ndarray:
        interpreter.set_tensor(source, x)
        interpreter.invoke()
        return interpreter.get_tensor(target)

    return run


def matmul(dtype: str) -> Callable[[Path, np.ndarray], Run]:
    """The machine's matrix-product rate: the limit that convolutions are held against."""

    def open_model(model: Path, x: np.ndarray) -> Run:
        import tensorflow as tf

        rng = np.random.default_rng(0)
        a, b = (
            tf.cast(rng.standard_normal((MATMUL_SIZE, MATMUL_SIZE), np.float32), dtype)
            for _ in range(2)
        )
        product = tf.function(lambda: tf.linalg.matmul(a, b)[:1, :1])
        return lambda: tf.cast(product(), tf.float32).numpy()

    return open_model


PEERS: dict[str, Callable[[Path, np.ndarray], Run]] = {
    "keras-literal": keras_peer("keras-literal"),
    "keras-grouped": keras_peer("keras-grouped"),
    "tensorflow-python": tensorflow_python,
    "onnxruntime": onnxruntime_python,
    "openvino": openvino_peer("f32", "resnext50.onnx"),
    "openvino-bf16": openvino_peer("bf16", "resnext50.onnx"),
    "openvino-int8": openvino_peer("f32", "quantized/int8"),
    "litert": litert,
    "matmul-fp32": matmul("float32"),
    "matmul-bf16": matmul("bfloat16"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("images", type=Path, help="tensors, float32")
    parser.add_argument("batch", type=int)
    parser.add_argument("model", type=Path)
    args = parser.parse_args()
    x = np.fromfile(args.images, np.float32).reshape(args.batch, 224, 224, 3)

    started = time.perf_counter()
    run = PEERS[args.name](args.model, x)
    loaded = time.perf_counter()
    answer = np.asarray(run())
    first = time.perf_counter()
    for _ in range(WARM_UP_RUNS):
        run()
    say(
        {
            "load_ms": 1e3 * (loaded - started),
            "first_run_ms": 1e3 * (first - loaded),
            "answer": answer[0].tolist(),
        }
    )
    for line in sys.stdin:
        runs = timed(run, float(line))
        say({"runs_ms": runs, "peak_rss_bytes": peak_rss()})


def peak_rss() -> int:
    """VmHWM, in bytes: getrusage's figure includes that of the process which started this one."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def say(value: dict) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
