"""What TensorFlow makes of an exported graph for a GPU, on a machine that has none: `python -m tools.gpugraph`.

Its optimizers are run for a GPU that is only described to them. With the wheel that has CUDA, that of
`TENSORFLOW=gpu make setup`, the kernels of what comes out are looked up too. Nothing is computed.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tools.backend import tf

# tools.backend comes first: it silences TensorFlow's import.
# isort: split
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import (
    config_pb2,
    device_properties_pb2,
    meta_graph_pb2,
    rewriter_config_pb2,
    saved_model_pb2,
)
from tensorflow.python.framework import kernels
from tensorflow.python.grappler import cluster, tf_optimizer

PRECISIONS = ("fp32", "tf32", "fp16")
DEVICE = "/job:localhost/replica:0/task:0/device:GPU:0"


def read(directory: Path) -> meta_graph_pb2.MetaGraphDef:
    """The graph that is tagged serve alone."""
    saved = saved_model_pb2.SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    return next(meta for meta in saved.meta_graphs if list(meta.meta_info_def.tags) == [tf.saved_model.SERVING])


def optimized(meta: meta_graph_pb2.MetaGraphDef, precision: str, compute: str) -> graph_pb2.GraphDef:
    """The graph as TensorFlow would run it on a GPU of that compute capability, "8.0" for instance."""
    placed = meta_graph_pb2.MetaGraphDef()
    placed.CopyFrom(meta)
    for output in placed.signature_def["serving_default"].outputs.values():
        placed.collection_def["train_op"].node_list.value.append(output.name)
    for node in placed.graph_def.node:
        node.device = DEVICE
    properties = device_properties_pb2.DeviceProperties(
        type="GPU", vendor="NVIDIA", num_cores=100, frequency=1400, memory_size=16 << 30, bandwidth=1 << 30,
        environment={"architecture": compute, "cuda": "12050", "cudnn": "90300"},
    )  # fmt: skip
    # As runner's sessions have it (sessionconfig.go).
    config = config_pb2.ConfigProto()
    rewrite = config.graph_options.rewrite_options
    rewrite.memory_optimization = rewriter_config_pb2.RewriterConfig.NO_MEM_OPT
    rewrite.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.ONE
    if precision == "fp16":
        rewrite.auto_mixed_precision = rewriter_config_pb2.RewriterConfig.ON
        rewrite.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.TWO
    tf.config.experimental.enable_tensor_float_32_execution(precision == "tf32")
    gpu = cluster.Cluster(
        disable_detailed_stats=True, devices=[device_properties_pb2.NamedDevice(name=DEVICE, properties=properties)]
    )
    return tf_optimizer.OptimizeGraph(config, placed, verbose=False, cluster=gpu)


def summary(graph: graph_pb2.GraphDef) -> Counter:
    """How many operations of each kind there are, convolutions by layout and type, casts by what they cast."""
    constants, counts = {node.name for node in graph.node if node.op == "Const"}, Counter()
    for node in graph.node:
        words = [node.op]
        if "data_format" in node.attr and node.op in ("Conv2D", "_FusedConv2D", "DepthwiseConv2dNative", "MaxPool"):
            words += [node.attr["data_format"].s.decode(), tf.dtypes.as_dtype(node.attr["T"].type).name]
        if node.op == "Cast":
            words.append("of a constant" if node.input[0] in constants else "of data")
        if node.op != "Const":
            counts[" ".join(words)] += 1
    return counts


def without_kernel(graph: graph_pb2.GraphDef) -> list[str]:
    """The operations that this TensorFlow cannot compute on a GPU, "Conv2D float32" for instance."""
    missing = set()
    for node in graph.node:
        types = {key: value.type for key, value in node.attr.items() if value.type}
        registered = kernels.get_registered_kernels_for_op(node.op).kernel
        if not any(
            kernel.device_type in ("GPU", "DEFAULT")
            and all(
                types.get(constraint.name) in (None, *constraint.allowed_values.list.type)
                for constraint in kernel.constraint
            )
            for kernel in registered
        ):
            missing.add(" ".join([node.op, *(tf.dtypes.as_dtype(value).name for value in types.values())]))
    return sorted(missing)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit status: 0 all have kernels, 1 one has none, 2 (by argparse) wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m tools.gpugraph", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, default=Path("models/resnext50"), help="the model's directory")
    parser.add_argument("--compute", default="8.0", help="the GPU's compute capability")
    options = parser.parse_args(arguments)
    meta, failed = read(options.model), False
    for precision in PRECISIONS:
        graph = optimized(meta, precision, options.compute)
        print(f"{precision}: " + ", ".join(f"{count} {what}" for what, count in sorted(summary(graph).items())))
        if not tf.test.is_built_with_cuda():
            print("  this TensorFlow is built without CUDA: kernels are not looked up")
            continue
        missing = without_kernel(graph)
        failed = failed or bool(missing)
        print("  no kernel for a GPU: " + ", ".join(missing) if missing else "  every operation has a kernel for a GPU")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
