"""Weights: files of the published layout, the download of the published ones, and the synthetic
draw.
"""

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest
import tf_keras

import published
from kerasrun_export import download, group_sum, model, sample_images, synthetic, weights
from kerasrun_export.backend import keras
from kerasrun_export.errors import UnreachableError, WeightsError

PUBLISHED = "resnext50_weights_tf_dim_ordering_tf_kernels.h5"


# Files, by layer name. A small network stands for a large one; test_model.py loads whole ones.


def small(kit):
    """The same three layers in either Keras."""
    images = kit.layers.Input((8, 8, 3))
    x = kit.layers.Conv2D(4, 3, name="conv")(images)
    x = kit.layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = kit.layers.BatchNormalization(name="bn")(x)
    x = kit.layers.GlobalAveragePooling2D(name="pool")(x)
    return kit.Model(images, kit.layers.Dense(5, name="dense")(x), name="small")


@pytest.fixture
def saved(tmp_path, seed) -> tuple[Path, "tf_keras.Model"]:
    """A file that tf_keras wrote, and the model it was written from."""
    source = small(tf_keras)
    published.draw(source, seed)
    source.save_weights(tmp_path / "small.h5")
    return tmp_path / "small.h5", source


def assert_loaded(ours, theirs) -> None:
    batch = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(ours(batch), theirs(batch, training=False), rtol=0, atol=1e-5)


def test_save_weights(saved):
    path, source = saved
    ours = small(keras)
    info = weights.load(ours, str(path), architecture="small", mode="caffe")
    assert info == {"source": "small.h5", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert_loaded(ours, source)
    bn = ours.get_layer("bn")
    for array, name in zip(
        source.get_layer("bn").get_weights(),
        ("gamma", "beta", "moving_mean", "moving_variance"),
        strict=True,
    ):
        np.testing.assert_array_equal(getattr(bn, name), array)


def test_a_whole_model_saved_by_keras_2(saved, tmp_path):
    source = saved[1]
    source.save(tmp_path / "whole.h5")
    ours = small(keras)
    weights.load_file(ours, tmp_path / "whole.h5")
    assert_loaded(ours, source)


def test_names_cut_in_pieces(saved):
    path, source = saved
    with h5py.File(path, "r+") as file:
        names = list(file.attrs["layer_names"])
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:3], names[3:]
    ours = small(keras)
    weights.load_file(ours, path)
    assert_loaded(ours, source)


def test_names_in_another_order(saved):
    path, source = saved
    with h5py.File(path, "r+") as file:
        attributes = file["bn"].attrs
        attributes["weight_names"] = list(attributes["weight_names"])[::-1]
    ours = small(keras)
    weights.load_file(ours, path)
    assert_loaded(ours, source)


def drop_layer(file) -> None:
    file.attrs["layer_names"] = [
        name for name in file.attrs["layer_names"] if name not in ("bn", b"bn")
    ]


def add_layer(file) -> None:
    file.copy("bn", "bn_9")
    file.attrs["layer_names"] = [*file.attrs["layer_names"], "bn_9"]


def reshape_weight(file) -> None:
    (name,) = (name for name in file["conv"].attrs["weight_names"] if "kernel" in str(name))
    del file["conv"][name]
    file["conv"][name] = np.zeros((3, 3, 3, 5), np.float32)


def drop_weight(file) -> None:
    file["dense"].attrs["weight_names"] = list(file["dense"].attrs["weight_names"])[:1]


def lose_weight(file) -> None:
    del file["dense"][file["dense"].attrs["weight_names"][1]]


def lose_layer(file) -> None:
    del file["dense"]


def spoil_weight(file) -> None:
    file["dense"][file["dense"].attrs["weight_names"][1]][2] = np.nan


