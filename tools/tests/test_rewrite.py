"""Every rewriting pass against the graph that Keras built, and against what it must leave alone."""

import functools
import sys

import numpy as np
import pytest

from kerasrun_export import node_names, rewrite, sample_images, serving
from kerasrun_export.backend import keras, tf
from kerasrun_export.errors import GraphError
from kerasrun_export.freeze import freeze
from kerasrun_export.graph import Graph
from kerasrun_export.images import preprocess
from kerasrun_export.model import native_mode

layers = keras.layers


@pytest.fixture(autouse=True)
def _fresh_names():
    keras.utils.clear_session()


def freeze_function(function, *shape: int | None) -> Graph:
    concrete = tf.function(function, autograph=False).get_concrete_function(
        tf.TensorSpec(shape, tf.float32, "images")
    )
    return freeze(concrete, {"out": concrete.outputs[0].name})


def freeze_model(model: keras.Model) -> Graph:
    return freeze_function(lambda images: model(images, training=False), *model.input_shape)


def randomize(model: keras.Model, seed: int = 0) -> keras.Model:
    """Gives every weight a value that a mistake would show in: scales about 1, variances above 0.5,
    none zero.
    """
    random = np.random.default_rng(seed)
    for variable in model.weights:
        fan_in = max(1, int(np.prod(variable.shape[:-1])))
        drawn = random.normal(0, fan_in**-0.5 if len(variable.shape) > 1 else 0.3, variable.shape)
        if variable.name in ("gamma", "moving_variance"):
            drawn = random.uniform(0.5, 1.5, variable.shape)
        if variable.trainable or variable.name.startswith("moving"):
            variable.assign(drawn)
    return model


def execute(graph: Graph, images: np.ndarray) -> np.ndarray:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.graph_util.import_graph_def(graph.graph_def(), name="")
        return session.run(
            graph.outputs["out"] + (":0" if ":" not in graph.outputs["out"] else ""),
            {"images:0": images},
        )


def photo(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).normal(0, 60, shape).astype(np.float32)


def assert_equal(graph: Graph, model: keras.Model, tolerance: float = 2e-6) -> None:
    images = photo(2, *model.input_shape[1:])
    want, got = model(images, training=False).numpy(), execute(graph, images)
    assert got.shape == want.shape
    difference = np.abs(got - want).max() / np.abs(want).max()
    assert difference <= tolerance, f"differs by {difference:.2g} of the largest value"


def sequence(shape: tuple, *steps) -> keras.Model:
    inputs = x = keras.Input(shape)
    for step in steps:
        x = step(x)
    return randomize(keras.Model(inputs, x))


