"""Makes a frozen graph one of int8: what each quantized layer reads, and its weights.

A quantized layer reads a FakeQuantWithMinMaxArgs of 8 bits and multiplies by
Mul(Cast(int8 weights), scale); a BiasAdd follows. TensorFlow runs that graph as a simulation;
`integers` and kerasrun compute it in whole numbers. Everything else stays float32.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kerasrun_export.backend import tf
from kerasrun_export.graph import KERNELS, Graph, attribute, split
from kerasrun_export.node_names import unused

LARGEST = 127  # of a weight; -128 is not used, so that zero is in the middle
STEPS = 255  # of an activation
MOST_PRODUCTS = (2**31 - 1) // (STEPS * LARGEST)  # whose sum an int32 holds, whatever they are
FAKE_QUANT = "FakeQuantWithMinMaxArgs"


@dataclass(frozen=True)
class Layer:
    """A convolution or dense layer that can be computed in whole numbers.

    name: of its operation. source: the reference that it reads. kernel: the constant's name.
    """

    name: str
    source: str
    kernel: str


def layers(graph: Graph) -> list[Layer]:
    """Those of a graph, inputs before users."""
    found = []
    for name in graph.order():
        node = graph.nodes[name]
        kernel = graph.constant(node.input[1]) if node.op in KERNELS else None
        if (
            kernel is None
            or attribute(node, "T").type != tf.float32.as_datatype_enum
            or attribute(node, "data_format").s not in (b"", b"NHWC")
            or attribute(node, "transpose_a").b
            or attribute(node, "transpose_b").b
            or graph.constant(node.input[0]) is not None
            or not np.isfinite(kernel).all()
        ):
            continue
        depthwise = node.op == "DepthwiseConv2dNative"
        products = kernel.shape[:2] if depthwise else kernel.shape[:-1]
        if np.prod(products) > MOST_PRODUCTS or (depthwise and kernel.shape[3] != 1):
            continue
        found.append(Layer(name, node.input[0], split(node.input[1])[0]))
    return found


def weights(op: str, kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(int8 weights, float32 scale of each output channel) whose product is near the kernel."""
    axes = (0, 1) if op == "DepthwiseConv2dNative" else tuple(range(kernel.ndim - 1))
    largest = np.abs(kernel).max(axis=axes)
    scale = (largest / LARGEST).astype(np.float32)
    scale[scale < np.finfo(np.float32).tiny] = 1  # a channel of zeros, or as good as
    whole = np.rint(kernel.astype(np.float64) / scale)
    return np.clip(whole, -LARGEST, LARGEST).astype(np.int8), scale


def aligned(low: float, high: float) -> tuple[float, float]:
    """The range nearest to this one in which one of the steps is 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    if not high - low > 1e-30:
        low, high = 0.0, 1.0
    scale = np.float32((high - low) / STEPS)
    zero = np.rint(-low / scale)
    return float(np.float32(-zero * scale)), float(np.float32((STEPS - zero) * scale))


def quantize(
    graph: Graph,
    ranges: Mapping[str, tuple[float, float]],
    float_layers: frozenset[str] = frozenset(),
) -> Graph:
    """A copy of a graph whose layers are quantized but for those named.

    ranges: of what the layers read, by its reference.
    """
    new = Graph(
        copy.deepcopy(graph.nodes),
        dict(graph.constants),
        dict(graph.types),
        dict(graph.outputs),
        graph.versions,
    )
    taken = {*new.nodes, *new.constants}
    read: dict[str, str] = {}  # the FakeQuant of each reference
    multiplied: dict[tuple[str, str], str] = {}  # the Mul of each kernel
    for layer in layers(graph):
        if layer.name in float_layers:
            continue
        node = new.nodes[layer.name]
        if layer.source not in read:
            name = unused(f"{split(layer.source)[0]}/quantized", taken)
            low, high = ranges[layer.source]
            fake = new.replace(name, FAKE_QUANT, [layer.source], num_bits=8, narrow_range=False)
            fake.attr["min"].f, fake.attr["max"].f = low, high
            read[layer.source] = name
        key = (layer.kernel, node.op)
        if key not in multiplied:
            multiplied[key] = _multiplied(new, layer, node.op, taken)
        node.input[0], node.input[1] = read[layer.source], multiplied[key]
        _add_bias(new, layer.name, taken)
    new.prune()
    return new


def _multiplied(graph: Graph, layer: Layer, op: str, taken: set[str]) -> str:
    """Adds Mul(Cast(int8), scale) of a layer's kernel; returns its name."""
    kernel = graph.value(layer.kernel)
    whole, scale = weights(op, kernel)
    int8, float32 = tf.int8, tf.float32
    constants = (("int8", whole, int8), ("scale", scale, float32))
    names = [unused(f"{layer.name}/{role}", taken) for role, _, _ in constants]
    for name, (_, value, dtype) in zip(names, constants, strict=True):
        graph.add_constant(name, value, dtype.as_datatype_enum)
    cast, product = (unused(f"{layer.name}/{role}", taken) for role in ("cast", "weights"))
    graph.replace(cast, "Cast", [names[0]], SrcT=int8, DstT=float32, Truncate=False)
    graph.replace(product, "Mul", [cast, names[1]], T=float32)
    return product


def _add_bias(graph: Graph, name: str, taken: set[str]) -> None:
    """Gives a layer a BiasAdd and constant of its own: of zeros where it had none."""
    follower = graph.only_consumer(name)
    bias = graph.constant(follower.input[1]) if follower and follower.op == "BiasAdd" else None
    if bias is None:
        node = graph.nodes[name]
        kernel = graph.nodes[node.input[1]].input[1]  # the scale, one a channel
        added = unused(f"{name}/BiasAdd", taken)
        graph.redirect(name, added)
        follower = graph.replace(added, "BiasAdd", [name, ""], T=tf.float32, data_format="NHWC")
        bias = np.zeros(graph.constant(kernel).size, np.float32)
    follower.input[1] = graph.add_constant(unused(f"{name}/int8_bias", taken), bias)
    graph.changed()


def bias_of(graph: Graph, name: str) -> str:
    """The name of the BiasAdd after a quantized layer."""
    return graph.only_consumer(name).name


def quantized(graph: Graph) -> list[str]:
    """The names of a graph's quantized layers, inputs before users."""
    return [
        name
        for name in graph.order()
        if graph.nodes[name].op in KERNELS and graph.op(graph.nodes[name].input[0]) == FAKE_QUANT
    ]
