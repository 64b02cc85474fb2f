"""Makes the SavedModels beside this file, and expected.json: what TensorFlow itself says of them.

    .venv/bin/python savedmodel/testdata/generate.py

Each is a few kilobytes. Those called bad_* hold an operation or a path that Scan has to refuse.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow.python.client import pywrap_tf_session

HERE = Path(__file__).parent
V1 = tf.compat.v1
SPEC = tf.TensorSpec([None, 4], tf.float32, name="x")


def save(name: str, module: tf.Module, **options: object) -> None:
    """Writes a module as TensorFlow 2 does, without the fingerprint, which is drawn by chance."""
    tf.saved_model.save(module, str(HERE / name), **options)
    (HERE / name / "fingerprint.pb").unlink()
    if not any((HERE / name / "assets").iterdir()):
        (HERE / name / "assets").rmdir()


class Dense(tf.Module):
    """Variables, nested functions, two signatures."""

    def __init__(self) -> None:
        super().__init__()
        numbers = np.random.default_rng(0)
        self.kernel = tf.Variable(numbers.normal(size=(4, 3)).astype("float32"), name="kernel")
        self.bias = tf.Variable(tf.zeros(3), name="bias")
        self.steps = tf.Variable(tf.constant(7, tf.int64), trainable=False, name="steps")
        self.words = tf.Variable(["one", "", "three"], name="words")

    @tf.function(input_signature=[SPEC])
    def logits(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"logits": x @ self.kernel + self.bias}

    @tf.function(input_signature=[SPEC])
    def probabilities(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probs": tf.nn.softmax(self.logits(x)["logits"]), "steps": self.steps.read_value()}


def dense() -> None:
    module = Dense()
    save(
        "dense",
        module,
        signatures={"serving_default": module.probabilities, "logits": module.logits},
    )


def convolutions() -> None:
    """A model of convolutions with constants for weights, through a function without variables."""

    class Convolutions(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 2], tf.float32, name="images")])
        def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
            draw = np.random.default_rng(0).normal
            x = tf.nn.conv2d(images, draw(size=(3, 3, 2, 6)).astype("float32"), 2, "SAME")
            x = tf.nn.depthwise_conv2d(
                x, draw(size=(3, 3, 6, 1)).astype("float32"), [1, 1, 1, 1], "VALID"
            )
            x = tf.reshape(x, (-1, 24))
            return {"y": x @ draw(size=(24, 5)).astype("float32")}

    module = Convolutions()
    save("convolutions", module, signatures=module.__call__)


def half_plus_two() -> None:
    """TensorFlow's own example of a SavedModel, as its saved_model_half_plus_two.py builds it with
    version 1's builder: variables, a parser of examples, an asset, a main op.
    """
    source = Path("foo.txt")  # in the working directory: its path gets into the graph
    source.write_text("asset-file-contents")
    with V1.Graph().as_default(), V1.Session() as session:
        V1.set_random_seed(0)
        initial = {"a": 0.5, "b": 2.0, "c": 3.0}
        a, b, c = (
            V1.get_variable(n, initializer=v, use_resource=False) for n, v in initial.items()
        )
        serialized = V1.placeholder(tf.string, name="tf_example")
        features = V1.io.parse_example(
            serialized,
            {
                "x": V1.FixedLenFeature([1], tf.float32),
                "x2": V1.FixedLenFeature([1], tf.float32, default_value=[0.0]),
            },
        )
        x = tf.identity(features["x"], name="x")
        y = tf.add(tf.multiply(a, x), b, name="y")
        y2 = tf.add(tf.multiply(a, x), c, name="y2")
        original = tf.constant(str(source))
        V1.add_to_collection(V1.GraphKeys.ASSET_FILEPATHS, original)
        path = V1.get_variable(
            "filename_tensor", initializer="foo.txt", use_resource=False, trainable=False
        )
        initialise = tf.group(V1.assign(path, original))
        method = tf.saved_model.REGRESS_METHOD_NAME
        info = V1.saved_model.build_tensor_info

        def signature(inputs: dict, outputs: dict, method: str) -> meta_graph_pb2.SignatureDef:
            pair = ({k: info(v) for k, v in tensors.items()} for tensors in (inputs, outputs))
            return V1.saved_model.build_signature_def(*pair, method)

        session.run(V1.global_variables_initializer())
        builder = V1.saved_model.Builder(str(HERE / "half_plus_two"))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            main_op=initialise,
            assets_collection=V1.get_collection(V1.GraphKeys.ASSET_FILEPATHS),
            signature_def_map={
                "serving_default": signature(
                    {"x": x}, {"y": y}, tf.saved_model.PREDICT_METHOD_NAME
                ),
                "regress_x_to_y": signature({"inputs": serialized}, {"outputs": y}, method),
                "regress_x_to_y2": signature({"inputs": serialized}, {"outputs": y2}, method),
            },
        )
        builder.save()
    source.unlink()


def partitioned() -> None:
    """A partitioned variable and two graphs of other tags, version 1."""
    with V1.Graph().as_default(), V1.Session() as session:
        split = V1.fixed_size_partitioner(2)
        w = V1.get_variable(
            "w", [4, 3], initializer=V1.ones_initializer(), partitioner=split, use_resource=False
        )
        x = V1.placeholder(tf.float32, [None, 4], name="x")
        y = tf.matmul(x, tf.convert_to_tensor(w), name="y")
        session.run(V1.global_variables_initializer())
        builder = V1.saved_model.Builder(str(HERE / "partitioned"))
        signatures = {"serving_default": V1.saved_model.predict_signature_def({"x": x}, {"y": y})}
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures)
        builder.add_meta_graph(["serve", "gpu"], signature_def_map=signatures)
        builder.save()


def with_function(name: str, body: object, **options: object) -> None:
    """A model that calls body on its input."""
    module = tf.Module()
    function = tf.function(lambda x: {"y": body(x)}, input_signature=[SPEC], autograph=False)
    save(name, module, signatures=function, **options)


@tf.function
def hidden(x: tf.Tensor) -> tf.Tensor:
    """A library function that reads a file whatever its outputs need."""
    tf.io.read_file("/etc/hostname")
    return x * 2


def bad_in_function() -> None:
    with_function("bad_read_in_function", lambda x: hidden(x) + 1)
    with_function("bad_write", lambda x: [tf.io.write_file("/tmp/kerasrun", "x"), x][1])
    with_function(
        "bad_matching_files",
        lambda x: x + tf.cast(tf.size(tf.io.matching_files("/home/*")), tf.float32),
    )
    with_function(
        "bad_debug_identity",
        lambda x: tf.raw_ops.DebugIdentityV2(input=x, debug_urls=["file:///tmp/x"]),
    )
    with_function(
        "bad_py_function",
        lambda x: tf.reshape(tf.py_function(lambda v: v, [x], tf.float32), [-1, 4]),
    )
    with_function(
        "bad_numpy_function",
        lambda x: tf.reshape(tf.numpy_function(lambda v: v, [x], tf.float32), [-1, 4]),
    )
    with_function(
        "bad_save_in_signature",
        lambda x: [
            tf.raw_ops.SaveV2(
                prefix="/tmp/kerasrun", tensor_names=["x"], shape_and_slices=[""], tensors=[x]
            ),
            x,
        ][1],
    )
    with_function(
        "bad_restore_in_signature",
        lambda x: (
            x
            + tf.raw_ops.RestoreV2(
                prefix="/tmp/kerasrun",
                tensor_names=["x"],
                shape_and_slices=[""],
                dtypes=[tf.float32],
            )[0]
        ),
    )
    with_function(
        "bad_in_branch", lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: hidden(x), lambda: x)
    )
    with_function(
        "bad_in_loop",
        lambda x: tf.while_loop(lambda v: tf.reduce_sum(v) < 9, lambda v: [hidden(v)], [x])[0],
    )
    with_function("bad_random", lambda x: x + tf.random.uniform([4]))

    def reader(x: tf.Tensor) -> tf.Tensor:
        reader = tf.raw_ops.WholeFileReaderV2()
        queue = tf.raw_ops.FIFOQueueV2(component_types=[tf.string])
        value = tf.raw_ops.ReaderReadV2(reader_handle=reader, queue_handle=queue)[1]
        return x + tf.cast(tf.strings.length(value), tf.float32)

    with_function("bad_whole_file_reader", reader)

    def dataset(x: tf.Tensor) -> tf.Tensor:
        lines = tf.data.TextLineDataset("/etc/hostname").batch(1)
        return x + tf.cast(lines.reduce(np.int64(0), lambda n, _: n + 1), tf.float32)

    with_function("bad_dataset", dataset)


def bad_in_initialiser() -> None:
    """PrintV2 in the main op of version 1, and a table that is filled from a file in that of
    version 2.
    """
    with V1.Graph().as_default(), V1.Session() as session:
        x = V1.placeholder(tf.float32, [None, 4], name="x")
        y = tf.identity(x, name="y")
        main = tf.group(tf.raw_ops.PrintV2(input=tf.constant("hello")))
        builder = V1.saved_model.Builder(str(HERE / "bad_print_in_init"))
        signatures = {"serving_default": V1.saved_model.predict_signature_def({"x": x}, {"y": y})}
        builder.add_meta_graph_and_variables(
            session, ["serve"], main_op=main, signature_def_map=signatures
        )
        builder.save()

    words = Path("words.txt")
    words.write_text("one\ntwo\n")
    module = tf.Module()
    whole, line = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    initialiser = tf.lookup.TextFileInitializer(str(words), tf.string, whole, tf.int64, line)
    module.table = tf.lookup.StaticHashTable(initialiser, -1)
    spec = tf.TensorSpec([None], tf.string, name="x")
    look_up = tf.function(lambda x: {"y": module.table.lookup(x)}, input_signature=[spec])
    save("bad_table_from_file", module, signatures=look_up)
    words.unlink()


def edit(source: str, name: str, change: object) -> None:
    """Copies a model and changes its MetaGraphDef."""
    shutil.copytree(HERE / source, HERE / name)
    path = HERE / name / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    change(saved.meta_graphs[0])
    path.write_bytes(saved.SerializeToString(deterministic=True))


def edited() -> None:
    """What TensorFlow's own writers do not write."""

    def asset(path: str) -> object:
        def change(meta: meta_graph_pb2.MetaGraphDef) -> None:
            assets = meta.collection_def["saved_model_assets"].any_list.value
            definition = meta_graph_pb2.AssetFileDef()
            assets[0].Unpack(definition)
            definition.filename = path
            assets[0].Pack(definition)

        return change

    edit("half_plus_two", "bad_asset_traversal", asset("../../../etc/hostname"))
    edit("half_plus_two", "bad_asset_absolute", asset("/etc/hostname"))

    def rename(meta: meta_graph_pb2.MetaGraphDef) -> None:
        next(n for n in meta.graph_def.node if n.op == "Mul").op = "MyMul"

    edit("half_plus_two", "bad_custom_op", rename)

    def unused(meta: meta_graph_pb2.MetaGraphDef) -> None:
        meta.graph_def.node.add(name="look", op="ReadFile", input=["save/Const"])

    edit("half_plus_two", "bad_read_unused", unused)

    def prefix(meta: meta_graph_pb2.MetaGraphDef) -> None:
        constant = next(
            n for n in meta.graph_def.node if n.op == "Const" and n.attr["dtype"].type == tf.string
        )
        elsewhere = meta.graph_def.node.add()
        elsewhere.CopyFrom(constant)
        elsewhere.name = "elsewhere"
        next(n for n in meta.graph_def.node if n.op == "RestoreV2").input[0] = "elsewhere"

    edit("half_plus_two", "bad_restore_prefix", prefix)

    def save_on_restore(meta: meta_graph_pb2.MetaGraphDef) -> None:
        restore = next(n for n in meta.graph_def.node if n.name == meta.saver_def.restore_op_name)
        restore.input.append("^" + next(n.name for n in meta.graph_def.node if n.op == "SaveV2"))

    edit("half_plus_two", "bad_save_on_restore", save_on_restore)

    def overflow(meta: meta_graph_pb2.MetaGraphDef) -> None:
        node = next(
            n for n in meta.graph_def.node if n.op == "Const" and n.attr["dtype"].type == tf.float32
        )
        for _ in range(3):
            node.attr["value"].tensor.tensor_shape.dim.add().size = 1 << 30

    edit("half_plus_two", "bad_constant_shape", overflow)


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def compressed() -> None:
    """The model dense with its index in blocks compressed by Snappy, which TensorFlow reads and
    does not write. The compression is of the poorest kind, all literals.
    """
    shutil.copytree(HERE / "dense", HERE / "compressed")
    path = HERE / "compressed" / "variables" / "variables.index"
    data = path.read_bytes()

    def handle(at: int) -> tuple[int, int, int]:
        numbers = []
        for _ in range(2):
            value = shift = 0
            while True:
                byte, at = data[at], at + 1
                value, shift = value | (byte & 127) << shift, shift + 7
                if byte < 128:
                    break
            numbers.append(value)
        return *numbers, at

    def literals(block: bytes) -> bytes:
        out = varint(len(block))
        for i in range(0, len(block), 60):
            piece = block[i : i + 60]
            out += bytes([(len(piece) - 1) << 2]) + piece
        return out

    def append(table: bytes, block: bytes) -> tuple[bytes, bytes]:
        body = literals(block) + b"\x01"
        crc = crc32c(body)
        masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
        return table + body + masked.to_bytes(4, "little"), varint(len(table)) + varint(
            len(body) - 1
        )

    meta_offset, meta_size, at = handle(len(data) - 48)
    index_offset, index_size, _ = handle(at)
    index = data[index_offset : index_offset + index_size]
    # The one entry of the index block: three lengths, the key, the value, which is the data block's
    # handle.
    assert index[0] == 0 and index[-4:] == b"\x01\x00\x00\x00", "the index is larger than one block"
    key = index[3 : 3 + index[1]]
    offset, size, _ = handle(index_offset + 3 + index[1])
    table, block_handle = append(b"", data[offset : offset + size])
    table, meta_handle = append(table, data[meta_offset : meta_offset + meta_size])
    entry = (
        bytes([0, len(key), len(block_handle)])
        + key
        + block_handle
        + bytes(4)
        + b"\x01\x00\x00\x00"
    )
    table, index_handle = append(table, entry)
    path.write_bytes(table + (meta_handle + index_handle).ljust(40, b"\0") + data[-8:])


