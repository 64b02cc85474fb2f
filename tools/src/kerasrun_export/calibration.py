"""Chooses how a graph is quantized, from what its layers see of the user's images.

Each way of choosing a tensor's range is tried on these images; the one whose answers stay nearest
to Keras's is taken. Then each layer's bias takes up what its rounding shifts a channel's mean by.
Where too few images keep their top class, a few layers that cost most stay float32.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kerasrun_export import quantized_graph
from kerasrun_export.graph import Graph
from kerasrun_export.integers import Integers
from kerasrun_export.quantized_graph import STEPS, Layer
from kerasrun_export.running import Running

METHODS = ("minmax", "percentile", "mse")
KEPT = 2**18  # numbers of a tensor that are looked at, of all images
LEFT_OUT = 1e-4  # of them, at both ends together, by "percentile"
BINS, SHRUNK = 2048, 40  # of "mse": of its histogram, and how many narrower ranges it tries
TRIED = 128  # images that a way of quantizing is tried on
MEAN_OF = 256  # numbers that a channel's mean is of, at least
MEAN_IMAGES = 32
SENSITIVE_IMAGES = 16
MOST_FLOAT, FLOAT_SHARE = 5, 0.04  # layers left in float32, and what they hold of all weights

Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Batch:
    """Images as tensors by input, and what Keras answers."""

    tensors: Tensors
    answers: Tensors


@dataclass(frozen=True)
class Chosen:
    """A quantized graph. method: what chose it, in words. float_layers: those left as they were."""

    graph: Graph
    method: str
    float_layers: tuple[str, ...]


def rows(batches: Sequence[Batch], count: int) -> list[Batch]:
    """The first so many images."""
    found = []
    for batch in batches:
        if count <= 0:
            break
        size = len(next(iter(batch.tensors.values())))
        parts = ({k: x[:count] for k, x in t.items()} for t in (batch.tensors, batch.answers))
        found.append(Batch(*parts))
        count -= size
    return found


def choose(
    graph: Graph,
    batches: Sequence[Batch],
    answer: str,
    top: Callable[[np.ndarray], np.ndarray],
    min_top1: float,
) -> Chosen:
    """How the graph is quantized: from the images of the batches, kept to `min_top1` of them.

    answer: the key of the output that answers an image. top: the class of each of its rows.
    """
    layers = quantized_graph.layers(graph)
    seen = samples(graph, layers, batches)
    tried = rows(batches, TRIED)
    raw = "logits" if "logits" in batches[0].answers else answer
    ranges = {way: {name: span(way, seen[name]) for name in seen} for way in METHODS}

    def measured(new: Graph) -> tuple[float, float]:
        """(distance from Keras, share of images that keep its class)"""
        answers = _simulated(new, tried, (raw, answer))
        same = [top(got[answer]) == top(want[answer]) for got, want in answers]
        return _distance(answers, raw), float(np.concatenate(same).mean())

    plain = {way: quantized_graph.quantize(graph, ranges[way]) for way in METHODS}
    found = {way: measured(plain[way]) for way in METHODS}
    method = min(METHODS, key=lambda way: found[way][0])
    new, (distance, top1) = plain[method], found[method]
    order, left = None, []
    while True:
        biased = correct_biases(graph, new, rows(batches, MEAN_IMAGES)[0].tensors)
        found_biased = measured(biased)
        corrected = found_biased[0] < distance
        if corrected:
            new, (distance, top1) = biased, found_biased
        if top1 >= min_top1:
            break
        if order is None:
            order = _costliest(graph, layers, ranges[method], tried, raw)
        if len(left) == len(order):
            break
        left.append(order[len(left)])
        new = quantized_graph.quantize(graph, ranges[method], frozenset(left))
        distance, top1 = measured(new)
    words = f"{method} with bias correction" if corrected else method
    return Chosen(new, words, tuple(layer.name for layer in layers if layer.name in left))


def samples(
    graph: Graph, layers: Sequence[Layer], batches: Sequence[Batch]
) -> dict[str, np.ndarray]:
    """Numbers of each tensor that the layers read, evenly spaced, the least and the largest."""
    sources = list(dict.fromkeys(layer.source for layer in layers))
    images = sum(len(next(iter(batch.tensors.values()))) for batch in batches)
    running, kept = Running(graph), {source: [] for source in sources}
    for batch in batches:
        for part in _parts(batch.tensors):
            for source, values in zip(sources, running.run(sources, part), strict=True):
                flat = values.reshape(-1)
                share = max(KEPT // images * len(values), 1)
                kept[source] += [
                    flat[:: -(-len(flat) // share)],
                    np.array([flat.min(), flat.max()]),
                ]
    return {source: np.concatenate(parts) for source, parts in kept.items()}


def _parts(tensors: Tensors, step: int = 8) -> list[dict[str, np.ndarray]]:
    """The rows in batches: every tensor of a graph is in memory at once."""
    count = len(next(iter(tensors.values())))
    return [{k: x[i : i + step] for k, x in tensors.items()} for i in range(0, count, step)]


def span(method: str, values: np.ndarray) -> tuple[float, float]:
    """The range that a method gives numbers."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    if method == "percentile":
        ends = (LEFT_OUT / 2, 1 - LEFT_OUT / 2) if low < 0 else (0, 1 - LEFT_OUT)
        low, high = (float(end) for end in np.quantile(values, ends))
    elif method == "mse":
        counts, edges = np.histogram(values, BINS, (low, high if high > low else low + 1))
        middle = (edges[1:] + edges[:-1]) / 2

        def error(share: float) -> float:
            outside = middle - np.clip(middle, low * share, high * share)
            rounded = ((high - low) * share / STEPS) ** 2 / 12
            return float((counts * np.where(outside == 0, rounded, outside**2)).sum())

        share = min(np.linspace(1, 0.2, SHRUNK), key=error)
        low, high = low * share, high * share
    return quantized_graph.aligned(low, high)


