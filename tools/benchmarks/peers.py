"""One peer of the comparison in a process of its own: `python -m tools.benchmarks.peers NAME --model DIR --batch N`.

The process loads, warms up, prints a line of JSON and then, for each number of seconds it reads, runs that long and
prints a line of JSON with the milliseconds of every run. The parent lets one process run at a time, so the peers are
interleaved.
"""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Run = Callable[[], object]
WARM_UP_RUNS = 3


def images(batch: int) -> np.ndarray:
    """Caffe-style tensors of the sample photographs, repeated to the batch."""
    from tools import photos  # each peer imports only what it needs: its memory is measured

    x = photos.load(224, 224, "caffe")
    return np.ascontiguousarray(np.resize(x, (batch, *x.shape[1:])), dtype=np.float32)


def frozen_graph(model: Path):
    """The GraphDef of the exported SavedModel."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((model / "saved_model.pb").read_bytes())
    return saved.meta_graphs[0]


def onnx_file(model: Path) -> Path:
    from tools.benchmarks.onnx_model import convert

    path = model.parent.parent / "out" / "bench" / "resnext50.onnx"
    if not path.exists() or path.stat().st_mtime < (model / "saved_model.pb").stat().st_mtime:
        path.parent.mkdir(parents=True, exist_ok=True)
        meta = frozen_graph(model)
        probs = meta.signature_def["serving_default"].outputs["probs"].name
        convert(meta.graph_def, "images", probs, path)
    return path


def keras_literal(model: Path, x: np.ndarray) -> Run:
    from tools.benchmarks.keras_models import load

    m = load(model, grouped=False)
    return lambda: m.predict(x, batch_size=len(x), verbose=0)


def keras_grouped(model: Path, x: np.ndarray) -> Run:
    from tools.benchmarks.keras_models import load

    m = load(model, grouped=True)
    return lambda: m.predict(x, batch_size=len(x), verbose=0)


def tensorflow_python(model: Path, x: np.ndarray) -> Run:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(model), tags=["serve"])
    signature, tensor = loaded.signatures["serving_default"], tf.constant(x)
    return lambda: signature(images=tensor)["probs"].numpy()


def onnxruntime_python(model: Path, x: np.ndarray) -> Run:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    session = ort.InferenceSession(onnx_file(model), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"images": x})[0]


def openvino_peer(precision: str) -> Callable[[Path, np.ndarray], Run]:
    def open_model(model: Path, x: np.ndarray) -> Run:
        import openvino as ov

        core = ov.Core()
        read = core.read_model(onnx_file(model))
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
        return lambda: request.infer({"images": x}, share_inputs=True)[compiled.output(0)]

    return open_model


def litert(model: Path, x: np.ndarray) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    from tools.benchmarks.tflite_model import tflite_file

    interpreter = Interpreter(model_path=str(tflite_file(model)), num_threads=len(os.sched_getaffinity(0)))
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], x.shape)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run() -> np.ndarray:
        interpreter.set_tensor(source, x)
        interpreter.invoke()
        return interpreter.get_tensor(target)

    return run


def matmul(dtype: str) -> Callable[[Path, np.ndarray], Run]:
    """The machine's matrix-product rate: the limit that convolutions are held against."""

    def open_model(model: Path, x: np.ndarray) -> Run:
        import tensorflow as tf

        from tools.benchmarks.__main__ import MATMUL_SIZE

        rng = np.random.default_rng(0)
        a, b = (tf.cast(rng.standard_normal((MATMUL_SIZE, MATMUL_SIZE), np.float32), dtype) for _ in range(2))
        product = tf.function(lambda: tf.linalg.matmul(a, b)[:1, :1])
        return lambda: tf.cast(product(), tf.float32).numpy()

    return open_model


PEERS: dict[str, Callable[[Path, np.ndarray], Run]] = {
    "keras-literal": keras_literal,
    "keras-grouped": keras_grouped,
    "tensorflow-python": tensorflow_python,
    "onnxruntime": onnxruntime_python,
    "openvino": openvino_peer("f32"),
    "openvino-bf16": openvino_peer("bf16"),
    "litert": litert,
    "matmul-fp32": matmul("float32"),
    "matmul-bf16": matmul("bfloat16"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--batch", type=int, required=True)
    args = parser.parse_args()
    x = images(args.batch)

    started = time.perf_counter()
    run = PEERS[args.name](args.model, x)
    loaded = time.perf_counter()
    answer = np.asarray(run())
    first = time.perf_counter()
    for _ in range(WARM_UP_RUNS):
        run()
    say({"load_ms": 1e3 * (loaded - started), "first_run_ms": 1e3 * (first - loaded), "answer": answer[0].tolist()})
    for line in sys.stdin:
        deadline, runs = time.perf_counter() + float(line), []
        while not runs or time.perf_counter() < deadline:
            before = time.perf_counter()
            run()
            runs.append(1e3 * (time.perf_counter() - before))
        say({"runs_ms": runs, "peak_rss_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss})


def say(value: dict) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