def gconv_kernel(channels: int, c: int) -> np.ndarray:
    """The published kernel of the group sum, by its published formula."""
    kernel = np.zeros((1, 1, channels * c, channels), np.float32)
    for i in range(channels):
        start = (i // c) * c * c + i % c
        kernel[:, :, start : start + c * c : c, i] = 1
    return kernel


def grouped(
    spelling: str, channels: int, c: int, stride: int = 1, kernel: np.ndarray | None = None
) -> keras.Model:
    inputs = keras.Input((12, 12, channels))
    if spelling == "groups":
        x = layers.Conv2D(channels, 3, strides=stride, groups=channels // c, name="conv")(inputs)
        return randomize(keras.Model(inputs, x))
    x = layers.DepthwiseConv2D(3, strides=stride, depth_multiplier=c, use_bias=False, name="conv")(
        inputs
    )
    if spelling == "gconv":
        sums = layers.Conv2D(channels, 1, use_bias=False, trainable=False, name="gconv")
        x = sums(x)
        sums.set_weights([gconv_kernel(channels, c) if kernel is None else kernel])
    else:
        space = x.shape[1:3]
        x = layers.Reshape((*space, channels // c, c, c))(x)
        x = layers.Reshape((*space, channels))(
            keras.ops.sum(x, axis={"reduce": 4, "wrong axis": 5}[spelling])
        )
    return randomize(keras.Model(inputs, x))


@pytest.mark.parametrize("spelling", ["reduce", "gconv", "groups"])
@pytest.mark.parametrize(
    ("channels", "c", "stride"), [(32, 4, 1), (64, 2, 2), (24, 8, 1), (16, 16, 1)]
)
def test_group_sums_become_one_grouped_convolution(spelling, channels, c, stride):
    model = grouped(spelling, channels, c, stride)
    graph = freeze_model(model)
    rewrite.optimize(graph)
    assert graph.op_counts()["Conv2D"] == 1
    assert not set(graph.op_counts()) & {"DepthwiseConv2dNative", "Sum", "StatefulPartitionedCall"}
    (convolution,) = (node for node in graph.nodes.values() if node.op == "Conv2D")
    assert graph.constant(convolution.input[1]).shape == (3, 3, max(c, 8), channels)
    assert_equal(graph, model)


@pytest.mark.parametrize(
    ("channels", "groups", "filters", "expected"),
    [
        (32, 8, 32, 8),
        (32, 8, 64, 8),
        (12, 2, 8, 6),
        (12, 4, 8, 6),
        (12, 3, 12, 4),
        (6, 2, 4, 6),
        (16, 16, 32, 1),
        (16, 1, 8, 16),
    ],
)
def test_narrow_groups_are_joined(channels, groups, filters, expected):
    model = sequence(
        (12, 12, channels), layers.Conv2D(filters, 3, groups=groups, strides=2, name="conv")
    )
    graph = freeze_model(model)
    rewrite.optimize(graph)
    (convolution,) = (node for node in graph.nodes.values() if node.op == "Conv2D")
    assert graph.constant(convolution.input[1]).shape == (3, 3, expected, filters)
    assert_equal(graph, model)


def test_a_group_sum_without_batch_size_or_with_a_fixed_one():
    for batch in (None, 2):
        inputs = keras.Input((8, 8, 32), batch_size=batch)
        x = layers.DepthwiseConv2D(3, depth_multiplier=4, use_bias=False)(inputs)
        x = layers.Reshape((6, 6, 8, 4, 4))(x)
        model = randomize(
            keras.Model(inputs, layers.Reshape((6, 6, 32))(keras.ops.sum(x, axis=-2)))
        )
        graph = freeze_model(model)
        rewrite.optimize(graph)
        assert graph.op_counts()["Conv2D"] == 1
        assert_equal(graph, model)


def almost_ones() -> np.ndarray:
    kernel = gconv_kernel(32, 4)
    kernel[0, 0, 0, 0] = 1.0000001
    return kernel


def other_order() -> np.ndarray:
    return gconv_kernel(32, 4)[:, :, ::-1, :]


@pytest.mark.parametrize(
    "model",
    [
        lambda: grouped("gconv", 32, 4, kernel=almost_ones()),
        lambda: grouped("gconv", 32, 4, kernel=other_order()),
        lambda: grouped("wrong axis", 32, 4),
        lambda: sequence(
            (12, 12, 32), layers.DepthwiseConv2D(3, depth_multiplier=4), layers.Conv2D(32, 1)
        ),
    ],
    ids=["almost ones", "other order", "wrong axis", "separable"],
)
def test_what_is_no_group_sum_stays(model):
    model = model()
    graph = freeze_model(model)
    rewrite.optimize(graph)
    assert graph.op_counts()["DepthwiseConv2dNative"] == 1
    assert_equal(graph, model)


def test_a_depthwise_result_that_is_used_twice_stays():
    inputs = keras.Input((12, 12, 32))
    depthwise = layers.DepthwiseConv2D(3, depth_multiplier=4, use_bias=False)(inputs)
    sums = layers.Conv2D(32, 1, use_bias=False, trainable=False)
    x = sums(depthwise)
    sums.set_weights([gconv_kernel(32, 4)])
    model = randomize(keras.Model(inputs, layers.Concatenate()([x, depthwise])))
    graph = freeze_model(model)
    rewrite.optimize(graph)
    assert graph.op_counts()["DepthwiseConv2dNative"] == 1
    assert_equal(graph, model)


NORM = {"epsilon": 1.001e-5}


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        (
            (layers.Conv2D(8, 3, use_bias=False), layers.BatchNormalization(**NORM)),
            "Conv2D BiasAdd",
        ),
        (
            (layers.Conv2D(8, 3), layers.BatchNormalization(**NORM), layers.ReLU()),
            "Conv2D BiasAdd Relu",
        ),
        (
            (
                layers.Conv2D(8, 3),
                layers.BatchNormalization(scale=False),
                layers.Rescaling(0.5, 3.0),
            ),
            "Conv2D BiasAdd",
        ),
        (
            (layers.DepthwiseConv2D(3, depth_multiplier=2), layers.BatchNormalization()),
            "DepthwiseConv2dNative BiasAdd",
        ),
        (
            (layers.GlobalAveragePooling2D(), layers.Dense(5), layers.BatchNormalization()),
            "Mean MatMul BiasAdd",
        ),
        (
            (
                layers.Conv2D(8, 1),
                layers.BatchNormalization(),
                layers.BatchNormalization(center=False),
            ),
            "Conv2D BiasAdd",
        ),
        (
            (layers.SeparableConv2D(8, 3, use_bias=False), layers.BatchNormalization()),
            "DepthwiseConv2dNative Conv2D BiasAdd",
        ),
        # What stays: a batch normalisation with nothing before it that takes it, or beyond a
        # padding or activation.
        ((layers.BatchNormalization(), layers.Conv2D(8, 3)), "Mul AddV2 Conv2D BiasAdd"),
        (
            (layers.Conv2D(8, 3), layers.ReLU(), layers.BatchNormalization(), layers.Conv2D(4, 1)),
            "Conv2D BiasAdd Relu Mul AddV2 Conv2D BiasAdd",
        ),
        (
            (
                layers.Conv2D(8, 3),
                layers.ZeroPadding2D(1),
                layers.BatchNormalization(),
                layers.AveragePooling2D(2),
            ),
            "Conv2D BiasAdd Pad Mul AddV2 AvgPool",
        ),
    ],
)
def test_batch_normalisation_is_folded(steps, left):
    fresh = [type(step).from_config(step.get_config()) for step in steps]
    model = sequence((11, 11, 6), *fresh)
    graph = freeze_model(model)
    rewrite.optimize(graph)
    operations = [
        graph.nodes[name].op
        for name in graph.order()
        if graph.nodes[name].op not in ("Placeholder", "Reshape")
    ]
    assert operations == left.split()
    assert_equal(graph, model)


def test_folding_rounds_once():
    model = sequence(
        (9, 9, 4), layers.Conv2D(8, 3, use_bias=False), layers.BatchNormalization(epsilon=1e-3)
    )
    kernel = model.layers[1].get_weights()[0].astype(np.float64)
    gamma, beta, mean, variance = (
        value.astype(np.float64) for value in model.layers[2].get_weights()
    )
    scale = gamma / np.sqrt(variance + np.float64(np.float32(1e-3)))
    graph = freeze_model(model)
    rewrite.optimize(graph)
    written = {node.name: node for node in graph.graph_def().node}
    (convolution,) = (node for node in written.values() if node.op == "Conv2D")
    (bias,) = (node for node in written.values() if node.op == "BiasAdd")

    def value(name):
        return tf.make_ndarray(written[name].attr["value"].tensor)

    np.testing.assert_array_equal(value(convolution.input[1]), (kernel * scale).astype(np.float32))
    np.testing.assert_array_equal(value(bias.input[1]), (beta - mean * scale).astype(np.float32))


def test_the_fused_operation_is_folded():
    random = np.random.default_rng(1)
    kernel = random.normal(size=(3, 3, 4, 8)).astype(np.float32)
    gamma, beta, mean, variance = random.uniform(0.5, 1.5, (4, 8)).astype(np.float32)

    def function(images):
        x = tf.nn.conv2d(images, kernel, 1, "SAME")
        return tf.compat.v1.nn.fused_batch_norm(
            x, gamma, beta, mean, variance, 1e-3, is_training=False
        )[0]

    images = photo(2, 8, 8, 4)
    graph = freeze_function(function, None, 8, 8, 4)
    rewrite.optimize(graph)
    assert "FusedBatchNormV3" not in graph.op_counts()
    want = function(tf.constant(images)).numpy()
    np.testing.assert_allclose(execute(graph, images), want, atol=2e-6 * np.abs(want).max())


def test_a_result_that_is_used_twice_is_not_folded():
    inputs = keras.Input((9, 9, 4))
    convolution = layers.Conv2D(8, 3, use_bias=False)(inputs)
    model = randomize(
        keras.Model(inputs, layers.Add()([layers.BatchNormalization()(convolution), convolution]))
    )
    graph = freeze_model(model)
    rewrite.optimize(graph)
    assert graph.op_counts()["Mul"] == 1
    assert_equal(graph, model)


def test_a_result_that_is_an_output_is_not_folded():
    model = sequence(
        (9, 9, 4), layers.Conv2D(8, 3, use_bias=False, name="conv"), layers.BatchNormalization()
    )
    both = keras.Model(model.input, [model.get_layer("conv").output, model.output])
    concrete = tf.function(
        lambda x: both(x, training=False), autograph=False
    ).get_concrete_function(tf.TensorSpec((None, 9, 9, 4), tf.float32, "images"))
    graph = freeze(concrete, {"conv": concrete.outputs[0].name, "out": concrete.outputs[1].name})
    rewrite.optimize(graph)
    assert_equal(graph, model)
    graph.outputs["out"] = graph.outputs["conv"]
    assert_equal(graph, keras.Model(model.input, model.get_layer("conv").output))


def test_an_addition_of_another_shape_is_not_folded():
    random = np.random.default_rng(2)
    convolution = layers.Conv2D(6, 3)
    convolution.build((None, 8, 8, 6))
    images = photo(2, 8, 8, 6)
    # Six rows or columns are not six channels, and five dimensions are not four.
    for shape, left in (
        ((6,), 0),
        ((1, 1, 6), 0),
        ((6, 1), 1),
        ((6, 6), 1),
        ((6, 1, 1), 1),
        ((1, 1, 1, 1, 6), 1),
    ):
        other = random.normal(size=shape).astype(np.float32)
        graph = freeze_function(
            functools.partial(lambda other, x: convolution(x) + other, other), None, 8, 8, 6
        )
        rewrite.optimize(graph)
        assert graph.op_counts()["AddV2"] == left
        want = (convolution(images) + other).numpy()
        np.testing.assert_allclose(execute(graph, images), want, atol=2e-6 * np.abs(want).max())


@pytest.mark.parametrize("padding", [1, 3, ((0, 1), (2, 0))])
def test_padding_moves_into_a_convolution(padding):
    model = sequence((11, 11, 6), layers.ZeroPadding2D(padding), layers.Conv2D(5, 3, strides=2))
    graph = freeze_model(model)
    rewrite.optimize(graph)
    assert "Pad" not in graph.op_counts()
    assert_equal(graph, model)


def test_padding_stays_before_a_depthwise_convolution():
    model = sequence((11, 11, 6), layers.ZeroPadding2D(1), layers.DepthwiseConv2D(3))
    graph = freeze_model(model)
    rewrite.optimize(graph)
    assert graph.op_counts()["Pad"] == 1
    assert_equal(graph, model)


def test_padding_moves_into_a_pooling_of_what_is_not_negative():
    for activation, padding, left in (
        ("relu", 1, 0),
        ("relu6", 1, 0),
        ("linear", 1, 1),
        ("relu", 3, 1),
    ):
        steps = (
            layers.Conv2D(8, 3, activation=activation),
            layers.ZeroPadding2D(padding),
            layers.MaxPooling2D(3, 2),
        )
        model = sequence((13, 13, 3), *steps)
        graph = freeze_model(model)
        rewrite.optimize(graph)
        assert graph.op_counts()["Pad"] == left, (activation, padding)
        assert_equal(graph, model)
        # All below zero: where the zeros of the padding would be the largest.
        model.layers[1].set_weights([-np.ones((3, 3, 3, 8)), -np.ones(8)])
        graph = freeze_model(model)
        rewrite.optimize(graph)
        images = np.abs(photo(1, 13, 13, 3)).round()  # whose sums are exact in any order
        np.testing.assert_array_equal(execute(graph, images), model(images).numpy())


def test_padding_that_two_operations_use_moves_into_both():
    inputs = keras.Input((9, 9, 4))
    padded = layers.ZeroPadding2D(1)(inputs)
    model = randomize(
        keras.Model(
            inputs, layers.Add()([layers.Conv2D(4, 3)(padded), layers.Conv2D(4, 3)(padded)])
        )
    )
    graph = freeze_model(model)
    rewrite.optimize(graph)
    assert "Pad" not in graph.op_counts()
    assert_equal(graph, model)


def residual_block() -> keras.Model:
    inputs = keras.Input((16, 16, 8))
    x = layers.ReLU()(
        layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", use_bias=False)(inputs))
    )
    y = layers.BatchNormalization()(layers.Conv2D(8, 1, use_bias=False)(x))
    return randomize(keras.Model(inputs, layers.ReLU()(layers.Add()([x, y]))))


def test_tensorflow_fuses_what_is_left_of_a_block():
    graph = freeze_model(residual_block())
    rewrite.optimize(graph)
    config = tf.compat.v1.ConfigProto()
    options = tf.compat.v1.RunOptions(output_partition_graphs=True)
    metadata = tf.compat.v1.RunMetadata()
    with tf.Graph().as_default(), tf.compat.v1.Session(config=config) as session:
        tf.graph_util.import_graph_def(graph.graph_def(), name="")
        session.run(
            graph.outputs["out"] + ":0", {"images:0": photo(2, 16, 16, 8)}, options, metadata
        )
    run = [node.op for part in metadata.partition_graphs for node in part.node]
    assert not {"AddV2", "BiasAdd", "Relu", "Conv2D"} & set(run), run
    assert sum("FusedConv2D" in op for op in run) == 2, run


def test_a_variable_that_is_used_twice_is_one_constant():
    dense = layers.Dense(40, use_bias=False)
    model = sequence((40,), dense, layers.ReLU(), dense)
    graph = freeze_model(model)
    rewrite.optimize(graph)
    assert sum(value.size == 1600 for value in graph.constants.values()) == 1
    assert_equal(graph, model)


def test_loops_are_refused_in_one_line():
    def function(images):
        return tf.while_loop(lambda x: tf.reduce_sum(x) < 1, lambda x: (x + 1,), (images,))[0]

    with pytest.raises(GraphError, match=r"^operation while \(.*While\) is a loop or branch"):
        freeze_function(function, None, 4)


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("ResNet50", "caffe", {}),
        ("MobileNetV2", "tf", {"alpha": 0.35}),
        ("EfficientNetB0", "none", {}),
    ],
)
def test_whole_applications(name, mode, options):
    side = 64
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(side, side, 3), classes=10, **options
    )
    randomize(model)
    served = serving.trace(model, caffe=native_mode(name))
    graph = serving.frozen(served)
    rewrite.optimize(graph)
    node_names.rename(graph, model.name, served.layers)
    assert not set(graph.op_counts()) & {
        "FusedBatchNormV3",
        "Rsqrt",
        "Identity",
        "ReadVariableOp",
        "NoOp",
    }

    # Keras's own chain for this model, against caffe-style tensors.
    images = np.stack(
        [
            np.asarray(keras.utils.load_img(path, target_size=(side, side)))
            for path in sample_images.paths()
        ]
    )
    preprocess_input = sys.modules[getattr(keras.applications, name).__module__].preprocess_input
    ready = preprocess_input(images.astype(np.float32))
    np.testing.assert_array_equal(ready, preprocess(images, mode))
    logits = (
        keras.Model(model.input, model.layers[-1].input)(ready) @ model.layers[-1].kernel
        + model.layers[-1].bias
    )
    for key, want in (("probs", model.predict(ready, verbose=0)), ("logits", logits.numpy())):
        graph.outputs["out"] = graph.outputs[key]
        got = execute(graph, preprocess(images, "caffe"))
        np.testing.assert_allclose(
            got, want, atol=1e-5 if key == "probs" else 1e-4 * np.abs(want).max(), err_msg=key
        )

    graph_def = graph.graph_def()
    assert graph_def.ByteSize() < 4 * model.count_params() + 200_000  # each constant once
    found = {node.name for node in graph_def.node}
    assert {"images", "features", "logits", "probs"} <= found
    assert mode == "caffe" or {"from_caffe/rgb", "from_caffe/shifted"} <= found
    assert not [node for node in found if node.startswith(model.name) or "ReadVariable" in node]
    if name == "ResNet50":
        assert {
            "conv1_conv",
            "conv1_conv/kernel",
            "conv1_bn/bias",
            "conv5_block3_3_conv/kernel",
            "conv5_block3_out",
        } <= found
