"""TensorFlow and Keras, imported without their start-up chatter: `from tools.backend import keras, tf`."""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # off on CPUs without VNNI; processes started from here take it too
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # answers are compared on the CPU; a run that wants a GPU says so

# While it is imported TensorFlow writes past Python and past its own log level. An exception still arrives.
sys.stderr.flush()
_stderr = os.dup(2)
with open(os.devnull, "wb") as _null:
    os.dup2(_null.fileno(), 2)
try:
    import keras
    import tensorflow as tf
finally:
    os.dup2(_stderr, 2)
    os.close(_stderr)

tf.get_logger().setLevel("ERROR")

__all__ = ["keras", "tf"]
