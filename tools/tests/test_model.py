"""The builder against keras_applications on tf_keras, built in the same run."""

import numpy as np
import pytest

import published
from kerasrun_export import model, sample_images, weights
from kerasrun_export.backend import keras
from kerasrun_export.images import preprocess

SIDE = 64
SHAPE = (SIDE, SIDE, 3)


@pytest.mark.parametrize("architecture", ["resnext101", "resnet152", "resnet152v2"])
def test_structure(architecture):
    ours, theirs = (
        make(architecture, input_shape=SHAPE) for make in (model.build, published.build)
    )
    assert published.shapes(ours) == published.shapes(theirs)
    assert ours.count_params() == theirs.count_params()
    assert ours.output_shape == theirs.output_shape == (None, 1000)
    unnamed = {
        "Reshape",
        "InputLayer",
        "MaxPooling2D",
    }  # Keras numbers these; the rest has published names
    names = [
        {layer.name for layer in m.layers if type(layer).__name__ not in unnamed}
        for m in (ours, theirs)
    ]
    assert names[0] - {"pool1_pool"} == names[1] - {"pool1_pool"}


@pytest.mark.parametrize("architecture", ["resnext50", "resnet50", "resnet50v2"])
def test_outputs(architecture, seed, tmp_path):
    theirs = published.build(architecture, input_shape=SHAPE, classes=17)
    published.draw(theirs, seed)
    images = sample_images.load(SIDE, SIDE, "torch")
    published.calibrate(theirs, images)
    theirs.save_weights(tmp_path / "weights.h5")
    ours = model.build(
        architecture, input_shape=SHAPE, classes=17, weights=str(tmp_path / "weights.h5")
    )
    assert published.shapes(ours) == published.shapes(theirs)
    np.testing.assert_allclose(ours(images), theirs(images, training=False), rtol=0, atol=1e-5)


@pytest.mark.parametrize("pooling", [None, "avg", "max"])
def test_without_top(pooling, seed, tmp_path):
    theirs = published.build("resnext50", input_shape=SHAPE, include_top=False, pooling=pooling)
    published.draw(theirs, seed)
    theirs.save_weights(tmp_path / "weights.h5")
    ours = model.build("resnext50", input_shape=SHAPE, include_top=False, pooling=pooling)
    weights.load(ours, str(tmp_path / "weights.h5"), architecture="resnext50", mode="caffe")
    images = sample_images.load(SIDE, SIDE, "torch")
    want = theirs(images, training=False).numpy()
    assert ours.output_shape == ((None, 2, 2, 2048) if pooling is None else (None, 2048))
    np.testing.assert_allclose(ours(images), want, rtol=0, atol=1e-5 * np.abs(want).max())


def test_calibrated_weights_at_full_size(seed):
    """Synthetic weights in both, over the photographs at 224x224: the same probabilities and five
    best classes.
    """
    ours = model.build("resnext50", weights=f"synthetic:{seed % 10**9}")
    theirs = published.build("resnext50")
    published.copy_weights(ours, theirs)
    images = sample_images.load(224, 224, "caffe")
    got, want = np.asarray(ours(images)), theirs(images, training=False).numpy()
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)
    best = np.take_along_axis(got, want.argsort()[:, :-6:-1], axis=1)
    assert (np.diff(best, axis=1) <= 1e-6).all(), (
        "the same five, in the same order but for what is as good as equal"
    )
    assert (best[:, -1] >= np.sort(got)[:, -5] - 1e-6).all()
    assert len(set(want[:8].argmax(axis=1))) >= 5


@pytest.fixture(scope="module")
def body() -> keras.Model:
    return model.build("resnext50", input_shape=SHAPE, include_top=False, pooling="avg")


