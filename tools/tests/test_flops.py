"""Parameters and operations against published figures and TensorFlow's own profiler."""

import numpy as np
import pytest

from kerasrun_export import flops, model
from kerasrun_export.backend import keras, tf


def profiled(built: keras.Model) -> int:
    """The operations of convolutions and matrix products, as TensorFlow's profiler counts them in
    the traced graph.
    """
    from tensorflow.python.framework import convert_to_constants
    from tensorflow.python.profiler import model_analyzer, option_builder

    traced = tf.function(lambda images: built(images)).get_concrete_function(
        tf.TensorSpec((1, *built.input_shape[1:]))
    )
    frozen = convert_to_constants.convert_variables_to_constants_v2(
        traced, lower_control_flow=False
    )
    options = (
        option_builder.ProfileOptionBuilder(option_builder.ProfileOptionBuilder.float_operation())
        .with_accounted_types(["Conv2D", "MatMul", "DepthwiseConv2dNative"])
        .with_empty_output()
        .build()
    )
    return model_analyzer.profile(frozen.graph, options=options).total_float_ops


@pytest.mark.parametrize("architecture", ["resnet50", "resnext50", "MobileNetV2", "Xception"])
def test_against_the_profiler(architecture):
    built = model.build(architecture, input_shape=(96, 96, 3), classes=12)
    assert flops.count(built) == profiled(built)


@pytest.mark.parametrize(
    ("architecture", "millions", "giga"),
    [
        # He et al. 2015, table 1, and Xie et al. 2016, table 1: 25.5 and 25.0 million parameters,
        # 3.8 and 4.2 billion multiply-adds. Sandler et al. 2018, table 4: 3.4 million (without
        # statistics) and 300 million.
        ("resnet50", 25.6, 7.7),
        ("resnext50", 25.1, 8.5),
        ("MobileNetV2", 3.5, 0.6),
    ],
)
def test_published_figures(architecture, millions, giga):
    built = model.build(architecture)
    assert round(flops.parameters(built) / 1e6, 1) == millions
    assert round(flops.count(built) / 1e9, 1) == giga


def test_either_spelling_of_the_group_sum_counts_alike():
    first, second = (
        model.build("resnext50", input_shape=(32, 32, 3), group_sum=s) for s in ("reduce", "gconv")
    )
    assert flops.count(first) == flops.count(second)
    assert flops.parameters(first) == flops.parameters(second) == 25_097_128


def test_what_is_not_known():
    free = model.build("resnext50", input_shape=(None, None, 3), include_top=False)
    assert flops.count(free) == 0
    images = keras.Input((8, 8, 3))
    other = keras.Model(images, keras.layers.LSTM(4)(keras.layers.Reshape((8, 24))(images)))
    assert flops.count(other) == 0
    nested = keras.Model(
        images, keras.Sequential([keras.layers.Conv2D(2, 3), keras.layers.Flatten()])(images)
    )
    assert flops.count(nested) == 2 * 27 * 2 * 36
    assert nested(np.zeros((1, 8, 8, 3), np.float32)).shape == (1, 72)
