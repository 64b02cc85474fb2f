"""The exported SavedModel as a LiteRT (TensorFlow Lite) file."""

from pathlib import Path

from tools.backend import tf


def write(model: Path, path: Path) -> None:
    loaded = tf.saved_model.load(str(model), tags=["serve"])
    probs = loaded.signatures["serving_default"].prune("images:0", "probs:0")
    converter = tf.lite.TFLiteConverter.from_concrete_functions([probs], loaded)
    path.write_bytes(converter.convert())