def test_group_sum_as_a_frozen_convolution(body):
    """The older spelling: 128 million more parameters, all zeros and ones, and the same numbers."""
    older = model.build(
        "resnext50", input_shape=SHAPE, include_top=False, pooling="avg", group_sum="gconv"
    )
    extra = older.count_params() - body.count_params()
    assert 125e6 < extra < 130e6
    for layer in body.layers:
        if layer.weights:
            older.get_layer(layer.name).set_weights(layer.get_weights())
    images = sample_images.load(SIDE, SIDE, "torch")
    want = np.asarray(body(images))
    np.testing.assert_allclose(older(images), want, rtol=0, atol=1e-5 * np.abs(want).max())
    assert [w.path for w in older.trainable_weights] == [w.path for w in body.trainable_weights]


def test_channels_first_by_keras_config(body, tmp_path):
    """The same weights, and a file of it comes back as it was."""
    keras.config.set_image_data_format("channels_first")
    try:
        first = model.build("resnext50", input_shape=(3, SIDE, SIDE), include_top=False)
    finally:
        keras.config.set_image_data_format("channels_last")
    assert first.input_shape == (None, 3, SIDE, SIDE)
    assert first.output_shape == (None, 2048, 2, 2)
    assert sorted(published.shapes(first).items()) == sorted(published.shapes(body).items())
    published.copy_weights(body, first)
    images = sample_images.load(SIDE, SIDE, "torch")
    want = np.asarray(body(images))
    tolerance = 1e-5 * np.abs(want).max()
    got = np.asarray(first(images.transpose(0, 3, 1, 2))).mean(axis=(2, 3))
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance)

    first.save(tmp_path / "first.keras")
    back = model.build(str(tmp_path / "first.keras"))
    assert back.input_shape == (None, 3, SIDE, SIDE)
    got = np.asarray(back(images.transpose(0, 3, 1, 2))).mean(axis=(2, 3))
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance)


def test_input_tensor_and_free_size():
    images = keras.Input((None, None, 3))
    scaled = keras.layers.Rescaling(2.0)(images)
    built = model.build(
        "resnext50", input_tensor=scaled, include_top=False, input_shape=(None, None, 3)
    )
    assert built.inputs == [images]
    assert built.output_shape == (None, None, None, 2048)
    assert built(np.zeros((1, 40, 70, 3), np.float32)).shape == (1, 2, 3, 2048)


@pytest.mark.parametrize(
    ("architecture", "depth"),
    [("resnet50", 50), ("resnext50", 50), ("resnext101", 101), ("resnet200", 200)],
)
def test_depth(architecture, depth):
    """As papers count: convolutions on the longest way, and the classifier; a depthwise one counts,
    its sum not.
    """
    built = model.build(architecture, input_shape=(32, 32, 3))
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.Dense)
    assert (
        sum(
            isinstance(layer, kinds) and not layer.name.endswith("_0_conv")
            for layer in built.layers
        )
        == depth
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"architecture": "resnext51"},
            "unknown architecture 'resnext51': expected a .keras or .h5 file, or one of resnext50",
        ),
        ({"architecture": "resnet"}, "unknown architecture 'resnet'"),
        ({"architecture": "missing.keras"}, "missing.keras: no such file"),
        (
            {"weights": "imagenets"},
            "unknown weights 'imagenets': expected none, imagenet, synthetic, synthetic:N or an "
            "existing .h5 file",
        ),
        (
            {"weights": "imagenet", "classes": 10},
            "imagenet weights have a top of 1000 classes, not 10: leave out the top",
        ),
        (
            {"input_shape": (31, 64, 3)},
            "input shape: expected sides of at least 32, got (31, 64, 3)",
        ),
        ({"input_shape": (64, 64, 1)}, "input shape: expected (height, width, 3), got (64, 64, 1)"),
        ({"input_shape": (64, 64)}, "input shape: expected (height, width, 3), got (64, 64)"),
        (
            {"input_shape": (64, 64, 3), "data_format": "channels_first"},
            "input shape: expected (3, height, width), got (64, 64, 3)",
        ),
        (
            {"input_tensor": np.zeros((1, 64, 64, 3))},
            "input tensor: expected a Keras tensor, got ndarray",
        ),
        ({"pooling": "mean"}, "unknown pooling 'mean': expected None, avg or max"),
        ({"group_sum": "add"}, "unknown group sum 'add': expected reduce or gconv"),
        (
            {"data_format": "NHWC"},
            "unknown data format 'NHWC': expected channels_last or channels_first",
        ),
        ({"classes": 0}, "classes: expected at least 1, got 0"),
        (
            {"architecture": "MobileNetV2", "input_shape": (16, 16, 3)},
            "MobileNetV2: Input size must be at least 32x32",
        ),
    ],
)
def test_errors(options, message):
    with pytest.raises((model.ModelError, weights.WeightsError)) as caught:
        model.build(**{"architecture": "resnext50", "input_shape": SHAPE} | options)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