def lose_names(file) -> None:
    del file.attrs["layer_names"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop_layer, "{path} does not fit small: missing layer bn"),
        (add_layer, "{path} does not fit small: extra layer bn_9"),
        (
            reshape_weight,
            "{path} does not fit small: conv/kernel: expected shape (3, 3, 3, 4), the file has "
            "(3, 3, 3, 5)",
        ),
        (drop_weight, "{path} does not fit small: layer dense: expected 2 weights, the file has 1"),
        (spoil_weight, "{path} does not fit small: dense/bias: has values that are not finite"),
        (lose_weight, "{path}: layer dense names weight dense/bias:0, which is not there"),
        (lose_layer, "{path}: names layer dense, which is not there"),
        (
            lose_names,
            "{path}: expected the published layout (Keras 2, by layer name), found no layer_names",
        ),
    ],
)
def test_a_file_that_does_not_fit(saved, spoil, message):
    path = saved[0]
    with h5py.File(path, "r+") as file:
        spoil(file)
    ours = small(keras)
    before = ours.get_weights()
    with pytest.raises(WeightsError) as caught:
        weights.load_file(ours, path)
    assert str(caught.value).startswith(message.format(path=path))
    assert "\n" not in str(caught.value)
    for old, new in zip(before, ours.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_every_fault_is_named_up_to_a_limit(saved):
    path = saved[0]
    other = model.build("resnet50", input_shape=(32, 32, 3), include_top=False)
    with pytest.raises(WeightsError) as caught:
        weights.load_file(other, path)
    message = str(caught.value)
    assert (
        "extra layer conv; extra layer depthwise; extra layer bn; extra layer dense; missing "
        "layer conv1_conv" in message
    )
    assert message.endswith("; and 102 more")


def test_a_file_that_is_not_hdf5_or_cut_off(saved, tmp_path):
    path = saved[0]
    text = tmp_path / "text.h5"
    text.write_text("not weights")
    cut = tmp_path / "cut.h5"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    empty = tmp_path / "empty.h5"
    h5py.File(empty, "w").close()
    for bad, message in (
        (text, "not a readable HDF5 file"),
        (cut, "not a readable HDF5 file"),
        (empty, "expected the pub"),
    ):
        with pytest.raises(WeightsError) as caught:
            weights.load_file(small(keras), bad)
        assert str(caught.value).startswith(f"{bad}: {message}")


@pytest.mark.parametrize("name", ["own.weights.h5", "own.h5"])
def test_what_keras_3_saved(tmp_path, name):
    """keras #18728: every weight comes from the file, or nothing does."""
    options = {"weights": None, "input_shape": (64, 64, 3)}
    written = keras.applications.MobileNetV3Small(classes=5, **options)
    written.save_weights(tmp_path / "own.weights.h5")
    (tmp_path / "own.weights.h5").rename(tmp_path / name)
    ours = keras.applications.MobileNetV3Small(classes=5, **options)
    info = weights.load(ours, str(tmp_path / name), architecture="MobileNetV3Small", mode="none")
    assert info["source"] == name
    for got, want in zip(ours.get_weights(), written.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)
    for other in (
        keras.applications.MobileNetV3Small(classes=7, **options),
        keras.applications.MobileNetV3Large(classes=5, **options),
        keras.applications.MobileNetV3Small(include_top=False, **options),  # Keras says nothing
    ):
        before = other.get_weights()
        with pytest.raises(WeightsError, match=r"\A[^\n]*expected the weights of the same[^\n]*\Z"):
            weights.load_file(other, tmp_path / name)
        for got, want in zip(other.get_weights(), before, strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("fault", [None, "value", "shape"])
def test_group_sums_that_older_files_have(saved, fault):
    """The kernel of zeros and ones is not a weight: it may be there, but only as what it is."""
    path, source = saved
    kernel = group_sum.group_sum_kernel(64)
    if fault == "value":
        kernel[0, 0, 5, 7] += 0.5
    if fault == "shape":
        kernel = kernel[:, :, :-1]
    name = "conv2_block1_2_gconv"
    with h5py.File(path, "r+") as file:
        file.attrs["layer_names"] = [*file.attrs["layer_names"], name]
        file.create_group(name).attrs["weight_names"] = [f"{name}/kernel:0"]
        file[name][f"{name}/kernel:0"] = kernel
    ours = small(keras)
    if fault:
        with pytest.raises(WeightsError, match=name):
            weights.load_file(ours, path)
    else:
        weights.load_file(ours, path)
        assert_loaded(ours, source)


# The published weights, from a server on this machine.


@dataclass
class Server:
    """Serves files from a directory; `break_after` lists the bytes after which the next answers'
    connections break.
    """

    directory: Path
    url: str = ""
    ranges: bool = True
    status: int | None = None
    break_after: list[int] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def serve(directory: Path) -> Iterator[Server]:
    state = Server(directory)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range", "")
            state.requests.append(asked)
            path = state.directory / Path(self.path).name
            if state.status or not path.is_file():
                return self.send_error(state.status or 404)
            body, start = path.read_bytes(), 0
            if asked and state.ranges:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                if start >= len(body):
                    return self.send_error(416)
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            stop = state.break_after.pop(0) if state.break_after else len(body)
            # The server closes the connection after this
            self.wfile.write(body[start : start + stop])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/resnet/"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server(tmp_path, monkeypatch) -> Iterator[Server]:
    """A server of an empty directory, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "served").mkdir()
    with serve(tmp_path / "served") as state:
        yield state


@pytest.fixture
def payload(server) -> bytes:
    """The contents of x.h5 on the server."""
    content = np.random.default_rng(0).bytes(3_000_000)
    (server.directory / "x.h5").write_bytes(content)
    return content


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def test_published_weights(server, seed, monkeypatch, capsys):
    theirs = published.build("resnext50", input_shape=(64, 64, 3))
    published.draw(theirs, seed)
    theirs.save_weights(server.directory / PUBLISHED)
    content = (server.directory / PUBLISHED).read_bytes()
    monkeypatch.setitem(weights.MD5, "resnext50", (md5(content), "0" * 32))
    server.break_after = [500 * download.CHUNK]

    ours = model.build("resnext50", input_shape=(64, 64, 3))
    info = weights.load(ours, "imagenet", architecture="resnext50", mode="torch", mirror=server.url)
    assert info == {"source": "imagenet", "sha256": hashlib.sha256(content).hexdigest()}
    assert server.requests == ["", f"bytes={500 * download.CHUNK}-"]
    assert (download.cache() / PUBLISHED).read_bytes() == content
    assert f"{PUBLISHED}: {len(content) / 1e6:.1f} MB, 100 %" in capsys.readouterr().err
    images = sample_images.load(64, 64, "torch")
    np.testing.assert_allclose(ours(images), theirs(images, training=False), rtol=0, atol=1e-5)

    weights.load(ours, "imagenet", architecture="resnext50", mode="torch", mirror=server.url)
    assert len(server.requests) == 2, "the second time it comes from the cache"


def test_without_top_it_is_another_file(server):
    ours = model.build("resnext50", input_shape=(32, 32, 3), include_top=False)
    with pytest.raises(
        UnreachableError,
        match=r"resnext50_weights_tf_dim_ordering_tf_kernels_notop\.h5: .* 404",
    ):
        weights.load(ours, "imagenet", architecture="resnext50", mode="torch", mirror=server.url)


def test_md5_are_those_of_keras_applications():
    from keras_applications.resnet_common import BASE_WEIGHTS_PATH, WEIGHTS_HASHES

    assert weights.MD5 == WEIGHTS_HASHES
    assert weights.RELEASE == BASE_WEIGHTS_PATH


def test_no_weights_are_published_for_some():
    built = model.build("resnet200", input_shape=(32, 32, 3))
    with pytest.raises(WeightsError, match="resnet200: no imagenet weights are published for it"):
        weights.load(built, "imagenet", architecture="resnet200", mode="tf")


def test_the_next_run_goes_on(server, payload, monkeypatch):
    monkeypatch.setattr(download, "FRUITLESS_TRIES", 1)
    server.break_after = [10 * download.CHUNK]
    with pytest.raises(
        UnreachableError,
        match=r"broken off after 655360 bytes: .*; the next run goes on from there",
    ):
        download.fetch(server.url + "x.h5", md5(payload))
    assert download.fetch(server.url + "x.h5", md5(payload)).read_bytes() == payload
    assert server.requests == ["", "bytes=655360-"]


def test_many_breaks_with_progress_between(server, payload):
    server.break_after = [500_000] * 5
    assert download.fetch(server.url + "x.h5", md5(payload)).read_bytes() == payload


def test_a_connection_that_brings_nothing(server, payload):
    server.break_after = [0] * 10
    with pytest.raises(UnreachableError, match="broken off after 0 bytes"):
        download.fetch(server.url + "x.h5", md5(payload))
    assert len(server.requests) == download.FRUITLESS_TRIES


def test_a_server_without_ranges(server, payload):
    server.ranges, server.break_after = False, [1_000_000]
    assert download.fetch(server.url + "x.h5", md5(payload)).read_bytes() == payload


@pytest.mark.parametrize("size", [1_000_000, 3_000_000, 4_000_000])
def test_what_lay_there_was_something_else(server, payload, size):
    download.cache().mkdir(parents=True)
    (download.cache() / "x.h5.part").write_bytes(bytes(size))
    assert download.fetch(server.url + "x.h5", md5(payload)).read_bytes() == payload


def test_a_damaged_file_in_the_cache(server, payload):
    download.cache().mkdir(parents=True)
    (download.cache() / "x.h5").write_bytes(payload[:-1] + b"?")
    assert download.fetch(server.url + "x.h5", md5(payload)).read_bytes() == payload


def test_the_wrong_file(server, payload):
    with pytest.raises(WeightsError) as caught:
        download.fetch(server.url + "x.h5", "0" * 32)
    assert not isinstance(caught.value, UnreachableError)
    assert f"not the published file: md5 {md5(payload)}, expected {'0' * 32}" in str(caught.value)
    assert not list(download.cache().glob("x.h5*[!k]")), "nothing but the lock is kept"


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_server_that_refuses(server, payload, status):
    server.status = status
    with pytest.raises(UnreachableError, match=f"x.h5: the server answered {status} "):
        download.fetch(server.url + "x.h5", md5(payload))


def test_nobody_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert download.DECIDED_WITHIN < 10
    monkeypatch.setattr(download, "DECIDED_WITHIN", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and never says a word
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.h5"
        with pytest.raises(UnreachableError, match=f"{url}: no answer within"):
            download.fetch(url, "0" * 32)
    with pytest.raises(UnreachableError, match=f"{url}: cannot be reached: Connection refused"):
        download.fetch(url, "0" * 32)


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "kerasrun").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="File exists"):
        download.fetch("http://127.0.0.1:1/x.h5", "0" * 32)


def test_keras_applications_own_weights(server, monkeypatch):
    """Through our downloads; EfficientNet, which Keras builds with a layer more for imagenet
    weights, agrees too.
    """
    from keras.src.applications import efficientnet

    source = tf_keras.applications.EfficientNetB0(weights=None, include_top=False)
    published.draw(source, 5)
    source.get_layer("normalization").set_weights(
        [np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.3, 0.1]), np.array(0)]
    )
    path = server.directory / "efficientnetb0_notop.h5"
    source.save_weights(path)
    monkeypatch.setitem(efficientnet.WEIGHTS_HASHES, "b0", ("", md5(path.read_bytes())))

    options = {"include_top": False, "pooling": "avg", "input_shape": (64, 64, 3)}
    ours = model.build("EfficientNetB0", **options)
    info = weights.load(
        ours, "imagenet", architecture="EfficientNetB0", mode="none", mirror=server.url
    )
    assert info == {"source": "imagenet", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *_, **__: str(path))
    theirs = keras.applications.EfficientNetB0(weights="imagenet", **options)
    assert len(theirs.layers) == len(ours.layers) + 1
    images = sample_images.load(64, 64, "none")
    want = np.asarray(theirs(images))
    np.testing.assert_allclose(ours(images), want, rtol=0, atol=1e-5 * np.abs(want).max())


# Synthetic weights.


def test_synthetic_weights_are_the_same_everywhere():
    """The digest was taken on another run of another process: draws and calibration do not depend
    on the machine.
    """
    built = model.build("resnext50", input_shape=(64, 64, 3), classes=10)
    info = weights.load(built, "synthetic", architecture="resnext50", mode="caffe")
    assert info == {
        "source": "synthetic:0",
        "sha256": "dda6c9cde440b9fef47a05ad7a76ed629c464bd99df661ddc3632889179f0bc7",
    }


def test_synthetic_weights_of_another_number_and_without_the_top(seed):
    number = seed % 10**9
    options = {"input_shape": (64, 64, 3)}
    full = model.build("resnext50", weights=f"synthetic:{number}", **options)
    body = model.build("resnext50", weights=f"synthetic:{number}", include_top=False, **options)
    other = model.build(
        "resnext50", weights=f"synthetic:{number + 1}", include_top=False, **options
    )
    for layer in body.layers:
        for array, same in zip(
            layer.get_weights(), full.get_layer(layer.name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(array, same)
    kernels = [m.get_layer("conv3_block2_2_conv").get_weights()[0] for m in (body, other)]
    assert not np.array_equal(*kernels)


@pytest.mark.parametrize(
    ("architecture", "different"), [("MobileNetV2", 5), ("resnet50v2", 5), ("MobileNetV3Small", 3)]
)
def test_synthetic_weights_tell_photographs_apart(architecture, different, seed):
    """Different classes, probabilities that spread, in whatever has a classifier (MobileNetV3's is
    a convolution).
    """
    built = model.build(architecture, weights=f"synthetic:{seed % 10**9}", input_shape=(96, 96, 3))
    mode = model.native_mode(architecture)
    probabilities = np.asarray(built(sample_images.load(96, 96, mode)))
    assert len(set(probabilities[:8].argmax(axis=1))) >= different
    assert 0.005 < probabilities.max(axis=1).mean() < 0.95


def test_batch_normalisations_see_normal_inputs():
    """After calibration each has inputs of mean 0 and deviation 1 over the photographs, to
    bfloat16's precision.
    """
    built = model.build(
        "resnet50", weights="synthetic:3", input_shape=(64, 64, 3), include_top=False
    )
    images = sample_images.load(64, 64, "caffe")
    for name in ("conv1_bn", "conv3_block2_2_bn", "conv5_block3_3_bn"):
        layer = built.get_layer(name)
        inputs = np.asarray(keras.Model(built.inputs[0], layer.input)(images)).reshape(
            -1, layer.gamma.shape[0]
        )
        mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
        np.testing.assert_allclose(mean, inputs.mean(axis=0), rtol=0, atol=0.01 * inputs.std())
        np.testing.assert_allclose(variance, inputs.var(axis=0), rtol=0.01)


def test_draws_stay_within_their_limits():
    kernel = synthetic._draw(0, "conv/kernel", "kernel", (3, 3, 8, 16))
    limit = np.sqrt(6 / 72)
    assert 0.98 * limit < np.abs(kernel).max() <= limit
    assert abs(kernel.mean()) < 0.05 * limit
