"""Exact rewriting of a frozen Keras inference graph into one that TensorFlow runs faster.

Every pass keeps the function the graph computes: most move no number at all, those that combine
constants (batch normalisation into the weights before it) do so in float64 and round once. What a
pass cannot prove exact it leaves alone, so any Keras model may go through.
"""

from collections.abc import Callable

import numpy as np

from kerasrun_export.backend import tf
from kerasrun_export.graph import KERNELS, Graph, attribute, set_attribute, split, static_shapes

FLOAT = tf.float32.as_datatype_enum


def optimize(graph: Graph) -> list[str]:
    """Runs every pass, in place. Returns a line for each that found something."""
    done = []
    for change, what in (
        (drop_identities, "identities dropped"),
        (fold_constants, "operations on constants computed"),
        (fix_reshapes, "reshapes to shapes known but for the batch"),
        (group_convolutions, "depthwise convolutions with group sums made one grouped convolution"),
        (join_narrow_groups, "grouped convolutions made to read eight channels a group"),
        (fold_affine, "batch normalisations and other per-channel operations folded into weights"),
        (pad_inside, "paddings moved into the operation that follows"),
        (pin_input, "input shapes pinned"),
    ):
        count = change(graph)
        graph.prune()
        if count:
            done.append(f"{count} {what}")
    return done


def drop_identities(graph: Graph) -> int:
    """Removes operations that return their input as it is when nothing is trained."""
    count = 0
    for name, node in list(graph.nodes.items()):
        if node.op in ("Identity", "StopGradient", "PreventGradient", "CheckNumerics", "Snapshot"):
            graph.redirect(name, node.input[0])
            del graph.nodes[name]
            count += 1
    graph.changed()
    return count


def _channels_last(node: object) -> bool:
    return attribute(node, "data_format").s in (b"", b"NHWC")


def _is_float(node: object) -> bool:
    return attribute(node, "T").type == FLOAT


ELEMENTWISE: dict[str, Callable] = {
    "Add": np.add, "AddV2": np.add, "Sub": np.subtract, "Mul": np.multiply, "RealDiv": np.divide,
    "Maximum": np.maximum,
    "Neg": np.negative, "Sqrt": np.sqrt, "Square": np.square, "Reciprocal": np.reciprocal,
    "Rsqrt": lambda x: 1 / np.sqrt(x),
}  # fmt: skip


def fold_constants(graph: Graph) -> int:
    """Computes in float64 what depends on constants alone, as batch normalisation's scale does."""
    count = 0
    for name in graph.order():
        node = graph.nodes[name]
        inputs = [graph.constant(reference) for reference in node.input]
        if not inputs or any(value is None for value in inputs):
            continue
        if node.op in ELEMENTWISE and attribute(node, "T").type == FLOAT:
            value = ELEMENTWISE[node.op](*(x.astype(np.float64) for x in inputs))
        elif node.op == "Reshape":
            value = inputs[0].reshape(inputs[1])
        elif node.op == "ExpandDims":
            value = np.expand_dims(inputs[0], int(inputs[1]))
        elif node.op == "Squeeze":
            value = np.squeeze(inputs[0], tuple(attribute(node, "squeeze_dims").list.i) or None)
        else:
            continue
        dtype = attribute(node, "T").type
        del graph.nodes[name]
        graph.constants[name], graph.types[name] = value, dtype
        count += 1
    graph.changed()
    return count


def fix_reshapes(graph: Graph) -> int:
    """Gives every Reshape whose result is known but for one dimension a constant shape (-1 there).

    Keras spells Reshape and Flatten with the batch size read at run time (Shape, StridedSlice,
    Pack).
    """
    shapes, count = static_shapes(graph), 0
    for name, node in graph.nodes.items():
        shape = shapes[name]
        if (
            node.op != "Reshape"
            or graph.constant(node.input[1]) is not None
            or shape is None
            or shape.count(None) > 1
        ):
            continue
        target = np.array([-1 if size is None else size for size in shape], np.int32)
        node.input[1] = graph.add_constant(f"{name}/shape", target, tf.int32.as_datatype_enum)
        set_attribute(node, "Tshape", tf.int32)
        count += 1
    graph.changed()
    return count


