"""Goes through the layers of a Keras model."""

from collections.abc import Iterator

from kerasrun_export.backend import keras


def walk(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers in order, those of nested models in place of the models."""
    for layer in model.layers:
        if hasattr(layer, "layers") and hasattr(layer, "predict"):  # of Keras 3 or tf_keras
            yield from walk(layer)
        else:
            yield layer
