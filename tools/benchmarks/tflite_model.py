"""The exported SavedModel as a LiteRT (TensorFlow Lite) file."""

from pathlib import Path

from tools.backend import tf


def tflite_file(model: Path) -> Path:
    path = model.parent.parent / "out" / "bench" / "resnext50.tflite"
    if not path.exists() or path.stat().st_mtime < (model / "saved_model.pb").stat().st_mtime:
        path.parent.mkdir(parents=True, exist_ok=True)
        loaded = tf.saved_model.load(str(model), tags=["serve"])
        probs = loaded.signatures["serving_default"].prune("images:0", "probs:0")
        converter = tf.lite.TFLiteConverter.from_concrete_functions([probs], loaded)
        path.write_bytes(converter.convert())
    return path
