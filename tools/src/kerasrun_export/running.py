"""Runs a graph that is edited here, or parts of it, in a session of TensorFlow."""

from collections.abc import Mapping, Sequence

import numpy as np

from kerasrun_export.backend import tf
from kerasrun_export.graph import Graph, join, split


class Running:
    """A graph in a session: any tensors of it from any others.

    literal: each operation as it stands, fused with no other, so that a tensor does not depend on
        which others are asked for.
    """

    def __init__(self, graph: Graph, literal: bool = False) -> None:
        self.graph = graph
        self._imported = tf.Graph()
        with self._imported.as_default():
            tf.graph_util.import_graph_def(graph.graph_def(), name="")
        config = tf.compat.v1.ConfigProto()
        config.graph_options.rewrite_options.disable_meta_optimizer = literal
        self._session = tf.compat.v1.Session(graph=self._imported, config=config)

    def run(self, references: Sequence[str], tensors: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The tensors of references, from those of others; an input's is its name."""
        return self._session.run(
            [_name(reference) for reference in references],
            {_name(reference): value for reference, value in tensors.items()},
        )

    def means(self, names: Sequence[str]) -> list[str]:
        """References of the means, over all but the last axis, of operations' outputs."""
        added = []
        with self._imported.as_default():
            for name in names:
                tensor = self._imported.get_tensor_by_name(_name(name))
                mean = tf.reduce_mean(tensor, axis=list(range(tensor.shape.rank - 1)))
                added.append(mean.op.name)
        return added

    def predict(
        self, tensors: Mapping[str, np.ndarray], keys: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """The graph's outputs of these keys, from all its inputs."""
        values = self.run([self.graph.outputs[key] for key in keys], tensors)
        return dict(zip(keys, values, strict=True))


def _name(reference: str) -> str:
    """TensorFlow's own spelling of a reference."""
    name, index = split(reference)
    return f"{name}:{index}"


def needed(graph: Graph, references: Sequence[str], known: set[str]) -> list[str]:
    """Which of the known tensors these are computed from, in order of name."""
    found, pending, seen = set(), list(references), set()
    while pending:
        reference = join(*split(pending.pop()))
        if reference in known:
            found.add(reference)
            continue
        name = split(reference)[0]
        if name in seen or name in graph.constants:
            continue
        seen.add(name)
        pending += graph.nodes[name].input
    return sorted(found)
