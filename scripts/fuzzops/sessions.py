"""Runs small graphs through sessions, where TensorFlow rewrites them: a convolution with what is
fused into it, for images of any size, as a client sends them."""

import math
import random
import warnings

import numpy as np
import tensorflow as tf

from .process import MORE_MEMORY, limit_memory, limit_time

# Each with the number of dimensions of what it takes.
KINDS = {
    "Conv2D": 4,
    "DepthwiseConv2dNative": 4,
    "Conv2DBackpropInput": 4,
    "Conv3D": 5,
    "Conv3DBackpropInputV2": 5,
    "MatMul": 2,
    "MaxPool": 4,
    "AvgPool": 4,
}
SIZES = [0, 1, 1, 2, 3, 4, 5, 7, 8, 16, 17, 33, 64]
LARGE = [224, 1024, 4096, 30_000, 65_536]
STEPS = [1, 1, 1, 2, 3, 5, 64, 4096]
TAILS = [[], ["bias"], ["bias", "relu"], ["bias", "elu"], ["bias", "relu6"], ["bias", "leaky"],
         ["norm"], ["norm", "relu"], ["bias", "swish"], ["bias", "add", "relu"], ["bias", "gelu"],
         ["bias", "tanh"], ["bias", "sigmoid"], ["bias", "mish"]]  # fmt: skip
PLAIN = ("MatMul", "AvgPool", "Conv3D", "Conv3DBackpropInputV2")  # without explicit paddings
MOST_ELEMENTS = 300_000
SESSION_MEMORY = 1 << 30
CHANNELS, FILTERS = 3, 4


def name_of(kind):
    return f"session {kind}"


def draw(kind, rng):
    inner = KINDS[kind] - 2
    size = [rng.choice([1, 1, 2, 3, 3, 5, 7, 33]) for _ in range(inner)]
    step = rng.choice(STEPS)
    return {
        "window": size,
        "strides": [step] * inner if rng.random() < 0.6 else [rng.choice(STEPS) for _ in size],
        "dilations": [rng.choice([1, 1, 1, 1, 2, 3, 4096])] * inner,
        "padding": rng.choice(["SAME", "VALID", "EXPLICIT"]),
        "sides": [rng.choice([0, 1, 2, 3, 64, 4096]) for _ in range(2 * inner)],
        "pad": rng.choice([None, "Pad", "MirrorPad"]) if rng.random() < 0.5 else None,
        "tail": rng.choice(TAILS),
        "dtype": rng.choice(["float32", "float32", "bfloat16", "half", "float64"]),
        "shapes": [shape(inner, rng) for _ in range(4)],
    }


def shape(inner, rng):
    sizes = [rng.choice(SIZES) for _ in range(inner)]
    if sizes and rng.random() < 0.3:
        sizes[rng.randrange(inner)] = rng.choice(LARGE)
    batch = rng.choice([0, 1, 1, 2, 3, 17])
    while batch * math.prod(sizes) * CHANNELS > MOST_ELEMENTS:
        sizes[sizes.index(max(sizes))] = rng.choice([1, 2, 3])
    return [batch, *sizes, CHANNELS]


def build(kind, tried, x):
    raw, dtype = tf.raw_ops, tf.as_dtype(tried["dtype"])
    sides = [[0, 0], *np.reshape(tried["sides"], (-1, 2)).tolist(), [0, 0]]

    def ones(*sizes):
        return tf.ones(sizes, dtype)

    if tried["pad"] == "Pad":
        x = raw.Pad(input=x, paddings=sides)
    elif tried["pad"]:
        x = raw.MirrorPad(input=x, paddings=np.minimum(sides, 2), mode="REFLECT")
    window, channels = tried["window"], FILTERS
    steps = {"strides": [1, *tried["strides"], 1], "padding": tried["padding"]}
    if kind in PLAIN and tried["padding"] == "EXPLICIT":
        steps["padding"] = "SAME"
    elif tried["padding"] == "EXPLICIT":
        steps["explicit_paddings"] = [n for side in sides for n in side]
    dilated = steps | {"dilations": [1, *tried["dilations"], 1]}
    match kind:
        case "MatMul":
            x = raw.MatMul(a=x, b=ones(CHANNELS, FILTERS))
        case "MaxPool":
            x, channels = raw.MaxPool(input=x, ksize=[1, *window, 1], **steps), CHANNELS
        case "AvgPool":
            x, channels = raw.AvgPool(value=x, ksize=[1, *window, 1], **steps), CHANNELS
        case "DepthwiseConv2dNative":
            kernel, channels = ones(*window, CHANNELS, 1), CHANNELS
            x = raw.DepthwiseConv2dNative(input=x, filter=kernel, **dilated)
        case "Conv2DBackpropInput" | "Conv3DBackpropInputV2":
            around = tf.shape(x)[1:-1] * tried["strides"]
            sizes = tf.concat([tf.shape(x)[:1], around, [FILTERS]], 0)
            kernel = ones(*window, FILTERS, CHANNELS)
            backward = getattr(raw, kind)
            x = backward(input_sizes=sizes, filter=kernel, out_backprop=x, **dilated)
        case _:
            kernel = ones(*window, CHANNELS, FILTERS)
            x = getattr(raw, kind)(input=x, filter=kernel, **dilated)
    before = x
    for part in tried["tail"]:
        match part:
            case "bias":
                x = tf.nn.bias_add(x, ones(channels))
            case "norm":
                scale = tf.ones([channels])
                x = raw.FusedBatchNormV3(
                    x=x, scale=scale, offset=scale, mean=scale, variance=scale, is_training=False
                )[0]
            case "add":
                x = x + before
            case "leaky":
                x = tf.nn.leaky_relu(x, 0.1)
            case "mish":
                x = x * tf.tanh(tf.math.softplus(x))
            case _:
                x = getattr(tf.nn, part)(x)
    return x


def graph(kind, tried):
    """Adds a try to the graph. Returns what it takes, and its answer."""
    # The sizes are free, as they are in a served model.
    free = [None] * (KINDS[kind] - 1)
    x = tf.compat.v1.placeholder(tried["dtype"], [*free, CHANNELS])
    return x, build(kind, tried, x)


def image(x, sizes):
    return np.ones(sizes, x.dtype.as_numpy_dtype)


def attempt(kind, tried):
    """Makes the graph and runs it with each of the shapes. Returns how many were answered."""
    answered = 0
    with tf.Graph().as_default() as made:
        try:
            x, y = graph(kind, tried)
        except (TypeError, ValueError, tf.errors.OpError):
            return 0  # TensorFlow does not make such a graph
        with tf.compat.v1.Session(graph=made) as session:
            for sizes in tried["shapes"]:
                try:
                    session.run(y, {x: image(x, sizes)})
                    answered += 1
                except tf.errors.OpError:
                    pass
    return answered


def again(name, tried, args):
    limit_memory(MORE_MEMORY)
    limit_time(16 * args.try_seconds)
    attempt(name.removeprefix(name_of("")), tried)


def run(name, tries, first, args, board, *_):
    """As eager.run. A try is a graph, run with each of its shapes."""
    warnings.simplefilter("ignore")
    kind = name.removeprefix(name_of(""))
    rng = random.Random(f"{args.seed} {name} {first}")
    limit_memory(SESSION_MEMORY)
    good = 0
    for i in range(tries):
        tried = draw(kind, rng)
        board.begin(i + 1, good, tried)
        limit_time(4 * args.try_seconds)
        good += attempt(kind, tried) > 0
    board.end(tries, good)