def group_convolutions(graph: Graph) -> int:
    """Makes a depthwise convolution and the sum inside each group one grouped Conv2D.

    ResNeXt is published with its grouped convolution spelled as DepthwiseConv2D(depth_multiplier=c)
    and a sum of c channels each, by a 1x1 convolution with a kernel of zeros and ones or by a
    reshape and a Sum. With D the depthwise kernel (h, w, in, c) and groups of k input channels,
    W[h, w, i, g*c + j] = D[h, w, g*k + i, j] is the kernel of the grouped convolution that equals
    both: the same products, added in another order.
    """
    shapes, count = static_shapes(graph), 0
    for name, node in list(graph.nodes.items()):
        if node.op != "DepthwiseConv2dNative" or not _channels_last(node) or not _is_float(node):
            continue
        kernel = graph.constant(node.input[1])
        follower = graph.only_consumer(name)
        if kernel is None or follower is None:
            continue
        last, per_group = _sum_by_convolution(graph, follower, kernel) or _sum_by_reduction(
            graph, follower, kernel, shapes
        )
        if last is None:
            continue
        height, width, channels, multiplier = kernel.shape
        groups = channels // per_group
        # (h, w, group, i, j) -> (h, w, i, group, j)
        grouped = kernel.reshape(height, width, groups, per_group, multiplier).transpose(
            0, 1, 3, 2, 4
        )
        weights = graph.add_constant(
            f"{name}/kernel", grouped.reshape(height, width, per_group, groups * multiplier)
        )
        attributes = {
            key: attribute(node, key)
            for key in ("T", "strides", "padding", "explicit_paddings", "dilations", "data_format")
        }
        graph.replace(name, "Conv2D", [node.input[0], weights], **attributes, use_cudnn_on_gpu=True)
        graph.redirect(last, name)
        count += 1
    return count


def _sum_by_convolution(
    graph: Graph, follower: object, kernel: np.ndarray
) -> tuple[str, int] | None:
    """(last node, input channels a group) if the follower is a 1x1 Conv2D that sums inside groups,
    else None.
    """
    ones = graph.constant(follower.input[1]) if follower.op == "Conv2D" else None
    channels, multiplier = kernel.shape[2:]
    if (
        ones is None
        or ones.shape[:3] != (1, 1, channels * multiplier)
        or not _plain_strides(follower)
    ):
        return None
    groups, rest = divmod(ones.shape[3], multiplier)
    if rest or not groups or channels % groups:
        return None
    per_group = channels // groups
    expected = np.zeros((groups, per_group, multiplier, groups, multiplier), ones.dtype)
    index_g, index_j = np.meshgrid(np.arange(groups), np.arange(multiplier), indexing="ij")
    expected[index_g, :, index_j, index_g, index_j] = 1
    return (
        (follower.name, per_group)
        if np.array_equal(ones[0, 0], expected.reshape(ones.shape[2:]))
        else None
    )


def _plain_strides(node: object) -> bool:
    return (
        set(attribute(node, "strides").list.i) == {1}
        and attribute(node, "padding").s != b"EXPLICIT"
    )


