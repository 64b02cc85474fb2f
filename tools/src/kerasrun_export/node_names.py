"""Readable names for a rewritten graph: those of layers, and `layer/kernel` and so on."""

import re
from collections import defaultdict

from kerasrun_export.graph import Graph, join, split

ROLES = {
    ("Conv2D", 1): "kernel",
    ("DepthwiseConv2dNative", 1): "kernel",
    ("MatMul", 1): "kernel",
    ("BiasAdd", 1): "bias",
    ("Mul", 0): "scale",
    ("Mul", 1): "scale",
    ("AddV2", 0): "shift",
    ("AddV2", 1): "shift",
    ("Reshape", 1): "shape",
    ("Pad", 1): "paddings",
    ("Mean", 1): "axes",
    ("Max", 1): "axes",
    ("ReverseV2", 1): "axes",
}


def rename(graph: Graph, model: str, layers: frozenset[str]) -> None:
    """Renames every node: signature outputs to their keys, other operations after their layers.

    model: the Keras model's name; layers: those of its layers, nested ones included. Where one
        layer left several
    operations the last bears its name and the others `layer/Op`.
    """
    new: dict[str, str] = {}
    for key, reference in graph.outputs.items():
        name, index = split(reference)
        if index == 0 and name in graph.nodes and graph.nodes[name].op != "Placeholder":
            new.setdefault(name, key)
    taken = set(new.values())
    for name, node in graph.nodes.items():
        if node.op == "Placeholder":
            new[name] = name
            taken.add(name)
    by_layer = defaultdict(list)
    for name in graph.order():
        inside = name.split("/", 1)[0] in taken  # "images/pinned" stays
        by_layer[name if inside else _layer(name, model, layers)].append(name)
    for layer, names in by_layer.items():
        for name in reversed(names):
            if name not in new:
                wish = layer if layer not in taken else f"{layer}/{graph.nodes[name].op}"
                new[name] = unused(wish, taken)
    for name in graph.order():
        node = graph.nodes[name]
        for position, reference in enumerate(node.input):
            constant = split(reference)[0]
            if constant in graph.constants and constant not in new:
                new[constant] = unused(
                    f"{new[name]}/{ROLES.get((node.op, position), f'input_{position}')}", taken
                )
    _apply(graph, new)


def _layer(name: str, model: str, layers: frozenset[str]) -> str:
    """The layer in a traced name: "conv1_conv" in "resnext50_1/conv1_conv_1/convolution"."""
    parts = [part if part in layers else re.sub(r"_\d+$", "", part) for part in name.split("/")]
    known = [part for part in parts if part in layers]
    if known:
        return known[-1]
    return name.split("/", 1)[1] if parts[0] == model and len(parts) > 1 else name


def unused(wish: str, taken: set[str]) -> str:
    """The name, or the next one with a number that is not taken; taken from then on."""
    name, i = wish, 1
    while name in taken:
        name, i = f"{wish}_{i}", i + 1
    taken.add(name)
    return name


def _apply(graph: Graph, new: dict[str, str]) -> None:
    def renamed(reference: str) -> str:
        name, index = split(reference)
        return join(new.get(name, name), index)

    for node in graph.nodes.values():
        node.name = new[node.name]
        for i, reference in enumerate(node.input):
            node.input[i] = renamed(reference)
    graph.nodes = {node.name: node for node in graph.nodes.values()}
    graph.constants = {new.get(name, name): value for name, value in graph.constants.items()}
    graph.types = {new.get(name, name): dtype for name, dtype in graph.types.items()}
    graph.outputs = {key: renamed(reference) for key, reference in graph.outputs.items()}
    graph.changed()
