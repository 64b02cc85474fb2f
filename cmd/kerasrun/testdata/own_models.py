"""Exports small Keras models of every kind, with what Keras says: python own_models.py OUT

OUT/images gets image files, OUT/NAME a model's directory, and OUT/expected.json {NAME: {"output",
"kind", "rows": [the output's row of each image, as Keras gives it, "decided": ...]}}. Images become
tensors as training code does it, not as the exporter or its contract says.
"""

import json
import shutil
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from PIL import Image

from kerasrun_export import adopt, export, exporter, outputs
from kerasrun_export.choices import Choices

warnings.simplefilter("ignore")
keras.utils.set_random_seed(7)
out = Path(sys.argv[1])
random = np.random.default_rng(7)


def draw(name: str, width: int, height: int, mode: str = "RGB") -> Path:
    """An image of soft spots, which no two decoders and filters see alike."""
    channels = {"RGB": 3, "L": 1}[mode]
    small = random.integers(0, 256, (5, 7, channels), np.uint8)
    pixels = small if channels == 3 else small[..., 0]
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    path = out / "images" / name
    image.save(path)
    return path


(out / "images").mkdir(parents=True)
paths = [
    draw("a.png", 61, 43),
    draw("b.jpg", 90, 64),
    draw("c.jpg", 40, 75),
    draw("d.png", 33, 33, "L"),
    draw("e.jpg", 61, 43),
]


def load_img(size, mode="rgb"):
    def load(path):
        return keras.utils.img_to_array(
            keras.utils.load_img(path, color_mode=mode, target_size=size)
        )

    return load


def by_tensorflow(size):
    def load(path):
        pixels = tf.io.decode_image(path.read_bytes(), channels=3, expand_animations=False)
        return tf.image.resize(pixels, size).numpy()

    return load


def whole(path):
    return keras.utils.img_to_array(keras.utils.load_img(path)) / np.float32(255)


def convolved(x, filters=6):
    x = layers.Conv2D(filters, 3, strides=2, activation="relu")(x)
    return layers.GlobalAveragePooling2D()(x)


def spread(model, load):
    """Draws the last layer's weights so large that the images get different answers."""
    last = [layer for layer in model.layers if isinstance(layer, layers.Dense)]
    for layer in last:
        kernel = layer.kernel
        kernel.assign(random.normal(0, 3, kernel.shape))
    return model, load


def grey():
    x = keras.Input((28, 28, 1))
    y = layers.Dense(1, activation="sigmoid")(layers.Flatten()(x))
    model = keras.Model(x, y)
    model.layers[-1].kernel.assign(random.normal(0, 0.1, (784, 1)))
    grey = load_img((28, 28), "grayscale")
    return model, lambda path: grey(path) * np.float32(1 / 255)


def dataset():
    x = keras.Input((32, 40, 3))
    y = layers.Dense(3, activation="softmax")(convolved(layers.Rescaling(1 / 255)(x)))
    return spread(keras.Model(x, y), by_tensorflow((32, 40)))


def channels_first():
    x = keras.Input((3, 24, 24))
    y = layers.Dense(4, activation="softmax")(convolved(layers.Permute((2, 3, 1))(x)))
    load = load_img((24, 24))
    return spread(keras.Model(x, y), lambda path: (load(path) / 255).transpose(2, 0, 1))


def free():
    x = keras.Input((None, None, 3))
    return spread(keras.Model(x, layers.Dense(3, activation="softmax")(convolved(x))), whole)


def fixed():
    x = keras.Input(batch_shape=(2, 24, 24, 3))
    y = layers.Dense(3, activation="softmax")(convolved(x))
    load = load_img((24, 24))
    return spread(keras.Model(x, y), lambda path: load(path) / 127.5 - 1)


def whole_numbers():
    x = keras.Input((24, 24, 3), dtype="uint8")
    y = layers.Dense(3, activation="softmax")(convolved(layers.Rescaling(1 / 255)(x)))
    load = load_img((24, 24))
    return spread(keras.Model(x, y), lambda path: load(path).astype(np.uint8))


def several():
    x = keras.Input((24, 24, 3))
    seen = convolved(x)
    y = layers.Dense(3, activation="softmax", name="classes")(seen)
    z = layers.Dense(2, name="place")(seen)
    load = load_img((24, 24))
    return spread(keras.Model(x, {"species": y, "place": z}), lambda path: load(path) / 255)


def numbers():
    x = keras.Input((24, 24, 3))
    load = load_img((24, 24))
    model = keras.Model(x, layers.Dense(2, name="place")(convolved(x)))
    return spread(model, lambda path: load(path) / 255)


def embedding():
    x = keras.Input((24, 24, 3))
    load = load_img((24, 24))
    return keras.Model(x, convolved(x, 12)), lambda path: load(path) / 255


def segmentation():
    x = keras.Input((16, 20, 3))
    y = layers.Conv2D(4, 3, padding="same", activation="softmax")(x)
    load = load_img((16, 20))
    model = keras.Model(x, y)
    model.layers[-1].kernel.assign(random.normal(0, 2, (3, 3, 3, 4)))
    return model, lambda path: load(path) / 255


def logits():
    x = keras.Input((24, 24, 3))
    load = load_img((24, 24))
    return spread(keras.Model(x, layers.Dense(5)(convolved(x))), lambda path: load(path) / 255)