MODES = {
    "ResNet50": "caffe",
    "VGG16": "caffe",
    "ResNet50V2": "tf",
    "MobileNetV2": "tf",
    "DenseNet121": "torch",
    "EfficientNetB0": "none",
    "MobileNetV3Small": "none",
    "ConvNeXtTiny": "none",
    "resnext50": "caffe",
}


@pytest.mark.parametrize(("architecture", "mode"), MODES.items())
def test_native_mode(architecture, mode):
    assert model.native_mode(architecture) == mode


def test_a_file_has_no_native_mode():
    with pytest.raises(
        model.ModelError, match=r"anyone's\.keras: a model file does not say how its images"
    ):
        model.native_mode("anyone's.keras")


def test_native_mode_of_published_weights():
    modes = {
        name: model.native_mode(name, "imagenet")
        for name in ("resnext50", "resnet50", "resnet50v2")
    }
    assert modes == {"resnext50": "torch", "resnet50": "caffe", "resnet50v2": "tf"}


@pytest.mark.parametrize(
    ("architecture", "side"),
    [("MobileNetV2", 224), ("MobileNetV3Small", 224), ("EfficientNetB1", 240)],
)
def test_keras_applications(architecture, side):
    built = model.build(architecture, include_top=False, pooling="avg")
    assert built.input_shape == (None, side, side, 3)
    assert len(built.output_shape) == 2
    assert not model.has_imagenet_classes(architecture, built)


def test_keras_applications_with_classes():
    built = model.build("MobileNetV2", classes=5, input_shape=(96, 96, 3))
    assert built.output_shape == (None, 5)
    assert not model.has_imagenet_classes("MobileNetV2", built)
    assert model.has_imagenet_classes(
        "MobileNetV2", model.build("MobileNetV2", input_shape=(96, 96, 3))
    )


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_file(tmp_path, suffix):
    images = keras.Input((40, 50, 3))
    x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, strides=9)(images))
    saved = keras.Model(images, keras.layers.Dense(3, activation="softmax")(x))
    path = str(tmp_path / f"mine.{suffix}")
    saved.save(path)
    back = model.build(path)
    batch = np.random.default_rng(0).normal(size=(2, 40, 50, 3)).astype(np.float32)
    np.testing.assert_array_equal(back(batch), saved(batch))
    assert not model.has_imagenet_classes(path, back)


def test_a_broken_file(tmp_path):
    broken = tmp_path / "broken.keras"
    broken.write_bytes(b"PK\x03\x04 nothing of the kind")
    with pytest.raises(model.ModelError, match=r"\A[^\n]*\Z") as caught:
        model.build(str(broken))
    assert str(caught.value).startswith(f"{broken}: expected a model that Keras saved")


def test_published_preprocessing_is_keras_applications_own():
    """The mode recorded for ResNeXt's published weights is what
    keras_applications.resnext.preprocess_input does.
    """
    module, _ = published.NAMES["resnext50"]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 9, 3)).astype(np.float32)
    want = module.preprocess_input(pixels.copy(), data_format="channels_last", **published.MODULES)
    np.testing.assert_array_equal(
        preprocess(pixels, model.native_mode("resnext50", "imagenet")), want
    )
