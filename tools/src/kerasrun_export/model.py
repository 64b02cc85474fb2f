"""Builds what is exported: a published architecture, or the model in a file."""

import numpy as np

from kerasrun_export import applications, efficientnet_lite0, model_file, resnet
from kerasrun_export import weights as published
from kerasrun_export.backend import keras
from kerasrun_export.blocks import Layers
from kerasrun_export.contract import MODES
from kerasrun_export.errors import ModelError
from kerasrun_export.images import preprocess
from kerasrun_export.model_file import is_file
from kerasrun_export.resnet import DESIGNS

IMAGENET_CLASSES = 1000


def build(
    architecture: str,
    *,
    include_top: bool = True,
    weights: str | None = None,
    input_shape: tuple | None = None,
    input_tensor=None,
    pooling: str | None = None,
    classes: int = IMAGENET_CLASSES,
    group_sum: str = "reduce",
    data_format: str | None = None,
    custom_objects: str | None = None,
    unsafe_lambda: bool = False,
) -> keras.Model:
    """Builds a model.

    architecture: a name of DESIGNS in lower case ("resnext50"), "efficientnet-lite0", a
        `keras.applications` name as Keras spells it ("MobileNetV2"), or the path of a .keras or .h5
        model file, which comes with its own shape, top and weights.
    include_top: ends in `avg_pool` and the softmax layer `probs`, (batch, classes); otherwise in
        the last feature map, or, with pooling "avg" or "max", in (batch, channels).
    weights: None (Keras's own random initialisation) or what `weights.load` takes.
    input_shape: (height, width, 3), or (3, height, width) for channels_first; None in place of a
        size leaves it free. By default the architecture's own size.
    input_tensor: a Keras tensor to build on in place of a new input.
    group_sum: ResNeXt's sum inside each group as "reduce" (reshape and sum) or "gconv" (a frozen
        1x1 convolution of zeros and ones).
    data_format: "channels_last" or "channels_first"; None takes Keras's config. Weights fit both.
    custom_objects, unsafe_lambda: of a file, as `model_file.load` takes them; its model comes as it
        is, of tf_keras where Keras 3 cannot read it.

    Raises ModelError, and WeightsError where weights are given.
    """
    data_format = data_format or keras.config.image_data_format()
    if data_format not in ("channels_last", "channels_first"):
        raise ModelError(
            f"unknown data format {data_format!r}: expected channels_last or channels_first"
        )
    if pooling not in (None, "avg", "max"):
        raise ModelError(f"unknown pooling {pooling!r}: expected None, avg or max")
    if group_sum not in ("reduce", "gconv"):
        raise ModelError(f"unknown group sum {group_sum!r}: expected reduce or gconv")
    if classes < 1:
        raise ModelError(f"classes: expected at least 1, got {classes}")
    if weights == "imagenet" and include_top and classes != IMAGENET_CLASSES:
        raise ModelError(
            f"imagenet weights have a top of {IMAGENET_CLASSES} classes, not {classes}: leave "
            "out the top"
        )
    if is_file(architecture):
        model = model_file.load(
            architecture, custom_objects=custom_objects, unsafe_lambda=unsafe_lambda
        )
    elif architecture in DESIGNS:
        shape = resnet.check_shape(input_shape, (224, 224), data_format)
        make = Layers(data_format, group_sum)
        model = resnet.build(architecture, include_top, shape, input_tensor, pooling, classes, make)
    elif architecture == efficientnet_lite0.NAME:
        shape = resnet.check_shape(input_shape, efficientnet_lite0.SIZE, data_format)
        model = efficientnet_lite0.build(
            include_top, shape, input_tensor, pooling, classes, data_format
        )
    else:
        model = applications.build(
            architecture, include_top, input_shape, input_tensor, pooling, classes, data_format
        )
    if weights is not None:
        published.load(
            model, weights, architecture=architecture, mode=native_mode(architecture, weights)
        )
    return model


def native_mode(architecture: str, weights: str | None = None) -> str:
    """The preprocessing that a model's weights expect: caffe, tf, torch or none (RGB, 0 to 255).

    A `keras.applications` model has its package's own. For the designs of this builder it is that
    of the published weights where weights is "imagenet", else caffe. Raises ModelError for a file:
    it does not say.
    """
    if is_file(architecture):
        raise ModelError(
            f"{architecture}: a model file does not say how its images were made: expected a name"
        )
    if architecture in DESIGNS:
        return DESIGNS[architecture].mode if weights == "imagenet" else "caffe"
    module, _ = applications.find(architecture)
    probe = np.array([[[[0, 100, 200], [255, 50, 150]]]], np.float32)
    got = np.asarray(module.preprocess_input(probe.copy(), data_format="channels_last"))
    for mode in MODES:
        if np.allclose(got, preprocess(probe, mode), atol=1e-4):
            return mode
    raise ModelError(f"{architecture}: its preprocess_input is none of {', '.join(MODES)}")


def has_imagenet_classes(architecture: str, model: keras.Model) -> bool:
    """Whether the outputs are ImageNet's classes: a known architecture's top of 1000."""
    return not is_file(architecture) and model.output_shape == (None, IMAGENET_CLASSES)
