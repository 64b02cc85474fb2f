"""Exports a small model with a quantized graph: python quantized.py OUT

OUT/model is its directory, OUT/images has what it was calibrated on.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers
from PIL import Image

from kerasrun_export import export

out = Path(sys.argv[1])
random = np.random.default_rng(5)
keras.utils.set_random_seed(5)

(out / "images").mkdir()
for i in range(24):
    pixels = random.integers(0, 256, (4, 4, 3), np.uint8)
    image = Image.fromarray(pixels).resize((32, 32), Image.Resampling.BICUBIC)
    image.save(out / "images" / f"{i:02}.png")

inputs = keras.Input((32, 32, 3))
x = layers.Rescaling(1 / 127.5, -1)(inputs)
x = layers.ReLU(6.0)(layers.Conv2D(16, 3, strides=2, padding="same")(x))
y = layers.ReLU(6.0)(layers.DepthwiseConv2D(3, padding="same")(x))
x = layers.Add()([x, layers.Conv2D(16, 1)(y)])
x = layers.ReLU()(layers.Conv2D(32, 3, groups=8)(x))
x = layers.ReLU()(layers.Conv2D(16, 3, dilation_rate=2, padding="same")(x))
x = layers.ReLU()(layers.Conv2D(48, 1)(layers.MaxPooling2D()(x)))
x = layers.GlobalAveragePooling2D()(x)
model = keras.Model(inputs, layers.Dense(5, activation="softmax")(x), name="small")
export(
    model,
    out / "model",
    pipeline="load_img",
    images=out / "images",
    quantize="int8",
    min_top1=0.5,
    class_names=list("abcde"),
)