def many():
    x = keras.Input((24, 24, 3))
    y = layers.Dense(4, activation="sigmoid")(convolved(x))
    load = load_img((24, 24))
    return spread(keras.Model(x, y), lambda path: load(path) / 255)


scaled = {"pipeline": "ImageDataGenerator", "scale": "1/255"}
divided = {"pipeline": "load_img", "divide": 255}
three = ["ape", "bee", "cow"]
# The output that answers, its kind, and the exporter's choices.
CASES = {
    grey: ("probs", "binary", {**scaled, "color": "grayscale", "class_names": ["no", "yes"]}),
    dataset: (
        "probs",
        "probabilities",
        {"pipeline": "image_dataset_from_directory", "class_names": three},
    ),
    channels_first: ("probs", "probabilities", divided),
    free: ("probs", "probabilities", {**divided, "fit": "none", "class_names": three}),
    fixed: ("probs", "probabilities", {"pipeline": "load_img", "mode": "tf"}),
    whole_numbers: ("probs", "probabilities", {"pipeline": "load_img", "class_names": three}),
    several: (
        "species",
        "probabilities",
        {**divided, "kinds": {"place": "regression"}, "class_names": three},
    ),
    numbers: ("place", "regression", {**divided, "kinds": {"place": "regression"}}),
    embedding: (None, "embedding", divided),
    segmentation: (None, "map", divided),
    logits: (None, "logits", {**divided, "activation": "softmax"}),
    many: (
        "probs",
        "multilabel",
        {**divided, "threshold": [0.3, 0.5, 0.7, 0.5], "class_names": [*three, "dog"]},
    ),
}


def predict(model, tensors):
    """Keras's answers: of a fixed batch two at a time, of free sizes one by one."""
    rows = {}
    batch = model.inputs[0].shape[0] or 1
    for i in range(0, len(tensors), batch):
        part = tensors[i : i + batch]
        part += part[-1:] * (batch - len(part))
        got = model.predict_on_batch(np.stack(part))
        for name, values in (got if isinstance(got, dict) else {"": got}).items():
            rows.setdefault(name, []).extend(np.asarray(values)[: len(tensors) - i])
    return rows


expected = {"images": [str(path) for path in paths]}
for make, (output, kind, choices) in CASES.items():
    model, load = make()
    fields = export(model, out / make.__name__, images=out / "images", **choices)
    answered = predict(model, [load(path) for path in paths])
    rows = np.stack(answered[output if output in answered else ""])
    if kind == "logits":
        rows = keras.ops.softmax(rows).numpy()
    expected[make.__name__] = {
        "output": fields["answer"],
        "kind": kind,
        "shape": rows.shape[1:],
        "rows": [row.ravel().tolist() for row in rows],
    }
    assert output in (None, fields["answer"]), (make, fields["answer"])


class Decoding(tf.Module):
    """A SavedModel that decodes for itself, as TensorFlow Serving's b64 pattern has it."""

    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(random.normal(0, 3, (3, 3)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def serve(self, image_bytes):
        def decode(data):
            pixels = tf.io.decode_jpeg(data, channels=3)
            return tf.image.resize(tf.cast(pixels, tf.float32), (8, 8)) / 255

        pixels = tf.map_fn(decode, image_bytes, fn_output_signature=tf.float32)
        return {"scores": tf.nn.softmax(tf.reduce_mean(pixels, (1, 2)) @ self.kernel)}


module = Decoding()
tf.saved_model.save(module, out / "saved", signatures={"serving_default": module.serve})
(out / "jpegs").mkdir()
jpegs = [Path(shutil.copy(path, out / "jpegs")) for path in paths if path.suffix == ".jpg"]
meaning = outputs.Meaning(names=[(name, name) for name in three])
options = exporter.Options(meaning, images=out / "jpegs")
adopt.adopt(out / "saved", out / "decoding", Choices(), options)
rows = module.serve(tf.constant([path.read_bytes() for path in jpegs]))["scores"].numpy()
expected["decoding"] = {"images": [str(p) for p in jpegs], "rows": rows.tolist()}

# An image and a row of numbers.
image, age = keras.Input((24, 24, 3), name="photo"), keras.Input((2,), name="age")
joined = layers.Concatenate()([convolved(image), age])
model = keras.Model([image, age], layers.Dense(3, activation="softmax")(joined))
model, load = spread(model, load_img((24, 24)))
export(model, out / "two_inputs", **divided, class_names=three)
photos = np.stack([load(path) / 255 for path in paths])
ages = random.random((len(paths), 2), np.float32)
rows = model.predict_on_batch([photos, ages])
expected["two_inputs"] = {"ages": ages.tolist(), "rows": np.asarray(rows).tolist()}

# Rows of numbers, whose shape might be that of grey images.
steps = keras.Input((20, 4), name="steps")
model = keras.Model(steps, layers.Dense(3, activation="softmax")(layers.LSTM(8)(steps)))
fields = export(model, out / "sequence", input_kinds={"steps": "tensor"})
given = random.normal(0, 2, (5, 20, 4)).astype(np.float32)
rows = np.asarray(model.predict_on_batch(given))
np.save(out / "steps.npy", given)
expected["sequence"] = {"steps": str(out / "steps.npy"), "rows": rows.tolist()}

(out / "expected.json").write_text(json.dumps(expected))
