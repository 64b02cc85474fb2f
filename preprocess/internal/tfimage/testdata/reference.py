"""What TensorFlow makes of images: the reference of the tests of tfimage.

Reads requests from standard input until it ends and answers each on standard output. A request is a
line of JSON, with an operation and its arguments, and `bytes` bytes: a file, or samples. The answer
is a line of JSON, {"shape", "dtype", "bytes"} and so many bytes, or {"error": reason, "bytes": 0}.
"""

import functools
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf


def samples(data, request):
    return np.frombuffer(data, request["dtype"]).reshape(request["shape"])


def resize(data, request):
    return tf.image.resize(
        samples(data, request),
        request["size"],
        method=request["method"],
        antialias=request["antialias"],
    )


@functools.cache
def trace_resize(dtype, channels, method, antialias):
    """As in a tf.data pipeline, where the sizes are not known when the function is traced."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, channels], dtype),
            tf.TensorSpec([2], tf.int32),
        ]
    )
    def call(image, size):
        return tf.image.resize(image, size, method=method, antialias=antialias)

    return call


def traced_resize(data, request):
    image = samples(data, request)
    call = trace_resize(request["dtype"], image.shape[-1], request["method"], request["antialias"])
    return call(image, tf.constant(request["size"], tf.int32))


def resize_with_pad(data, request):
    return tf.image.resize_with_pad(samples(data, request), *request["size"])


def keras_resize(data, request):
    """keras.ops.image.resize, by which keras.layers.Resizing does it, too."""
    return keras.ops.image.resize(
        tf.cast(samples(data, request), "float32"),
        request["size"],
        crop_to_aspect_ratio=request["fit"] == "crop",
        pad_to_aspect_ratio=request["fit"] == "pad",
        fill_value=request["fill"],
    )


def smart_resize(data, request):
    return keras.preprocessing.image.smart_resize(
        tf.constant(samples(data, request)), request["size"]
    )


def gray(data, request):
    return tf.image.rgb_to_grayscale(samples(data, request))


def decode(data, request):
    return tf.io.decode_image(data, channels=request["channels"], expand_animations=False)


operations = {
    f.__name__: f
    for f in (resize, traced_resize, resize_with_pad, keras_resize, smart_resize, gray, decode)
}


def main():
    out = sys.stdout.buffer
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        data = sys.stdin.buffer.read(request["bytes"])
        try:
            result = np.asarray(operations[request["op"]](data, request))
            body = result.tobytes()
            head = {"shape": result.shape, "dtype": str(result.dtype), "bytes": len(body)}
        except Exception as e:
            body, head = b"", {"error": f"{type(e).__name__}: {e}", "bytes": 0}
        out.write(json.dumps(head).encode() + b"\n" + body)
        out.flush()


if __name__ == "__main__":
    main()
