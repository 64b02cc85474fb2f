"""The exported model in Keras itself: as published, and with Keras's grouped convolution.

`python -m benchmarks.keras_models DIR`: a process of its own, because drawing synthetic weights
takes 7 GB.
"""

import sys
from pathlib import Path

import numpy as np

from benchmarks.machine import OUT
from kerasrun_export import cli, manifest, recipe  # noqa: F401  cli silences TensorFlow
from kerasrun_export.backend import keras
from kerasrun_export.group_sum import GROUPS, regrouped


def write(directory: Path) -> None:
    """Writes the model that the directory was exported from, in both forms."""
    model = recipe.from_manifest(manifest.read(directory)).load().model
    model.save(OUT / "keras-literal.keras")
    _grouped(model).save(OUT / "keras-grouped.keras")


def _grouped(model: keras.Model) -> keras.Model:
    """The model with `Conv2D(groups=32)` where it has a depthwise convolution and a group sum."""

    def convolution(layer: keras.layers.DepthwiseConv2D) -> keras.layers.Conv2D:
        filters = layer.depth_multiplier * GROUPS
        return keras.layers.Conv2D(
            filters,
            layer.kernel_size,
            layer.strides,
            groups=GROUPS,
            use_bias=False,
            name=layer.name,
        )

    twin = regrouped(model, convolution)
    for layer in twin.layers:
        weights = model.get_layer(layer.name).get_weights()
        if isinstance(layer, keras.layers.Conv2D) and layer.groups == GROUPS:
            weights = [_grouped_kernel(weights[0])]
        layer.set_weights(weights)
    return twin


def _grouped_kernel(depthwise: np.ndarray) -> np.ndarray:
    """(h, w, groups*c, c) to (h, w, c, groups*c): W[h, w, k, g*c + j] = D[h, w, g*c + k, j]."""
    h, w, channels, c = depthwise.shape
    return (
        depthwise.reshape(h, w, channels // c, c, c)
        .transpose(0, 1, 3, 2, 4)
        .reshape(h, w, c, channels)
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]))
