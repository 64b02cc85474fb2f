"""A SavedModel that something else wrote: one signature of it, and TensorFlow, which runs it."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from kerasrun_export import files, manifest, outputs
from kerasrun_export.backend import tf
from kerasrun_export.choices import Choices
from kerasrun_export.contract import CHANNELS, COLORS
from kerasrun_export.errors import ChoiceError, FileError, ModelError, paragraph
from kerasrun_export.graph import split
from kerasrun_export.reference import Reference
from kerasrun_export.serving import MOVED, SAME, Output, activation
from kerasrun_export.signature import TensorSpec, in_batches, sized

GRAPH = "saved_model.pb"
INITIALIZATION = "__saved_model_init_op"  # a signature of TensorFlow 2's that nobody calls
VARIABLES = ("VarHandleOp", "VariableV2", "Variable")
TRAINING = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")


@dataclass(frozen=True)
class Adopted:
    """A SavedModel of which one signature is adopted. tags: of its graph."""

    directory: Path
    signature: str
    tags: tuple[str, ...]
    meta: meta_graph_pb2.MetaGraphDef

    @property
    def name(self) -> str:
        return self.directory.resolve().name


def find(directory: Path, signature: str | None) -> Adopted:
    """The signature of that name: None: serving_default, or the only one.

    The graph is the only one, or the one tagged "serve". Raises ModelError, whose message lists
    what there is, and where the graph trains.
    """
    if (directory / manifest.PATH).exists():
        raise ModelError(f"{directory}: has a manifest already ({manifest.PATH})")
    found = read(directory, signature)
    files.check_tree(directory)  # which is copied
    return found


def read(directory: Path, signature: str | None) -> Adopted:
    """The same, of a directory that has a manifest too."""
    path = directory / GRAPH
    if directory.is_file():
        raise ModelError(
            f"{directory}: expected the directory of a SavedModel, got a file: a model that Keras "
            "saved is given without --saved-model"
        )
    try:
        saved = saved_model_pb2.SavedModel.FromString(files.read(path, files.GRAPH))
    except FileError:
        raise
    except FileNotFoundError as error:
        raise ModelError(f"{directory}: expected a SavedModel, got none: no {GRAPH}") from error
    except Exception as error:  # protobuf's own class differs by its implementation
        raise ModelError(f"{path}: expected a SavedModel: {paragraph(error)}") from error
    graphs = {tuple(meta.meta_info_def.tags): meta for meta in saved.meta_graphs}
    chosen = _tags(graphs, directory)
    meta = graphs[chosen]
    keys = sorted(key for key in meta.signature_def if key != INITIALIZATION)
    key = signature or (keys[0] if len(keys) == 1 else outputs.DEFAULT)
    if key not in keys:
        raise ModelError(
            f"{directory}: expected a signature {key!r}, got {', '.join(keys) or 'none'}; "
            "--signature names one"
        )
    _check_inference(meta, key, directory)
    return Adopted(directory, key, chosen, meta)


def _tags(graphs: Collection[tuple[str, ...]], directory: Path) -> tuple[str, ...]:
    """Those of the only graph, or "serve", as Go chooses."""
    for tags in graphs:
        if len(graphs) == 1 or tags == (tf.saved_model.SERVING,):
            return tags
    have = "; ".join(",".join(tags) or "none" for tags in graphs)
    raise ModelError(f"{directory}: expected one graph, or one tagged serve, got {have}")


def reachable(meta: meta_graph_pb2.MetaGraphDef, key: str) -> Iterator[node_def_pb2.NodeDef]:
    """Every operation that runs for the signature's outputs, those of functions included."""
    nodes = {node.name: node for node in meta.graph_def.node}
    library = {f.signature.name: f for f in meta.graph_def.library.function}
    pending = [info.name for info in meta.signature_def[key].outputs.values()]
    seen, called = set(), set()
    while pending:
        name = split(pending.pop().removeprefix("^"))[0]
        if name in seen or name not in nodes:
            continue
        seen.add(name)
        yield nodes[name]
        pending += nodes[name].input
        functions = _functions(nodes[name])
        while functions:
            function = functions.pop()
            if function not in called and function in library:
                called.add(function)
                for node in library[function].node_def:
                    yield node
                    functions += _functions(node)


def _functions(node: node_def_pb2.NodeDef) -> list[str]:
    return [
        function.name
        for value in node.attr.values()
        for function in (value.func, *value.list.func)
        if function.name
    ]


def _check_inference(meta: meta_graph_pb2.MetaGraphDef, key: str, directory: Path) -> None:
    """Raises ModelError where answering changes variables or normalises by the batch."""
    changing, normalizing = set(), False
    for node in reachable(meta, key):
        if node.op.startswith("Assign"):
            changing.add(node.op)
        normalizing |= node.op in TRAINING and node.attr["is_training"].b
    if changing or normalizing:
        what = (
            ["changes its variables as it answers (" + ", ".join(sorted(changing)) + ")"]
            if changing
            else []
        )
        if normalizing:
            what.append("normalises each batch by its own mean and variance")
        raise ModelError(
            f"{directory}: expected a graph that only answers, got one in training mode: signature "
            f"{key!r} {' and '.join(what)}, so that its answers depend on what was asked before. "
            "Give kerasrun-export the .keras file itself: Keras's model.export() leaves layers "
            "such as RandomFlip on, and kerasrun-export does not"
        )


