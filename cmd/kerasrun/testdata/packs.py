"""Exports and packs for cmd/kerasrun/packs_test.go: packs.py DIRECTORY.

Each small model takes images another way. Its pack is the exporter's own, from Keras in Python, or
one of a user's function.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from kerasrun_export import cli  # noqa: F401  first: it silences TensorFlow

# isort: split
import keras
import tensorflow as tf

from kerasrun_export import export, golden, sample_images
from kerasrun_export.cli import export as command

layers = keras.layers
SOURCES = ("astronaut.png", "cat.jpg", "coffee.jpg", "flower.webp")


def write_images(directory: Path) -> Path:
    """Photographs of several sizes and formats."""
    directory.mkdir()
    for number, name in enumerate(SOURCES):
        with Image.open(sample_images.DIRECTORY / name) as image:
            image.thumbnail((40 + 8 * number, 64))
            image.save(directory / name)
    # Two of one size: they run together where the size is free.
    with Image.open(directory / "cat.jpg") as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(directory / "tac.png")
    return directory


def grey() -> keras.Model:
    image = keras.Input((28, 28, 1), name="digit")
    x = layers.Conv2D(4, 3, activation="relu")(image)
    x = layers.Dense(1, activation="sigmoid")(layers.Flatten()(x))
    return keras.Model(image, x, name="grey")


def channels_first() -> keras.Model:
    """A regression whose answers lie around zero: some are positive, others negative."""
    image = keras.Input((3, 24, 32), name="pixels")
    x = layers.Permute((2, 3, 1))(image)
    x = layers.Conv2D(4, 5, strides=2, activation="tanh")(x)
    x = layers.Dense(2, name="angles")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, x, name="channels_first")


def whole_numbers() -> keras.Model:
    image = keras.Input((20, 24, 3), dtype="uint8", name="bytes")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.GlobalMaxPooling2D()(layers.Conv2D(6, 3)(x))
    return keras.Model(image, layers.Dense(4, activation="sigmoid")(x), name="whole_numbers")


def any_size() -> keras.Model:
    image = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(image)
    x = layers.GlobalAveragePooling2D(name="means")(x)
    return keras.Model(image, x, name="any_size")


def two_inputs() -> keras.Model:
    image, age = keras.Input((24, 24, 3), name="image"), keras.Input((4,), name="age")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    x = layers.Dense(3, activation="softmax")(layers.Concatenate()([x, age]))
    return keras.Model({"image": image, "age": age}, x, name="two_inputs")


def segmentation() -> keras.Model:
    image = keras.Input((16, 24, 3), name="image")
    x = layers.Conv2D(5, 3, padding="same", activation="softmax", name="classes")(image)
    return keras.Model(image, x, name="segmentation")


def three_at_a_time() -> keras.Model:
    """It answers batches of three images and no others."""
    image = keras.Input(batch_shape=(3, 12, 16, 3), name="image")
    x = layers.GlobalMaxPooling2D()(layers.Conv2D(4, 3)(image))
    x = layers.Dense(2, activation="softmax")(x + np.full((3, 1), 0.1, np.float32))
    return keras.Model(image, x, name="three_at_a_time")


def half() -> keras.Model:
    """float16, with an alpha channel; its one number is a logit."""
    image = keras.Input((12, 16, 4), dtype="float16", name="image")
    x = layers.GlobalMaxPooling2D()(layers.Conv2D(4, 3)(image))
    return keras.Model(image, layers.Dense(1, name="logit")(x), name="half")


class Reader(tf.Module):
    """Takes the bytes of image files, under a signature and tags of its own."""

    def __init__(self):
        super().__init__()
        self.weights = tf.Variable(np.linspace(-0.01, 0.01, 9, dtype=np.float32).reshape(3, 3))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="files")])
    def answer(self, files):
        def means(file):
            pixels = tf.io.decode_image(file, channels=3, expand_animations=False)
            return tf.reduce_mean(tf.cast(pixels, tf.float32), axis=(0, 1))

        x = tf.map_fn(means, files, fn_output_signature=tf.TensorSpec([3], tf.float32))
        return {"classes": tf.nn.softmax(x @ self.weights)}


def main(out: Path) -> None:
    images = write_images(out / "images")
    said = {"images": images}
    keras.utils.set_random_seed(11)
    model = grey()
    names = ["even", "odd"]
    how = {"pipeline": "load_img", "color": "grayscale", "divide": 255, "class_names": names}
    export(model, out / "grey", **how, **said)
    other = keras.models.clone_model(model)
    other.set_weights([w + np.float32(0.05) for w in model.get_weights()])
    export(other, out / "grey-other", **how, **said)
    how["divide"], how["scale"] = None, "1/255"
    export(model, out / "grey-scaled", **how, **said)

    kinds = {"kinds": {"angles": "regression"}}
    how = {"pipeline": "image_dataset_from_directory", "mode": "torch"}
    export(channels_first(), out / "channels_first", **how, **kinds, **said)
    export(whole_numbers(), out / "whole_numbers", pipeline="cv2", mode="none", **said)
    how = {"pipeline": "decode_image", "fit": "none", "divide": 255}
    export(any_size(), out / "any_size", **how, **said)
    model = two_inputs()
    export(model, out / "two_inputs", pipeline="load_img", mode="tf", **said)
    how = {"pipeline": "pillow", "color": "rgba", "divide": 255, "activation": "sigmoid"}
    export(half(), out / "half", **how, **said)
    how = {"pipeline": "load_img", "mode": "torch"}
    fixed = export(three_at_a_time(), out / "three_at_a_time", **how, **said)
    if tuple(fixed["inputs"][0]["shape"]) != (3, 12, 16, 3):
        raise SystemExit(f"expected a batch of 3, got {fixed['inputs']}")
    export(segmentation(), out / "segmentation", pipeline="load_img", mode="tf", **said)

    def predict(path):
        image = keras.utils.load_img(path, target_size=(24, 24))
        x = np.asarray(image, np.float32)[None] / 127.5 - 1
        return model.predict({"image": x, "age": np.ones((1, 4), np.float32)}, verbose=0)

    how = {"pipeline": "load_img", "mode": "tf"}
    golden(model, images, out / "function", predict=predict, **how)

    reader = Reader()
    signatures = {"answer": reader.answer.get_concrete_function()}
    tf.saved_model.save(reader, str(out / "reader"), signatures=signatures)
    arguments = ["--saved-model", str(out / "reader"), "--images", str(images)]
    if command.main([*arguments, "--out", str(out / "adopted")]) != 0:
        raise SystemExit("not adopted")
    golden(out / "adopted", images, out / "of_adopted")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