def correct_biases(graph: Graph, quantized: Graph, tensors: Tensors) -> Graph:
    """The quantized graph with biases that keep each channel's mean over these images.

    Layer by layer: each mean is taken after the layers before it were corrected.
    """
    names = quantized_graph.quantized(quantized)
    running = Running(graph)
    references = running.means(names)
    parts = _parts(tensors)
    wanted = np.average(
        [np.concatenate(running.run(references, part)) for part in parts],
        axis=0,
        weights=[len(next(iter(part.values()))) for part in parts],
    )
    sizes = [quantized.constant(_bias(quantized, name)).size for name in names]
    means = dict(zip(names, np.split(wanted, np.cumsum(sizes)[:-1]), strict=True))
    corrected = {}

    def observe(name: str, products: np.ndarray) -> np.ndarray:
        bias = quantized.constant(_bias(quantized, name)).astype(np.float64)
        if products[..., 0].size >= MEAN_OF:
            axes = tuple(range(products.ndim - 1))
            bias = bias + means[name] - products.mean(axis=axes, dtype=np.float64)
        corrected[name] = bias.astype(np.float32)
        return corrected[name]

    Integers(quantized).predict(tensors, observe)
    constants = {_bias(quantized, name): bias for name, bias in corrected.items()}
    return dataclasses.replace(quantized, constants=quantized.constants | constants)


def _bias(graph: Graph, name: str) -> str:
    return graph.nodes[quantized_graph.bias_of(graph, name)].input[1]


def _simulated(
    graph: Graph, batches: Sequence[Batch], keys: Sequence[str]
) -> list[tuple[Tensors, Tensors]]:
    """(what a graph answers in TensorFlow's simulation, what Keras answers) of each batch."""
    running, found, keys = Running(graph), [], list(dict.fromkeys(keys))
    for batch in batches:
        parts = [running.predict(part, keys) for part in _parts(batch.tensors)]
        got = {key: np.concatenate([part[key] for part in parts]) for key in keys}
        found.append((got, batch.answers))
    return found


def _distance(answers: Sequence[tuple[Tensors, Tensors]], key: str) -> float:
    """The root mean square of an output's distance from Keras's."""
    off = [np.square(got[key].astype(np.float64) - want[key]).ravel() for got, want in answers]
    return float(np.sqrt(np.concatenate(off).mean()))


def _costliest(
    graph: Graph,
    layers: Sequence[Layer],
    ranges: Mapping[str, tuple[float, float]],
    batches: Sequence[Batch],
    key: str,
) -> list[str]:
    """The layers that move the output most where each alone is quantized, the worst first.

    Only as many as leave the directory small.
    """
    few, names = rows(batches, SENSITIVE_IMAGES), {layer.name for layer in layers}
    cost = {}
    for name in sorted(names):
        alone = quantized_graph.quantize(graph, ranges, frozenset(names - {name}))
        cost[name] = _distance(_simulated(alone, few, [key]), key)
    sizes = {layer.name: graph.constants[layer.kernel].size for layer in layers}
    left, free = [], FLOAT_SHARE * sum(sizes.values())
    for name in sorted(cost, key=cost.get, reverse=True):
        if sizes[name] <= free and len(left) < MOST_FLOAT:
            left.append(name)
            free -= sizes[name]
    return left
