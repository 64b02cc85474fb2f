"""Refuses model files that would run code, or touch other files, where they are loaded.

Keras 3 refuses most of it itself. tf_keras does not: it calls whichever function of TensorFlow a
layer names, `io.write_file` too, while it loads the file.
"""

from collections.abc import Iterable

from google.protobuf import json_format
from tensorflow.core.framework import node_def_pb2
from tensorflow.python.framework import op_def_registry

from kerasrun_export.backend import tf
from kerasrun_export.errors import ModelError

# The parts of TensorFlow and Keras whose functions compute and do nothing else.
COMPUTING = (
    *("__operators__", "audio", "bitwise", "dtypes", "image", "linalg", "math", "nn"),
    *("quantization", "ragged", "random", "sets", "signal", "sparse", "strings"),
    *("keras.activations", "keras.backend", "keras.losses", "keras.metrics"),
)
# Of those that have no part.
NOT_COMPUTING = (
    *("function", "import_graph_def", "load_library", "load_op_library", "numpy_function"),
    *("print", "py_function"),
)
# Of those of TensorFlow 1 that have no part either, and that TensorFlow 2 has not.
OF_TENSORFLOW_1 = ("div", "to_bfloat16", "to_double", "to_float", "to_int32", "to_int64")
TENSORS = ("RaggedTensor", "SparseTensor", "Tensor")  # classes whose methods compute
TYPES = ("function_type", "mask_type", "output_shape_type")  # what a Lambda layer's code is for
TRUST = "expected a file without, or --unsafe-lambda where its source is trusted"


def check(
    parts: Iterable[dict], path: str, *, custom_objects: str | None, packages: Iterable[str]
) -> None:
    """Raises ModelError where a part of the file's configuration holds code.

    Of a file of Keras 2 also where it names a function or a class of a module that is not one of
    the packages, a function of TensorFlow that does more than compute, or another file. packages:
    empty for Keras 3, which looks itself.
    """
    known = {"builtins", "keras", "tf_keras", "tensorflow", *packages}
    if custom_objects:
        known.add(custom_objects.partition(".")[0])
    for part in parts:
        options = part.get("config")
        options = options if isinstance(options, dict) else {}
        name = options.get("name", part.get("name"))
        if part.get("class_name") == "__lambda__" or _holds_code(part, options):
            raise ModelError(
                f"{path}: the Lambda layer {name!r} holds code, which loading it would run: {TRUST}"
            )
        if not packages:
            continue
        module = part.get("module")
        if isinstance(module, str) and module.partition(".")[0] not in known:
            raise ModelError(
                f"{path}: names {part.get('class_name')} of the module {module}, which loading it "
                f"would import: expected --custom-objects {module} where it is yours"
            )
        if called := _called(part.get("class_name"), options):
            raise ModelError(
                f"{path}: the layer {name!r} calls {called}, which does more than compute: {TRUST}"
            )
        if isinstance(file := options.get("vocabulary"), str):
            raise ModelError(
                f"{path}: the layer {name!r} has its vocabulary in another file, {file}: {TRUST}"
            )


def _holds_code(part: dict, options: dict) -> bool:
    if part.get("class_name") != "Lambda":
        return False
    inner = [value for value in options.values() if isinstance(value, dict)]
    return any(options.get(key) == "lambda" for key in TYPES) or any(
        value.get("class_name") == "__lambda__" for value in inner
    )


def _called(kind: object, options: dict) -> str:
    """What a layer of tf_keras for a function of TensorFlow calls, where that does more than
    compute; "" where it only computes.
    """
    if kind in ("TFOpLambda", "SlicingOpLambda"):
        function = str(options.get("function"))
        return "" if _computes(function) else function
    if kind == "ClassMethod":
        owner = str(options.get("cls_symbol"))
        return "" if owner in TENSORS else f"{owner}.{options.get('method_name')}"
    if kind == "TensorFlowOpLayer":
        operation = _operation(options.get("node_def"))
        return "" if _is_pure(operation) else operation
    return ""


def _computes(function: str) -> bool:
    part, _, name = function.removeprefix("compat.v1.").rpartition(".")
    if not part:
        public = any(hasattr(one, name) for one in (tf, tf.linalg, tf.math, tf.nn))
        return (public or name in OF_TENSORFLOW_1) and name not in NOT_COMPUTING
    if part == "io":
        return name.startswith(("decode_", "parse_"))
    return any(f"{part}.".startswith(f"{one}.") for one in COMPUTING)


def _operation(node: object) -> str:
    """The operation of a node as JSON has it, or as a string of its bytes."""
    try:
        if isinstance(node, dict):
            return json_format.ParseDict(node, node_def_pb2.NodeDef()).op
        return node_def_pb2.NodeDef.FromString(str(node).encode()).op
    except Exception:  # protobuf's own class differs by its implementation
        return "what cannot be read"


def _is_pure(operation: str) -> bool:
    definition = op_def_registry.get(operation)
    reads = operation.endswith(("File", "Files"))
    return definition is not None and not definition.is_stateful and not reads
