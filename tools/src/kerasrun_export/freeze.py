"""Turns a concrete function into a frozen graph: variables become constants, calls are inlined."""

from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.python.framework import tensor_util
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph_def

from kerasrun_export.backend import tf
from kerasrun_export.errors import GraphError
from kerasrun_export.graph import Graph, join, split


def freeze(function: tf.types.experimental.ConcreteFunction, outputs: dict[str, str]) -> Graph:
    """The graph of a concrete function, variables made constants and function calls inlined.

    outputs: signature keys to the names of tensors inside the function's graph. Keras compiles
    `Conv2D(groups=...)` by XLA on CPU, as a call marked so; its body is inlined like any other,
    which leaves the raw grouped Conv2D operation. Raises GraphError for a graph with loops or
    branches.
    """
    graph = from_graph_def(inline_calls(function.graph.as_graph_def()), outputs)
    reads = {
        name: split(node.input[0])[0]
        for name, node in graph.nodes.items()
        if node.op == "ReadVariableOp"
    }
    for outside, inside in function.graph.captures:
        name = inside.op.name
        dtypes = {
            graph.nodes[read].attr["dtype"].type for read, source in reads.items() if source == name
        }
        if outside.dtype == tf.resource:
            if not dtypes:  # a variable that inference does not read
                graph.nodes.pop(name, None)
                continue
            value = tf.raw_ops.ReadVariableOp(resource=outside, dtype=dtypes.pop())
        else:
            value = outside
        # A placeholder; what was a constant outside is one inside already
        graph.nodes.pop(name, None)
        graph.constants[name], graph.types[name] = value.numpy(), value.dtype.as_datatype_enum
    for read, source in reads.items():
        graph.redirect(read, source)
        del graph.nodes[read]
    graph.prune()
    return graph


def from_graph_def(graph_def: graph_pb2.GraphDef, outputs: dict[str, str]) -> Graph:
    """Indexes a GraphDef that calls no function."""
    nodes, constants, types = {}, {}, {}
    for node in graph_def.node:
        if node.op == "Const":
            constants[node.name] = tensor_util.MakeNdarray(node.attr["value"].tensor)
            types[node.name] = node.attr["dtype"].type
            continue
        copy = node_def_pb2.NodeDef()
        copy.CopyFrom(node)
        del copy.input[:]
        copy.input.extend(
            join(*split(reference)) for reference in node.input if not reference.startswith("^")
        )
        # Marks of the tracing and the freezing; they say nothing about the value.
        for key in [key for key in copy.attr if key.startswith("_")]:
            del copy.attr[key]
        nodes[node.name] = copy
    return Graph(
        nodes,
        constants,
        types,
        {key: join(*split(name)) for key, name in outputs.items()},
        graph_def.versions,
    )


def inline_calls(graph_def: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """Replaces every call of a library function by the function's body, `call/node` its nodes."""
    library = {function.signature.name: function for function in graph_def.library.function}
    while True:
        calls = [
            node
            for node in graph_def.node
            if node.op in ("PartitionedCall", "StatefulPartitionedCall")
        ]
        if not calls:
            for node in graph_def.node:
                if any(value.HasField("func") or value.list.func for value in node.attr.values()):
                    raise GraphError(
                        f"operation {node.name} ({node.op}) is a loop or branch, which the "
                        "optimized graph cannot have"
                    )
            graph_def.ClearField("library")
            return graph_def
        inlined = graph_pb2.GraphDef(versions=graph_def.versions, library=graph_def.library)
        renamed: dict[str, str] = {}  # "call:0" -> the tensor inside the body
        for node in graph_def.node:
            if node.op not in ("PartitionedCall", "StatefulPartitionedCall"):
                inlined.node.add().CopyFrom(node)
                continue
            function = library[node.attr["f"].func.name]
            body, flat = function_def_to_graph_def(function)
            data = [reference for reference in node.input if not reference.startswith("^")]
            arguments = dict(
                zip((argument.name for argument in function.signature.input_arg), data, strict=True)
            )
            inside = {inner.name for inner in body.node}

            def place(reference: str, prefix: str, arguments: dict = arguments) -> str:
                name, index = split(reference.removeprefix("^"))
                return arguments[name] if name in arguments else join(f"{prefix}/{name}", index)

            for inner in body.node:
                if inner.name in arguments:
                    continue
                copy = inlined.node.add()
                copy.CopyFrom(inner)
                copy.name = f"{node.name}/{inner.name}"
                del copy.input[:]
                copy.input.extend(place(r, node.name) for r in inner.input if not r.startswith("^"))
            for i, argument in enumerate(function.signature.output_arg):
                returned = function.ret[argument.name]
                reference = returned if returned in inside else flat[returned]
                renamed[join(node.name, i)] = place(reference, node.name)
        for node in inlined.node:
            data = [reference for reference in node.input if not reference.startswith("^")]
            del node.input[:]
            node.input.extend(renamed.get(join(*split(reference)), reference) for reference in data)
        graph_def = inlined
