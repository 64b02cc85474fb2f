"""The exported graph as TensorFlow's optimizers leave it for a GPU, which is described to them and not there."""

from pathlib import Path

import pytest

from tools import export, gpugraph, serving
from tools.backend import keras


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory):
    """A stem and a block of the kind that ResNeXt has, grouped convolution included."""
    layers = keras.layers
    images = x = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 7, strides=2, use_bias=False)(layers.ZeroPadding2D(3)(x))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    shortcut = x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 1, use_bias=False)(x)))
    x = layers.DepthwiseConv2D(3, depth_multiplier=4, use_bias=False)(layers.ZeroPadding2D(1)(x))
    x = layers.Reshape((8, 8, 16))(keras.ops.sum(layers.Reshape((8, 8, 4, 4, 4))(x), axis=-2))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.ReLU()(layers.Add()([shortcut, layers.BatchNormalization()(layers.Conv2D(16, 1, use_bias=False)(x))]))
    probs = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    served = serving.trace(keras.Model(images, probs), "caffe", False)
    out: Path = tmp_path_factory.mktemp("gpugraph") / "model"
    export.write_graph(served, out, literal=False)
    return gpugraph.read(out)


def test_layout(graph):
    """In fp32 all of it is turned to channels first, with a transpose at each end and none between."""
    counts = gpugraph.summary(gpugraph.optimized(graph, "fp32", "8.0"))
    convolutions = {what: count for what, count in counts.items() if "Conv2D" in what}
    assert sum(convolutions.values()) == 4
    assert all(what.split()[1:] == ["NCHW", "float32"] for what in convolutions)
    assert counts["MaxPool NCHW float32"] == 1
    assert counts["Transpose"] == 2
    assert "Pad" not in counts


def test_tensor_cores_stay_channels_last(graph):
    counts = gpugraph.summary(gpugraph.optimized(graph, "tf32", "8.0"))
    assert sum(count for what, count in counts.items() if "Conv2D NHWC" in what) == 4
    assert "Transpose" not in counts


def test_operations_without_a_kernel_are_named(graph):
    changed = gpugraph.optimized(graph, "fp32", "8.0")
    node = changed.node.add(name="no", op="StringLower", input=["x"])
    node.device = gpugraph.DEVICE
    assert "StringLower" in gpugraph.without_kernel(changed)