def inputs(found: Adopted, size: tuple[int, int] | None, choices: Choices) -> list[TensorSpec]:
    """What the signature takes.

    size: (height, width), of images whose size the graph leaves free. choices: the color of one
    whose rank or channels it leaves free too, and which input is one. Raises ModelError, and
    ChoiceError where that color is not said.
    """
    specs = []
    for name, info in sorted(found.meta.signature_def[found.signature].inputs.items()):
        dtype, shape = tf.as_dtype(info.dtype).name, info.tensor_shape
        where = f"{found.directory}: input {name!r} of signature {found.signature!r}"
        if info.WhichOneof("encoding") != "name":
            raise ModelError(f"{where}: expected a dense tensor, got a sparse or composite one")
        sides = None if shape.unknown_rank else tuple(dim.size for dim in shape.dim)
        if sides is None and dtype == "string":
            sides = (-1,)
        if sides is None or (len(sides) == 4 and {*sides[1:]} == {-1}):
            sides = _said_sides(name, sides, choices, where)
        if dtype == "string" and len(sides) != 1:
            raise ModelError(f"{where}: expected strings of shape (batch,), got the shape {sides}")
        if not sides:
            raise ModelError(f"{where}: expected a batch, got a scalar")
        specs.append(TensorSpec(name, dtype, sides))
    if size is None:
        return specs
    shapes = {spec.name: spec.shape for spec in specs}
    shapes = sized(shapes, size, choices.input, str(found.directory))
    return [
        TensorSpec(spec.name, spec.dtype, shape) for spec, shape in zip(specs, shapes, strict=True)
    ]


def _said_sides(
    name: str, sides: tuple[int, ...] | None, choices: Choices, where: str
) -> tuple[int, ...]:
    """Those of an image whose rank (None) or height, width and channels the graph leaves free.

    Raises ChoiceError where nothing says how many channels it has.
    """
    kind = choices.input.get(name)
    if kind == "tensor" and sides is not None:
        return sides
    color = choices.color or (choices.contract or {}).get("decode", {}).get("color")
    if kind != "tensor" and color in CHANNELS:
        return (-1, -1, -1, CHANNELS[color])
    free = "rank" if sides is None else "height, width and channels"
    asked = (
        f"expected to be told what it takes, for the graph leaves its {free} free: --color "
        f"{'|'.join(COLORS)}, of images (batch, height, width, channels)"
    )
    if sides is not None:
        raise ChoiceError(f"{where}: {asked}, or --input {name}=tensor: it is served as it is")
    raise ChoiceError(
        f"{where}: {asked}. A manifest has no tensor of any rank: kerasrun predict and serve take "
        "the directory without one, by --allow-unverified"
    )


def results(found: Adopted) -> list[Output]:
    """What the signature gives."""
    made = []
    for name, info in sorted(found.meta.signature_def[found.signature].outputs.items()):
        shape = () if info.tensor_shape.unknown_rank else [d.size for d in info.tensor_shape.dim]
        graph, dtype = found.meta.graph_def, tf.as_dtype(info.dtype).name
        last = activation(_operation(graph, info.name, SAME))
        computed = _operation(graph, info.name, (*SAME, *MOVED))
        made.append(Output(found.signature, name, dtype, tuple(shape), last, computed))
    return made


def _operation(graph: graph_pb2.GraphDef, reference: str, through: tuple[str, ...]) -> str:
    """The operation that computes a tensor, before those of `through` and inside of calls; "" where
    a function gives what it was given."""
    library = {function.signature.name: function for function in graph.library.function}
    nodes = {node.name: node for node in graph.node}
    while True:
        name, _, index = reference.partition(":")
        node = nodes.get(name)
        if node is None:
            return ""
        if node.op in through:
            reference = node.input[0]
        elif node.op in ("PartitionedCall", "StatefulPartitionedCall"):
            function = library[node.attr["f"].func.name]
            argument = function.signature.output_arg[int(index.rpartition(":")[2] or 0)]
            reference = function.ret[argument.name]
            nodes = {inner.name: inner for inner in function.node_def}
        else:
            return node.op


def reference(found: Adopted) -> Reference:
    """TensorFlow in Python, which runs the signature as it is. Raises ModelError."""
    try:
        with tf.device("/CPU:0"):
            loaded = tf.saved_model.load(str(found.directory), tags=list(found.tags))
        function = loaded.signatures[found.signature]
    except Exception as error:  # TensorFlow raises whatever the graph's operations raise
        raise ModelError(
            f"{found.directory}: TensorFlow cannot load it: {paragraph(error)}"
        ) from error
    signature = found.meta.signature_def[found.signature]
    shapes = [[dim.size for dim in i.tensor_shape.dim] for i in signature.inputs.values()]

    def once(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert loaded is not None  # its variables live as long as it
        given = {key: tf.constant(x, signature.inputs[key].dtype) for key, x in batch.items()}
        return {key: value.numpy() for key, value in function(**given).items()}

    def predict(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return in_batches(once, tensors, shapes)

    description = f"tensorflow {tf.version.VERSION} {found.name} {found.signature}"
    return Reference(description, manifest.versions(), predict)


def sha256(directory: Path) -> str:
    """Of the graph and the variables, in the order of their names."""
    digest = hashlib.sha256()
    for path in [directory / GRAPH, *sorted((directory / "variables").glob("*"))]:
        digest.update(bytes.fromhex(manifest.sha256(path)))
    return digest.hexdigest()


def parameters(found: Adopted) -> int:
    """How many numbers the variables hold that the signature reads; 0 where all are constants."""
    count = 0
    for node in reachable(found.meta, found.signature):
        if node.op in VARIABLES and tf.as_dtype(node.attr["dtype"].type).is_floating:
            sides = [dim.size for dim in node.attr["shape"].shape.dim]
            count += int(np.prod(sides, dtype=np.int64))
    return count
