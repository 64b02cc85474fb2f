"""Layers and a model of a user's own, which --custom-objects names in the tests."""

from kerasrun_export.backend import keras, tf


class Doubled(keras.layers.Layer):
    """Not registered: found by its name in the module."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return x * 2.0


@keras.saving.register_keras_serializable("own")
class Tower(keras.Model):
    """Subclassed, and registered as the module is imported."""

    def __init__(self, units: int = 3, **options: object) -> None:
        super().__init__(**options)
        self.units = units
        self.convolution = keras.layers.Conv2D(4, 3)
        self.top = keras.layers.Dense(units, activation="softmax")

    def call(self, images: tf.Tensor) -> tf.Tensor:
        return self.top(keras.ops.mean(self.convolution(images), (1, 2)))

    def get_config(self) -> dict:
        return {**super().get_config(), "units": self.units}
