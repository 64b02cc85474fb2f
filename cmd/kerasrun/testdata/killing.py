"""Writes a classifier of 32 x 32 images that ends the process for an image which is white all over:
python killing.py OUT

OUT/model is the SavedModel, with a manifest. OUT/images has 50 images, of which 37.png is white.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path("runner/testdata").resolve()))

import generate
import tensorflow as tf

out = Path(sys.argv[1])


def killing():
    signatures = generate.conv()
    inputs, outputs = signatures["serving_default"]
    darkest = tf.reduce_max(tf.reduce_min(inputs["images"], (1, 2, 3)))
    # A list of tensors whose size overflows where an image has no pixel that is not bright.
    size = tf.where(darkest > 100, 2**31 - 1, 1)
    shape = tf.stack([size, size])
    tensors = tf.raw_ops.TensorListReserve(
        element_shape=shape, num_elements=3, element_dtype=tf.float32
    )
    zeros = tf.raw_ops.TensorListStack(
        input_handle=tensors, element_shape=shape, element_dtype=tf.float32
    )
    probs = outputs["probs"] + tf.cast(tf.size(zeros) - 3, tf.float32)
    answer = {"logits": outputs["logits"], "probs": probs}
    return signatures | {"serving_default": (inputs, answer)}


generate.v1.disable_eager_execution()
generate.save(out / "model", [(["serve"], killing)])
generate.write_manifest(out / "model")
(out / "images").mkdir()
random = np.random.default_rng(0)
for i in range(50):
    pixels = (
        random.integers(0, 256, (32, 32, 3), np.uint8) if i != 37 else np.full((32, 32, 3), 255)
    )
    Image.fromarray(pixels.astype(np.uint8)).save(out / f"images/{i:02d}.png")
