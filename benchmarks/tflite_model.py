"""The exported SavedModel as a LiteRT (TensorFlow Lite) file."""

from pathlib import Path

import numpy as np

from benchmarks.frozen import meta_graph, output_name
from kerasrun_export.backend import tf


def write(model: Path, path: Path) -> None:
    meta = meta_graph(model)
    pad_outside(meta.graph_def)
    wrapped = tf.compat.v1.wrap_function(
        lambda: tf.graph_util.import_graph_def(meta.graph_def, name=""), []
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [wrapped.prune("images:0", output_name(meta))], wrapped
    )
    path.write_bytes(converter.convert())


def pad_outside(graph_def) -> None:
    """Undoes the exporter's padding inside a max-pooling, which LiteRT lacks; what is pooled is
    never negative.
    """
    for node in list(graph_def.node):
        if node.op != "MaxPool" or node.attr["padding"].s != b"EXPLICIT":
            continue
        widths = np.array(node.attr["explicit_paddings"].list.i, np.int32).reshape(4, 2)
        constant = graph_def.node.add(name=f"{node.name}/widths", op="Const")
        constant.attr["dtype"].type = tf.int32.as_datatype_enum
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(widths))
        pad = graph_def.node.add(
            name=f"{node.name}/pad", op="Pad", input=[node.input[0], constant.name]
        )
        pad.attr["T"].type, pad.attr["Tpaddings"].type = (
            tf.float32.as_datatype_enum,
            tf.int32.as_datatype_enum,
        )
        node.input[0] = pad.name
        node.attr["padding"].s = b"VALID"
        del node.attr["explicit_paddings"]
