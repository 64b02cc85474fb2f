"""A frozen TensorFlow graph that can be edited: operations and constants by name.

Constants are numpy arrays beside the operations, in whatever precision they were computed; they are
rounded once, to the type that their node declares, when the graph is written.
"""

from collections import Counter, defaultdict
from collections.abc import Container
from dataclasses import dataclass, field

import numpy as np
from tensorflow.core.framework import attr_value_pb2, graph_pb2, node_def_pb2, types_pb2
from tensorflow.python.framework import tensor_util

from kerasrun_export.backend import tf

KERNELS = ("Conv2D", "DepthwiseConv2dNative", "MatMul")  # operations whose second input is a kernel


def split(reference: str) -> tuple[str, int]:
    """("conv", 1) for "conv:1", ("conv", 0) for "conv"."""
    name, _, index = reference.partition(":")
    return name, int(index or 0)


def join(name: str, index: int) -> str:
    """The spelling of a node's input: "conv" for output 0, "conv:1" for output 1."""
    return f"{name}:{index}" if index else name


@dataclass
class Graph:
    """A frozen inference graph. Every operation is stateless; control edges are dropped.

    `outputs` maps signature keys to tensor references; what they name is never removed and keeps
    its values.
    """

    nodes: dict[str, node_def_pb2.NodeDef]
    constants: dict[str, np.ndarray]
    types: dict[str, int]
    outputs: dict[str, str]
    versions: object = None
    _consumers: dict[str, list[tuple[str, int]]] | None = field(default=None, repr=False)

    def op(self, reference: str) -> str:
        """The operation type behind a reference; "Const" for constants."""
        name, _ = split(reference)
        return "Const" if name in self.constants else self.nodes[name].op

    def constant(self, reference: str) -> np.ndarray | None:
        """The value behind a reference, None where it is not constant."""
        return self.constants.get(split(reference)[0])

    def consumers(self, name: str) -> list[tuple[str, int]]:
        """(operation, input position) of every use of the node; ("", 0): a signature output."""
        if self._consumers is None:
            self._consumers = defaultdict(list)
            for node in self.nodes.values():
                for position, reference in enumerate(node.input):
                    self._consumers[split(reference)[0]].append((node.name, position))
            for reference in self.outputs.values():
                self._consumers[split(reference)[0]].append(("", 0))
        return self._consumers.get(name, [])

    def only_consumer(self, name: str) -> node_def_pb2.NodeDef | None:
        """The one operation that uses the node's output 0 and nothing else does, or None."""
        uses = self.consumers(name)
        if len(uses) != 1 or not uses[0][0]:
            return None
        node = self.nodes[uses[0][0]]
        return node if split(node.input[uses[0][1]])[1] == 0 else None

    def changed(self) -> None:
        """To be called after edges change."""
        self._consumers = None

    def add_constant(self, name: str, value: np.ndarray, dtype: int = types_pb2.DT_FLOAT) -> str:
        """Adds a constant under the name, or the next free one, and returns it."""
        free, i = name, 1
        while free in self.constants or free in self.nodes:
            free, i = f"{name}_{i}", i + 1
        self.constants[free], self.types[free] = np.asarray(value), dtype
        return free

    def replace(
        self, name: str, op: str, inputs: list[str], **attributes: object
    ) -> node_def_pb2.NodeDef:
        """Puts a new operation at the name; attributes as set_attribute takes them."""
        node = node_def_pb2.NodeDef(name=name, op=op, input=inputs)
        for key, value in attributes.items():
            set_attribute(node, key, value)
        self.nodes[name] = node
        self.changed()
        return node

    def redirect(self, old: str, new: str) -> None:
        """Makes every user of output 0 of `old` use the reference `new`."""
        for node in self.nodes.values():
            for i, reference in enumerate(node.input):
                if split(reference) == (old, 0):
                    node.input[i] = new
        for key, reference in self.outputs.items():
            if split(reference) == (old, 0):
                self.outputs[key] = new
        self.changed()

    def prune(self) -> None:
        """Removes what no output needs, but for what is fed."""
        pending = [split(reference)[0] for reference in self.outputs.values()]
        pending += [name for name, node in self.nodes.items() if node.op == "Placeholder"]
        needed = set()
        while pending:
            name = pending.pop()
            if name not in needed:
                needed.add(name)
                if name in self.nodes:
                    pending += [split(reference)[0] for reference in self.nodes[name].input]
        self.nodes = {name: node for name, node in self.nodes.items() if name in needed}
        self.constants = {name: value for name, value in self.constants.items() if name in needed}
        self.types = {name: dtype for name, dtype in self.types.items() if name in needed}
        self.changed()

    def order(self) -> list[str]:
        """The operations, inputs before users; the same for the same graph."""
        done: dict[str, None] = {}
        for root in self.nodes:
            stack = [(root, False)]
            while stack:
                name, expanded = stack.pop()
                if name in done or name in self.constants:
                    continue
                if expanded:
                    done[name] = None
                else:
                    stack.append((name, True))
                    stack += [
                        (split(reference)[0], False)
                        for reference in reversed(self.nodes[name].input)
                    ]
        return list(done)

    def op_counts(self) -> Counter:
        """How many operations there are of each type; constants are not counted."""
        return Counter(node.op for node in self.nodes.values())

    def kernels(self) -> list[str]:
        """The constants used only as float32 kernels of convolutions and dense layers."""
        floating = tf.float32.as_datatype_enum
        return [
            name
            for name, dtype in self.types.items()
            if dtype == floating
            and self.consumers(name)
            and all(
                user and position == 1 and self.op(user) in KERNELS
                for user, position in self.consumers(name)
            )
        ]

    def value(self, name: str) -> np.ndarray:
        """A constant in the type that its node declares."""
        return self.constants[name].astype(tf.dtypes.as_dtype(self.types[name]).as_numpy_dtype)

    def graph_def(self, variables: Container[str] = ()) -> graph_pb2.GraphDef:
        """The graph as TensorFlow reads it, each constant once and just before its first user.

        variables: the constants that are read from variables of the same name instead.
        """
        graph_def = graph_pb2.GraphDef()
        if self.versions is not None:
            graph_def.versions.CopyFrom(self.versions)
        written = set()
        constant_outputs = [split(reference)[0] for reference in self.outputs.values()]
        for name in [*self.order(), *constant_outputs]:
            names = (
                [split(reference)[0] for reference in self.nodes[name].input]
                if name in self.nodes
                else [name]
            )
            for constant in names:
                if constant in self.constants and constant not in written:
                    written.add(constant)
                    of_constant = (
                        self._variable_nodes if constant in variables else self._const_node
                    )
                    graph_def.node.extend(of_constant(constant))
            if name in self.nodes and name not in written:
                written.add(name)
                graph_def.node.add().CopyFrom(self.nodes[name])
        return graph_def

    def _const_node(self, name: str) -> list[node_def_pb2.NodeDef]:
        dtype, value = tf.dtypes.as_dtype(self.types[name]), self.value(name)
        node = node_def_pb2.NodeDef(name=name, op="Const")
        set_attribute(node, "dtype", dtype)
        node.attr["value"].tensor.CopyFrom(
            tensor_util.make_tensor_proto(value, dtype=dtype, shape=value.shape)
        )
        return [node]

    def _variable_nodes(self, name: str) -> list[node_def_pb2.NodeDef]:
        dtype = tf.dtypes.as_dtype(self.types[name])
        handle = node_def_pb2.NodeDef(name=f"{name}/variable", op="VarHandleOp")
        set_attribute(handle, "shared_name", name)
        set_attribute(handle, "dtype", dtype)
        handle.attr["shape"].shape.CopyFrom(tf.TensorShape(self.constants[name].shape).as_proto())
        read = node_def_pb2.NodeDef(name=name, op="ReadVariableOp", input=[handle.name])
        set_attribute(read, "dtype", dtype)
        return [handle, read]


