"""The exported graph with constants for its kernels, which other runtimes convert."""

from pathlib import Path

from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from kerasrun_export.backend import tf
from kerasrun_export.graph import set_attribute


def read(model: Path) -> saved_model_pb2.SavedModel:
    """The SavedModel of an exported directory, frozen."""
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((model / "saved_model.pb").read_bytes())
    meta = saved.meta_graphs[0]
    kernels = tf.train.load_checkpoint(str(model / "variables/variables"))
    left = []
    for node in meta.graph_def.node:
        if node.op == "VarHandleOp" or node.name.startswith("save/"):
            continue
        if node.op == "ReadVariableOp":
            value = kernels.get_tensor(node.name)
            node.op = "Const"
            del node.input[:]
            set_attribute(node, "dtype", tf.dtypes.as_dtype(value.dtype))
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        left.append(node)
    graph = tf.compat.v1.GraphDef(node=left, versions=meta.graph_def.versions)
    meta.graph_def.CopyFrom(graph)
    meta.ClearField("saver_def")
    return saved


def write(model: Path, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(read(model).SerializeToString())


def meta_graph(model: Path) -> meta_graph_pb2.MetaGraphDef:
    return read(model).meta_graphs[0]


def output_name(meta: meta_graph_pb2.MetaGraphDef) -> str:
    return meta.signature_def["serving_default"].outputs["probs"].name
