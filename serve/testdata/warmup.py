"""Writes tf_serving_warmup_requests with TensorFlow's own record writer and tensors: python
testdata/warmup.py.

The messages around the tensors are written by hand, so that tensorflow_serving's Python package is
not needed.
"""

import os

import numpy as np
import tensorflow as tf

OUT = os.path.join(os.path.dirname(__file__), "warmup")


def field(number, data):
    """A length-delimited field of a protobuf message."""
    size = len(data)
    head = bytes([number << 3 | 2])
    while size >= 128:
        head += bytes([size % 128 + 128])
        size //= 128
    return head + bytes([size]) + data


def prediction_log(signature, **inputs):
    spec = field(1, b"fake") + field(3, signature.encode())
    request = field(1, spec)
    for name, values in inputs.items():
        tensor = (
            values
            if isinstance(values, bytes)
            else tf.make_tensor_proto(values).SerializeToString()
        )
        request += field(2, field(1, name.encode()) + field(2, tensor))
    return field(6, field(1, request))


def ones():
    """One value stands for all twelve."""
    proto = tf.make_tensor_proto(np.float32(1))
    for size in 1, 2, 2, 3:
        proto.tensor_shape.dim.add(size=size)
    return proto.SerializeToString()


os.makedirs(os.path.join(OUT, "assets.extra"), exist_ok=True)
with tf.io.TFRecordWriter(
    os.path.join(OUT, "assets.extra", "tf_serving_warmup_requests")
) as writer:
    writer.write(prediction_log("", images=ones()))
    writer.write(prediction_log("half_plus_two", x=np.array([1, 2, 3], np.float32)))
    writer.write(
        prediction_log(
            "echo", tag=np.array([b"a"]), signal=np.array([[7]], np.int32), on=np.array([True])
        ),
    )
    writer.write(prediction_log("sum", x=np.array([0.5], np.float64)))
