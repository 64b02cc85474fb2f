"""The optimized graph as ONNX, node for node, for ONNX Runtime and OpenVINO."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from benchmarks.frozen import meta_graph, output_name


def write(model: Path, path: Path) -> None:
    meta = meta_graph(model)
    convert(meta.graph_def, "images", output_name(meta), path)


def convert(graph_def, input_name: str, output: str, path: Path) -> None:
    """Writes the part of a frozen NHWC GraphDef that leads to output as an NCHW ONNX model with an
    NHWC input.

    Only what ResNet-like graphs hold is known; anything else is a ValueError that names the node.
    """
    from tensorflow.python.framework import tensor_util

    nodes = {n.name: n for n in graph_def.node}
    out: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    done: dict[str, str] = {}

    def constant(name: str) -> np.ndarray:
        node = nodes[name.split(":")[0]]
        while node.op == "Identity":
            node = nodes[node.input[0].split(":")[0]]
        if node.op != "Const":
            raise ValueError(f"{name}: expected a Const, found {node.op}")
        return tensor_util.MakeNdarray(node.attr["value"].tensor)

    def initializer(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def pads(node, kernel: tuple[int, int], strides: list[int]) -> dict:
        match node.attr["padding"].s.decode():
            case "VALID":
                return {"pads": [0, 0, 0, 0]}
            case "EXPLICIT":
                p = list(node.attr["explicit_paddings"].list.i)
                return {"pads": [p[2], p[4], p[3], p[5]]}
            case "SAME":
                return {"auto_pad": "SAME_UPPER"}
            case other:
                raise ValueError(f"{node.name}: padding {other}")

    def emit(op: str, inputs: list[str], name: str, **attributes) -> str:
        out.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def visit(ref: str) -> str:
        name = ref.split(":")[0]
        if name not in done:
            done[name] = translate(nodes[name])
        return done[name]

    def translate(node) -> str:
        attr, name = node.attr, node.name
        strides = [int(s) for s in attr["strides"].list.i[1:3]] if "strides" in attr else []
        match node.op:
            case "Placeholder":
                return emit("Transpose", [input_name], "input_nchw", perm=[0, 3, 1, 2])
            case "Identity" | "Reshape" | "EnsureShape" | "StopGradient":
                return visit(node.input[0])
            case "Conv2D":
                w = constant(node.input[1]).transpose(3, 2, 0, 1)
                x = visit(node.input[0])
                group = channels(node.input[0]) // w.shape[1]
                kernel = w.shape[2:]
                return emit(
                    "Conv",
                    [x, initializer(name + "/w", w)],
                    name,
                    strides=strides,
                    group=group,
                    kernel_shape=list(kernel),
                    **pads(node, kernel, strides),
                )
            case "BiasAdd":
                bias = constant(node.input[1])
                shape = (
                    (1, -1, 1, 1) if nodes[node.input[0].split(":")[0]].op == "Conv2D" else (1, -1)
                )
                return emit(
                    "Add",
                    [visit(node.input[0]), initializer(name + "/b", bias.reshape(shape))],
                    name,
                )
            case "Relu":
                return emit("Relu", [visit(node.input[0])], name)
            case "AddV2" | "Add":
                return emit("Add", [visit(i) for i in node.input], name)
            case "Pad" | "PadV2":
                p = constant(node.input[1])
                order = [0, 3, 1, 2]
                begin, end = [int(p[i][0]) for i in order], [int(p[i][1]) for i in order]
                return emit(
                    "Pad",
                    [
                        visit(node.input[0]),
                        initializer(name + "/p", np.array(begin + end, np.int64)),
                    ],
                    name,
                )
            case "MaxPool":
                ksize = [int(k) for k in attr["ksize"].list.i[1:3]]
                return emit(
                    "MaxPool",
                    [visit(node.input[0])],
                    name,
                    kernel_shape=ksize,
                    strides=strides,
                    **pads(node, ksize, strides),
                )
            case "Mean":
                pooled = emit("GlobalAveragePool", [visit(node.input[0])], name + "/pool")
                return emit("Flatten", [pooled], name)
            case "MatMul":
                return emit(
                    "MatMul",
                    [visit(node.input[0]), initializer(name + "/w", constant(node.input[1]))],
                    name,
                )
            case "Softmax":
                return emit("Softmax", [visit(node.input[0])], name, axis=-1)
        raise ValueError(f"{name}: no translation for {node.op}")

    def channels(ref: str) -> int:
        """The number of channels that a node's output has, from the nearest constant before it."""
        node = nodes[ref.split(":")[0]]
        while True:
            match node.op:
                case "Conv2D":
                    return constant(node.input[1]).shape[3]
                case "Placeholder":
                    return 3
            node = nodes[node.input[0].split(":")[0]]

    result = visit(output)
    graph = helper.make_graph(
        [*out, helper.make_node("Identity", [result], ["output"])],
        "kerasrun",
        [helper.make_tensor_value_info(input_name, onnx.TensorProto.FLOAT, ["batch", 224, 224, 3])],
        [helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, ["batch", None])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