def _sum_by_reduction(
    graph: Graph, follower: object, kernel: np.ndarray, shapes: dict
) -> tuple[str | None, int]:
    """The same if what follows is a Reshape to (n, h, w, g, k, c), a Sum over k and a Reshape, else
    (None, 0).
    """
    total = kernel.shape[2] * kernel.shape[3]
    added = graph.only_consumer(follower.name) if follower.op == "Reshape" else None
    last = graph.only_consumer(added.name) if added is not None and added.op == "Sum" else None
    if last is None or last.op != "Reshape":
        return None, 0
    before, inside, after = (
        shapes[split(follower.input[0])[0]],
        shapes[follower.name],
        shapes[last.name],
    )
    axis = graph.constant(added.input[1])
    if (
        None in (before, inside, after)
        or axis is None
        or axis.size != 1
        or len(inside) != 6
        or len(after) != 4
    ):
        return None, 0
    groups, per_group, multiplier = inside[3:]
    known = None not in before[1:] and before[1:3] == inside[1:3] == after[1:3]
    if not known or groups * per_group * multiplier != total or after[3] != groups * multiplier:
        return None, 0
    if (
        multiplier != kernel.shape[3]
        or int(axis.reshape(())) % 6 != 4
        or attribute(added, "keep_dims").b
    ):
        return None, 0
    return last.name, per_group


VECTOR = 8  # float32 numbers in a register of AVX2