def exports() -> dict[str, list[str]]:
    """The operations in what Keras's own model.export writes, of a model of each family of
    keras.applications.
    """
    import keras

    found = {}
    families = (
        "ConvNeXtTiny DenseNet121 EfficientNetB0 EfficientNetV2B0 InceptionResNetV2 InceptionV3 "
        "MobileNet MobileNetV2 "
        "MobileNetV3Small NASNetMobile ResNet50 ResNet50V2 VGG16 Xception"
    )
    for name in families.split():
        keras.utils.set_random_seed(0)
        model = getattr(keras.applications, name)(weights=None)
        with tempfile.TemporaryDirectory() as directory:
            model.export(directory, verbose=False)
            ops = describe(Path(directory))["graphs"][0]["ops"]
        found[name] = sorted(ops)
        keras.backend.clear_session()
    return found


def describe(directory: Path) -> dict:
    """What TensorFlow's protobufs and its checkpoint reader say of a model."""
    saved = saved_model_pb2.SavedModel.FromString((directory / "saved_model.pb").read_bytes())
    graphs = []
    for meta in saved.meta_graphs:
        nodes = [
            *meta.graph_def.node,
            *(n for f in meta.graph_def.library.function for n in f.node_def),
        ]
        ops: dict[str, int] = {}
        for node in nodes:
            ops[node.op] = ops.get(node.op, 0) + 1
        graphs.append(
            {
                "tags": sorted(meta.meta_info_def.tags),
                "tensorflow": meta.meta_info_def.tensorflow_version,
                "signatures": {
                    key: {
                        "method": s.method_name,
                        "inputs": {name: describe_tensor(t) for name, t in s.inputs.items()},
                        "outputs": {name: describe_tensor(t) for name, t in s.outputs.items()},
                    }
                    for key, s in meta.signature_def.items()
                },
                "ops": ops,
                "functions": {
                    f.signature.name: len(f.node_def) for f in meta.graph_def.library.function
                },
            }
        )
    variables = {}
    prefix = directory / "variables" / "variables"
    if prefix.with_suffix(".index").exists():
        reader = tf.train.load_checkpoint(str(prefix))
        for name, shape in reader.get_variable_to_shape_map().items():
            variables[name] = {
                "shape": shape,
                "dtype": reader.get_variable_to_dtype_map()[name].name,
            }
    return {"graphs": graphs, "variables": variables}


