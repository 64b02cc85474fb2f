"""TensorFlow and Keras, checked to be versions that are supported.

`from kerasrun_export.backend import keras, tf`. Importing this changes nothing in the process.
"""

from kerasrun_export.versions import check_keras, check_tensorflow

try:
    import tensorflow as tf
except ModuleNotFoundError as error:
    check_tensorflow(None, error)
check_tensorflow(tf.version.VERSION)

import keras  # noqa: E402  after what it needs

check_keras(keras.__version__, keras.config.backend())

__all__ = ["keras", "tf"]