def join_narrow_groups(graph: Graph) -> int:
    """Joins neighbouring groups of a convolution, up to eight channels each.

    oneDNN computes eight channels of a group at a time, however few there are; for groups of one it
    has other code. With groups of k input and m output channels, j of them joined, W'[h, w, a*k +
    i, (g*j + b)*m + o] is W[h, w, i, (g*j + b)*m + o] where a = b, and 0 elsewhere. What is added
    to a finite sum is zero.
    """
    shapes, count = static_shapes(graph), 0
    for node in graph.nodes.values():
        kernel = (
            graph.constant(node.input[1])
            if node.op == "Conv2D" and _channels_last(node) and _is_float(node)
            else None
        )
        source = shapes[split(node.input[0])[0]] if kernel is not None else None
        if source is None or source[3] is None:
            continue
        height, width, per_group, channels = kernel.shape
        groups = source[3] // per_group
        joined = min(VECTOR // per_group, groups)
        if per_group == 1 or joined < 2 or groups % joined:
            continue
        apart = kernel.reshape(
            height, width, per_group, groups // joined, joined, channels // groups
        )
        wide = np.zeros(
            (height, width, joined, per_group, groups // joined, joined, channels // groups),
            kernel.dtype,
        )
        for a in range(joined):
            wide[:, :, a, :, :, a] = apart[:, :, :, :, a]
        node.input[1] = graph.add_constant(
            f"{node.name}/joined", wide.reshape(height, width, joined * per_group, channels)
        )
        count += 1
    graph.changed()
    return count


def fold_affine(graph: Graph) -> int:
    """Folds scales and shifts after a convolution or dense layer into its weights and a BiasAdd.

    That is batch normalisation in either of TensorFlow's spellings, biases, and scalings. A result
    that anything else uses ends the chain, and so does whatever is not per channel (padding, an
    activation).
    """
    count = 0
    for name in graph.order():
        node = graph.nodes.get(name)
        if node is None or node.op not in KERNELS or attribute(node, "T").type != FLOAT:
            continue
        kernel = graph.constant(node.input[1])
        if kernel is None or not _channels_last(node) or attribute(node, "transpose_b").b:
            continue
        depthwise = node.op == "DepthwiseConv2dNative"
        channels = kernel.shape[2] * kernel.shape[3] if depthwise else kernel.shape[-1]
        scale, shift, chain = np.ones(channels), np.zeros(channels), []
        tail = node
        while (following := graph.only_consumer(tail.name)) is not None:
            affine = _affine(graph, following, tail.name, channels, 2 if node.op == "MatMul" else 4)
            if affine is None:
                break
            scale, shift = scale * affine[0], shift * affine[0] + affine[1]
            chain.append(following.name)
            tail = following
        if not chain or [graph.nodes[link].op for link in chain] == ["BiasAdd"]:
            continue
        weights = kernel.astype(np.float64) * (
            scale.reshape(kernel.shape[2:]) if depthwise else scale
        )
        node.input[1] = graph.add_constant(f"{name}/folded_kernel", weights)
        bias = graph.add_constant(f"{name}/folded_bias", shift)
        for link in chain:
            del graph.nodes[link]
        graph.replace(tail.name, "BiasAdd", [name, bias], T=tf.float32, data_format="NHWC")
        count += len(chain)
    return count


def _affine(
    graph: Graph, node: object, source: str, channels: int, rank: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """(scale, shift), float64 (channels,), if the node computes source * scale + shift."""
    if attribute(node, "T").type != FLOAT or not _channels_last(node):
        return None
    if node.op in ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"):
        parameters = [graph.constant(reference) for reference in node.input[1:5]]
        if attribute(node, "is_training").b or any(value is None for value in parameters):
            return None
        gamma, beta, mean, variance = (value.astype(np.float64) for value in parameters)
        scale = gamma / np.sqrt(variance + attribute(node, "epsilon").f)
        return scale, beta - mean * scale
    if node.op not in ("BiasAdd", "Add", "AddV2", "Sub", "Mul", "RealDiv"):
        return None
    first, second = (split(reference)[0] for reference in node.input)
    value = graph.constant(node.input[1] if first == source else node.input[0])
    if value is None or value.ndim > rank or value.size not in (1, channels):
        return None
    if value.size > 1 and value.shape[-1] != channels:
        return None
    value = np.broadcast_to(value.reshape(-1).astype(np.float64), channels)
    one, zero = np.ones(channels), np.zeros(channels)
    constant_first = second == source
    if node.op == "Mul":
        return value, zero
    if node.op == "RealDiv":
        return None if constant_first else (1 / value, zero)
    if node.op == "Sub":
        return (-one, value) if constant_first else (one, -value)
    return one, value


def pad_inside(graph: Graph) -> int:
    """Moves zero padding into the convolution or max-pooling after it.

    Not into a depthwise convolution: TensorFlow 2.21 aborts the process on one with explicit
    padding (CPU, oneDNN).
    """
    count = 0
    for node in list(graph.nodes.values()):
        if node.op not in ("Conv2D", "MaxPool") or attribute(node, "padding").s != b"VALID":
            continue
        pad = graph.nodes.get(split(node.input[0])[0])
        if pad is None or pad.op != "Pad" or not _channels_last(node):
            continue
        widths = graph.constant(pad.input[1])
        if (
            widths is None
            or widths.shape != (4, 2)
            or widths[0].any()
            or widths[3].any()
            or (widths < 0).any()
        ):
            continue
        if node.op == "MaxPool":
            # The pooling leaves the border out where the zeros took part: the same when no value is
            # below zero and no window lies wholly in the border.
            window = np.array(attribute(node, "ksize").list.i)[1:3]
            if (
                graph.op(pad.input[0]) not in ("Relu", "Relu6")
                or (widths[1:3].max(axis=1) >= window).any()
            ):
                continue
        set_attribute(node, "padding", "EXPLICIT")
        node.attr["explicit_paddings"].list.i[:] = [int(width) for width in widths.reshape(-1)]
        node.input[0] = pad.input[0]
        count += 1
    graph.changed()
    return count


def pin_input(graph: Graph) -> int:
    """Puts a Reshape to (-1, height, width, channels) behind each image input of known shape.

    The values stay. TensorFlow takes a fed placeholder's shape as unknown and fuses convolution,
    bias, addition and activation only where it can prove shapes equal; this Reshape is enough for
    that.
    """
    count = 0
    for name, node in list(graph.nodes.items()):
        dims = (
            [dim.size for dim in attribute(node, "shape").shape.dim]
            if node.op == "Placeholder"
            else []
        )
        if len(dims) < 2 or min(dims[1:]) < 1:
            continue
        shape = graph.add_constant(
            f"{name}/shape", np.array([-1, *dims[1:]], np.int32), tf.int32.as_datatype_enum
        )
        pinned = f"{name}/pinned"
        graph.redirect(name, pinned)
        graph.replace(
            pinned,
            "Reshape",
            [name, shape],
            T=tf.dtypes.as_dtype(node.attr["dtype"].type),
            Tshape=tf.int32,
        )
        count += 1
    return count