def describe_tensor(info: meta_graph_pb2.TensorInfo) -> dict:
    shape = None if info.tensor_shape.unknown_rank else [d.size for d in info.tensor_shape.dim]
    return {
        "name": info.name,
        "dtype": tf.dtypes.as_dtype(info.dtype).name if info.dtype else "",
        "shape": shape,
    }


def registered() -> dict[str, bool]:
    """Every operation of this TensorFlow, and whether it is registered as having state."""
    ops = op_def_pb2.OpList.FromString(
        pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList())
    )
    return {op.name: op.is_stateful for op in ops.op}


def main() -> int:
    for directory in HERE.iterdir():
        if directory.is_dir() and directory.name != "fuzz":
            shutil.rmtree(directory)
    for make in (
        dense,
        convolutions,
        half_plus_two,
        partitioned,
        bad_in_function,
        bad_in_initialiser,
        edited,
        compressed,
    ):
        make()
    models = {
        d.name: describe(d) for d in sorted(HERE.iterdir()) if (d / "saved_model.pb").exists()
    }
    expected = {
        "tensorflow": tf.__version__,
        "models": models,
        "ops": registered(),
        "exports": exports(),
    }
    (HERE / "expected.json").write_text(
        json.dumps(expected, sort_keys=True, separators=(",", ":")) + "\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