def attribute(node: node_def_pb2.NodeDef, key: str) -> attr_value_pb2.AttrValue:
    """A node's attribute, empty where it has none (reading `node.attr[key]` would add it)."""
    return node.attr[key] if key in node.attr else attr_value_pb2.AttrValue()


def set_attribute(node: node_def_pb2.NodeDef, key: str, value: object) -> None:
    """Sets an attribute from a str, bool, int, list of int, tf.DType, or an AttrValue."""
    attribute = node.attr[key]
    if isinstance(value, bool):
        attribute.b = value
    elif isinstance(value, int):
        attribute.i = value
    elif isinstance(value, str):
        attribute.s = value.encode()
    elif isinstance(value, tf.DType):
        attribute.type = value.as_datatype_enum
    elif isinstance(value, (list, tuple)):
        attribute.list.i.extend(value)
    else:
        attribute.CopyFrom(value)


def static_shapes(graph: Graph) -> dict[str, list[int | None] | None]:
    """The shape of every tensor as TensorFlow infers it; None: unknown rank or dimension."""
    with tf.Graph().as_default() as imported:
        tf.graph_util.import_graph_def(graph.graph_def(), name="")
    shapes = {}
    for operation in imported.get_operations():
        for i, tensor in enumerate(operation.outputs):
            known = tensor.shape.rank is not None
            shapes[join(operation.name, i)] = tensor.shape.as_list() if known else None
    return shapes
