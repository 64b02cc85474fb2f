"""A quantized graph computed in whole numbers, in numpy: the reference of its goldens.

kerasrun's kernels equal it to the bit. A quantized layer reads q - zero, what FakeQuant makes of
float32 numbers, and sums products with its int8 weights exactly; the sum, rounded to float32, is
multiplied by the channel's scale and then added to its bias, each rounded to float32. Means over
places are summed in float64 and rounded once. What is between is float32, by TensorFlow.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kerasrun_export.graph import Graph, attribute
from kerasrun_export.quantized_graph import STEPS, bias_of, quantized
from kerasrun_export.running import Running, needed

ROWS = 8  # images that are computed at a time
READ = 2**24  # numbers that a layer reads at a time, those that windows share counted for each
WHOLE32, WHOLE64 = 2**24, 2**53  # up to where float32 and float64 hold every whole number

# Of a layer's name and its answer without the bias, the bias.
Observe = Callable[[str, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Scale:
    """What FakeQuant makes of its min and max. scale: a step. low, high: the nudged range."""

    scale: np.float32
    inverse: np.float32
    zero: np.float32
    low: np.float32
    high: np.float32


def nudged(low: float, high: float) -> Scale:
    """As TensorFlow's FakeQuantWithMinMaxArgs nudges a range of 8 bits, in float32."""
    low, high, steps = np.float32(low), np.float32(high), np.float32(STEPS)
    scale, inverse = (high - low) / steps, steps / (high - low)
    zero = np.clip(-low / scale, 0, steps)
    zero = np.floor(zero) + (zero - np.floor(zero) >= 0.5)  # half away from zero
    zero = zero.astype(np.float32)
    return Scale(scale, inverse, zero, -zero * scale, (steps - zero) * scale)


def whole(values: np.ndarray, scale: Scale) -> np.ndarray:
    """q - zero of float32 numbers, in float32."""
    zero = np.floor(-scale.low * scale.inverse + np.float32(0.5))
    shifted = np.maximum(np.minimum(values, scale.high), scale.low) - scale.low
    return np.floor(shifted * scale.inverse - zero + np.float32(0.5))


