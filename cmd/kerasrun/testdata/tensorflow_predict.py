"""Runs signatures with TensorFlow in Python: python tensorflow_predict.py MODEL X.npy OUT.npz
SIGNATURE...

OUT.npz has every output of these signatures. TensorFlow's version is printed.
"""

import os
import sys

import numpy as np

# Off on CPUs without VNNI, where grouped convolutions fail then
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
import tensorflow as tf

directory, x, out, *keys = sys.argv[1:]
model = tf.saved_model.load(directory)
answers = {}
for key in keys:
    answers |= model.signatures[key](images=tf.constant(np.load(x)))
np.savez(out, **{name: value.numpy() for name, value in answers.items()})
print(tf.__version__)
