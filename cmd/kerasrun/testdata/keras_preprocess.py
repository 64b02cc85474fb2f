"""Preprocesses images with Keras: python keras_preprocess.py OUT.npz IMAGE... < cases.json

cases.json is {name: {"size": [height, width], "mode": "caffe", "tf" or "torch", "resample": a
filter, "keep": a bool}}. OUT.npz has, for each name, the images as one float32 array, and as
NAME.resized what preprocess_input got, uint8 RGB.
"""

import json
import sys

import numpy as np
from keras.applications.imagenet_utils import preprocess_input
from keras.utils import load_img

arrays = {}
for name, case in json.load(sys.stdin).items():
    options = {
        "target_size": case["size"],
        "interpolation": case["resample"],
        "keep_aspect_ratio": case["keep"],
    }
    resized = np.stack([np.asarray(load_img(path, **options)) for path in sys.argv[2:]])
    arrays[f"{name}.resized"] = resized
    arrays[name] = preprocess_input(
        resized.astype(np.float32), data_format="channels_last", mode=case["mode"]
    )
np.savez(sys.argv[1], **arrays)