def sums(node: object, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The sums of products of a layer, exact: whole numbers in float32 or float64.

    x: q - zero. Products and their sums are below where the type holds every whole number.
    """
    axes = (0, 1) if node.op == "DepthwiseConv2dNative" else tuple(range(weights.ndim - 1))
    largest = int(np.abs(weights.astype(np.int64)).sum(axis=axes).max()) * STEPS
    dtype = np.float32 if largest < WHOLE32 else np.float64
    x, weights = x.astype(dtype), weights.astype(dtype)
    if node.op == "MatMul":
        return x @ weights
    height, width = weights.shape[:2]
    strides, dilations = (
        tuple(attribute(node, key).list.i)[1:3] for key in ("strides", "dilations")
    )
    dilations = dilations or (1, 1)
    pads = paddings(node, x.shape[1:3], (height, width), strides, dilations)
    x = np.pad(x, ((0, 0), *pads, (0, 0)))
    rows, columns = (
        (side - (taps - 1) * dilation - 1) // stride + 1
        for side, taps, stride, dilation in zip(
            x.shape[1:3], (height, width), strides, dilations, strict=True
        )
    )

    def tap(i: int, j: int) -> np.ndarray:
        top, left = i * dilations[0], j * dilations[1]
        down = slice(top, top + (rows - 1) * strides[0] + 1, strides[0])
        across = slice(left, left + (columns - 1) * strides[1] + 1, strides[1])
        return x[:, down, across]

    taps = [(i, j) for i in range(height) for j in range(width)]
    if node.op == "DepthwiseConv2dNative":
        return sum(tap(i, j) * weights[i, j, :, 0] for i, j in taps)
    # groups, places, taps and channels of a group
    inside, channels = weights.shape[2:]
    groups = x.shape[3] // inside
    places = (len(x), rows, columns)
    read = np.empty((groups, *places, len(taps), inside), dtype)
    for at, (i, j) in enumerate(taps):
        read[..., at, :] = np.moveaxis(tap(i, j).reshape(*places, groups, inside), 3, 0)
    kernel = weights.reshape(len(taps), inside, groups, channels // groups)
    kernel = np.moveaxis(kernel, 2, 0).reshape(groups, len(taps) * inside, channels // groups)
    product = read.reshape(groups, -1, len(taps) * inside) @ kernel
    return np.moveaxis(product, 0, 1).reshape(*places, channels)


def paddings(
    node: object,
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> list[tuple[int, int]]:
    """(before, after) of the rows and of the columns."""
    kind = attribute(node, "padding").s
    if kind == b"EXPLICIT":
        explicit = list(attribute(node, "explicit_paddings").list.i)
        return [tuple(explicit[2:4]), tuple(explicit[4:6])]
    if kind == b"VALID":
        return [(0, 0), (0, 0)]
    found = []
    for side, taps, stride, dilation in zip(size, kernel, strides, dilations, strict=True):
        covered = (-(-side // stride) - 1) * stride + (taps - 1) * dilation + 1
        total = max(covered - side, 0)
        found.append((total // 2, total - total // 2))
    return found


@dataclass(frozen=True)
class _Step:
    """What is computed here: a quantized layer with its bias, or a mean.

    source: what it reads. output: what it gives. given: what the source is computed from, of what
    is known by then. last: what no later step is computed from.
    """

    name: str
    source: str
    output: str
    given: Sequence[str]
    last: frozenset[str]


class Integers:
    """Runs a quantized graph in whole numbers.

    outputs: the keys of those that are asked for; all where None.
    """

    def __init__(self, graph: Graph, outputs: Sequence[str] | None = None) -> None:
        self._graph = graph
        self._running = Running(graph, literal=True)
        self._outputs = list(graph.outputs if outputs is None else outputs)
        self._layers = set(quantized(graph))
        self._steps, self._given = self._plan()

    def _plan(self) -> tuple[list[_Step], list[str]]:
        """The steps in order, and what the outputs are computed from."""
        graph, found = self._graph, []
        wanted = [graph.outputs[key] for key in self._outputs]
        known = {name for name, node in graph.nodes.items() if node.op == "Placeholder"}
        for name in graph.order():
            node = graph.nodes[name]
            if name in self._layers:
                source, output = graph.nodes[node.input[0]].input[0], bias_of(graph, name)
            elif node.op == "Mean" and graph.constant(node.input[1]) is not None:
                source, output = node.input[0], name
            else:
                continue
            found.append((name, source, output, needed(graph, [source], known)))
            known |= {source, output}
        given = needed(graph, wanted, known)
        steps, later = [], set(given)
        for name, source, output, before in reversed(found):
            last = frozenset({source, output, *before} - later)
            steps.append(_Step(name, source, output, before, last))
            later |= {source, *before}
        return steps[::-1], given

    def predict(
        self, tensors: Mapping[str, np.ndarray], observe: Observe | None = None
    ) -> dict[str, np.ndarray]:
        """The outputs by key.

        observe: is shown each layer's answers without their bias, of all images together, and
            returns the bias.
        """
        rows = len(next(iter(tensors.values())))
        step = ROWS if observe is None else rows
        parts = [
            self._predict({key: x[start : start + step] for key, x in tensors.items()}, observe)
            for start in range(0, rows, step)
        ]
        return {key: np.concatenate([part[key] for part in parts]) for key in self._outputs}

    def _predict(
        self, tensors: Mapping[str, np.ndarray], observe: Observe | None
    ) -> dict[str, np.ndarray]:
        known = dict(tensors)
        for step in self._steps:
            if step.source not in known:
                given = {reference: known[reference] for reference in step.given}
                (known[step.source],) = self._running.run([step.source], given)
            x = known[step.source]
            if step.name in self._layers:
                known[step.output] = self._layer(step.name, x, observe)
            else:
                node = self._graph.nodes[step.name]
                axes = tuple(np.atleast_1d(self._graph.constant(node.input[1])).tolist())
                mean = x.mean(axis=axes, dtype=np.float64, keepdims=attribute(node, "keep_dims").b)
                known[step.output] = mean.astype(x.dtype)
            for reference in step.last:
                known.pop(reference, None)
        given = {reference: known[reference] for reference in self._given}
        wanted = [self._graph.outputs[key] for key in self._outputs]
        return dict(zip(self._outputs, self._running.run(wanted, given), strict=True))

    def _layer(self, name: str, x: np.ndarray, observe: Observe | None) -> np.ndarray:
        """What a quantized layer and its bias make of float32 numbers."""
        graph = self._graph
        node = graph.nodes[name]
        fake, product = graph.nodes[node.input[0]], graph.nodes[node.input[1]]
        scale = nudged(attribute(fake, "min").f, attribute(fake, "max").f)
        weights = graph.value(graph.nodes[product.input[0]].input[0])
        channels = scale.scale * graph.value(product.input[1]).reshape(-1)
        taps = 1 if node.op == "MatMul" else weights.shape[0] * weights.shape[1]
        step = max(READ // (x[0].size * taps), 1)
        parts = [
            sums(node, whole(x[i : i + step], scale), weights).astype(np.float32)
            for i in range(0, len(x), step)
        ]
        products = np.concatenate(parts) * channels
        if observe is not None:
            return products + observe(name, products)
        return products + graph.value(graph.nodes[bias_of(graph, name)].input[1])
