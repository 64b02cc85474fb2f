"""Writes the small SavedModels of runner's tests: python generate.py PHOTOS OUT

Beside them it writes what TensorFlow and Keras answer.

conv       a classifier of images, frozen, with a manifest; conv.npz has TensorFlow's answers for a
           tensor, and for each photograph Keras's tensor and TensorFlow's answers
kernels    the same with its kernels in variables, as the exporter writes them
short      that with one zero in the place of its first convolution's kernel
exchanged  that with the last two axes of that kernel exchanged, of as many numbers
elu        that with another activation, which our convolutions do not have
blocks     kernels in variables, in a graph of what regions compute, with one elu in it; blocks.npz
           has TensorFlow's answers of both signatures for a tensor
quantized  in int8/ a graph with kernels of int8, as the exporter writes it: convolutions of groups,
           of each channel and of one pixel, sums, squeeze and excitation, a convolution of
           float32, and a product of matrices; quantized.npz has TensorFlow's answers, of float32
narrow     in int8/ that with an image of seven bits, which our convolutions do not have
both       two graphs in one directory, tagged "serve" and "serve, gpu", which answer 1 and 2
types      a signature for each type, giving back what it gets
variables  twice the input, with the 2 in a variable
faulty     a signature that TensorFlow fails to run, one that gives NaN, and one that takes as many
           steps as it is told
aborts     a graph that ends the process that runs it: a list of tensors whose sizes, which the
           graph computes, overflow
aborts_manifest  the same with a manifest
"""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # on a GPU TensorFlow takes TensorFloat-32

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.training import py_checkpoint_reader

v1 = tf.compat.v1
NUMBERS = ["float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64"]
TYPES = [*NUMBERS, "uint8", "uint16", "uint32", "uint64", "bool", "string"]


def save(path, graphs):
    """Writes graphs, a list of (tags, function that builds a graph and returns its signatures)."""
    builder = v1.saved_model.Builder(str(path))
    for i, (tags, build) in enumerate(graphs):
        with tf.Graph().as_default(), v1.Session() as session:
            signatures = {
                key: v1.saved_model.predict_signature_def(inputs, outputs)
                for key, (inputs, outputs) in build().items()
            }
            session.run(v1.global_variables_initializer())
            if i == 0:
                builder.add_meta_graph_and_variables(session, tags, signature_def_map=signatures)
            else:
                builder.add_meta_graph(tags, signature_def_map=signatures)
    builder.save()


def conv(kernel=lambda value, name: value, activation=tf.nn.relu):
    random = np.random.default_rng(0)
    images = v1.placeholder(tf.float32, (None, 32, 32, 3), "images")
    filters = kernel(random.normal(size=(3, 3, 3, 8)).astype("float32") / 300, "filters")
    bias = random.normal(size=8).astype("float32")
    # TensorFlow takes the size of what is fed as unknown; the exporter pins it too.
    pinned = tf.reshape(images, (-1, 32, 32, 3))
    features = activation(tf.nn.bias_add(tf.nn.conv2d(pinned, filters, 2, "SAME"), bias))
    for layer in ("second", "third"):  # with kernels of one shape
        filters = kernel(random.normal(size=(3, 3, 8, 8)).astype("float32") / 20, layer)
        features = activation(tf.nn.bias_add(tf.nn.conv2d(features, filters, 1, "SAME"), bias))
    dense = kernel(random.normal(size=(8 * 16 * 16, 5)).astype("float32") / 4, "dense")
    logits = tf.matmul(tf.reshape(features, (-1, 8 * 16 * 16)), dense)
    return {
        "serving_default": ({"images": images}, {"logits": logits, "probs": tf.nn.softmax(logits)}),
        "features": ({"images": images}, {"features": tf.reduce_mean(features, (1, 2))}),
    }


def kernels(activation=tf.nn.relu):
    return conv(
        lambda value, name: v1.get_variable(name, initializer=value, use_resource=True), activation
    )


def elu():
    return kernels(tf.nn.elu)


def blocks():
    random = np.random.default_rng(2)
    images = v1.placeholder(tf.float32, (None, 32, 32, 3), "images")

    def kernel(*shape, scale=None):
        value = random.normal(size=shape).astype("float32")
        value *= scale or np.sqrt(2 / np.prod(shape[:-1]))
        return v1.get_variable(
            f"kernel_{len(v1.global_variables())}", initializer=value, use_resource=True
        )

    def constants(*shape):
        return random.normal(size=shape).astype("float32")

    def conv(x, size, channels, strides=1):
        filters = kernel(size, size, x.shape[3], channels)
        return tf.nn.conv2d(x, filters, strides, "SAME")

    def depthwise(x, strides, padding):
        filters = kernel(3, 3, x.shape[3], 1, scale=0.3)
        x = tf.nn.depthwise_conv2d(x, filters, [1, strides, strides, 1], padding)
        return tf.nn.relu6(tf.nn.bias_add(x, constants(x.shape[3])))

    def biased(x):
        return tf.nn.bias_add(x, constants(x.shape[-1]))

    def swish(x):
        return tf.identity(x * tf.sigmoid(x))

    x = tf.reshape(images, (-1, 32, 32, 3)) / 60
    x = (x * 1.5 + 0.25 - constants(1, 1, 1, 3)) / (2 + np.tanh(constants(3)))
    x = swish(biased(conv(x, 3, 16, 2)))
    y = depthwise(x, 1, "SAME")
    squeezed = tf.reshape(tf.reduce_mean(y, (1, 2)), (-1, 1, 1, 16))
    excited = tf.sigmoid(biased(conv(swish(biased(conv(squeezed, 1, 4))), 1, 16)))
    x = x + biased(conv(y * excited, 1, 16))
    middle = depthwise(tf.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0))), 2, "VALID")
    joined = tf.concat((middle, tf.nn.relu(conv(middle, 3, 8))), 3)
    joined = tf.nn.relu(joined * constants(1, 1, 1, 24) + constants(24))
    last = tf.nn.relu(biased(conv(tf.nn.elu(joined), 1, 32)))
    last = tf.nn.avg_pool2d(tf.nn.max_pool2d(last, 3, 2, "SAME"), 2, 2, "VALID")
    features = tf.reduce_mean(last, (1, 2))
    logits = biased(tf.matmul(features, kernel(32, 5)))
    return {
        "serving_default": ({"images": images}, {"logits": logits, "probs": tf.nn.softmax(logits)}),
        "features": ({"images": images}, {"middle": middle, "features": features}),
    }


def quantized(bits=8):
    random = np.random.default_rng(3)
    images = v1.placeholder(tf.float32, (None, 32, 32, 3), "images")

    def scaled(*shape, channels):
        weights = random.integers(-127, 128, shape).astype("int8")
        scales = np.sqrt(2 / np.prod(shape[:-1])) / 64 * random.uniform(0.5, 1, channels)
        return tf.cast(tf.constant(weights), tf.float32) * scales.astype("float32")

    def biased(x):
        return tf.nn.bias_add(x, random.normal(size=x.shape[-1]).astype("float32") / 8)

    def rounded(x, low=0.0, bits=8):
        return tf.quantization.fake_quant_with_min_max_args(x, low, 6.0, bits)

    def conv(x, size, channels, strides=1, groups=1, dilations=1):
        filters = scaled(size, size, x.shape[3] // groups, channels, channels=channels)
        return biased(tf.nn.conv2d(x, filters, strides, "SAME", dilations=dilations))

    def depthwise(x, strides, padding):
        filters = scaled(3, 3, x.shape[3], 1, channels=(x.shape[3], 1))
        return biased(tf.nn.depthwise_conv2d(x, filters, [1, strides, strides, 1], padding))

    x = tf.reshape(images, (-1, 32, 32, 3)) / 60
    x = tf.nn.relu(conv(rounded(x, -5.0), 3, 16, 2))
    y = tf.nn.relu(conv(rounded(x, bits=bits), 3, 16, groups=4))
    x = tf.nn.relu(conv(rounded(y), 1, 16) + x)
    x = tf.nn.relu(conv(rounded(x), 3, 16, dilations=2))
    y = depthwise(rounded(tf.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))), 2, "VALID")
    y = tf.nn.relu6(y)
    squeezed = tf.reduce_mean(y, (1, 2), keepdims=True)
    y = y * tf.sigmoid(conv(rounded(squeezed), 1, 16))
    y = tf.nn.relu(conv(rounded(y), 1, 24))
    filters = random.normal(size=(3, 3, 24, 24)).astype("float32") / 15
    y = tf.nn.relu(biased(tf.nn.conv2d(y, filters, 1, "SAME")))
    features = tf.reduce_mean(tf.nn.max_pool2d(y, 2, 2, "VALID"), (1, 2))
    logits = biased(tf.matmul(rounded(features), scaled(24, 5, channels=5)))
    return {
        "serving_default": ({"images": images}, {"logits": logits, "probs": tf.nn.softmax(logits)}),
        "features": ({"images": images}, {"features": features}),
    }


def constant(value):
    def build():
        x = v1.placeholder(tf.float32, (None,), "x")
        return {"serving_default": ({"x": x}, {"y": x * 0 + value})}

    return build


def types():
    signatures = {}
    for name in TYPES:
        x = v1.placeholder(tf.as_dtype(name), (None, 2), name)
        signatures[name] = ({"x": x}, {"y": tf.identity(x)})
    x = v1.placeholder(tf.float32, (), "scalar")
    signatures["scalar"] = ({"x": x}, {"y": tf.identity(x)})
    x = v1.placeholder(tf.float32, None, "any")
    signatures["any"] = ({"x": x}, {"y": tf.identity(x)})
    a, b = v1.placeholder(tf.float32, (None,), "a"), v1.placeholder(tf.float32, (None,), "b")
    signatures["two"] = ({"a": a, "b": b}, {"difference": a - b, "sum": a + b})
    signatures["complex"] = ({"a": a, "b": b}, {"y": tf.complex(a, b)})
    return signatures


def variables():
    x = v1.placeholder(tf.float32, (None,), "x")
    return {
        "serving_default": (
            {"x": x},
            {"y": x * v1.get_variable("two", initializer=2.0, use_resource=True)},
        )
    }


def faulty():
    x = v1.placeholder(tf.float32, (None,), "x")
    steps = v1.placeholder(tf.int32, (), "steps")
    start = tf.fill((200, 200), 0.001)
    body = tf.while_loop(
        lambda i, _: i < steps, lambda i, m: (i + 1, tf.matmul(m, start)), (0, start)
    )
    return {
        "fails": ({"x": x}, {"y": tf.reshape(x, (7,))}),
        "nan": ({"x": x}, {"y": x / 0.0 * 0.0}),
        "steps": ({"steps": steps}, {"y": body[0]}),
    }


def aborts():
    x = v1.placeholder(tf.float32, (None,), "x")
    size = 2**31 - 1 - tf.cast(tf.reduce_sum(x), tf.int32)
    shape = tf.stack([size, size])
    tensors = tf.raw_ops.TensorListReserve(
        element_shape=shape, num_elements=3, element_dtype=tf.float32
    )
    y = tf.raw_ops.TensorListStack(
        input_handle=tensors, element_shape=shape, element_dtype=tf.float32
    )
    return {"serving_default": ({"x": x}, {"y": tf.size(y)})}


def write_manifest(path, features=("features",)):
    (path / "assets.extra").mkdir()
    labels = {str(i): [f"n{i:08d}", f"class_{i}"] for i in range(5)}
    (path / "assets.extra/labels.json").write_text(json.dumps(labels))
    files = {
        str(file.relative_to(path)): {
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "bytes": file.stat().st_size,
        }
        for file in path.rglob("*")
        if file.is_file()
    }
    manifest = {
        "format": 1,
        "architecture": "conv",
        "graph": "optimized",
        "precision": "float32",
        "parameters": 0,
        "flops": 0,
        "weights": {"source": "synthetic:0", "sha256": "0" * 64},
        "trained_with": "caffe",
        "conversion": "",
        "reference_difference": 0,
        "input": {
            "name": "images",
            "dtype": "float32",
            "height": 32,
            "width": 32,
            "channels": 3,
            "layout": "NHWC",
            "color_order": "BGR",
            "mode": "caffe",
            "resample": "nearest",
            "fit": "stretch",
        },
        "outputs": {"serving_default": ["logits", "probs"], "features": list(features)},
        "labels": "assets.extra/labels.json",
        "goldens": "",
        "recipe": {},
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        "files": files,
        "sha256": "0" * 64,
    }
    text = json.dumps(manifest)
    own = hashlib.sha256(text.encode()).hexdigest()
    (path / "assets.extra/kerasrun.json").write_text(own.join(text.rsplit("0" * 64, 1)))


def answers(photos):
    random = np.random.default_rng(1)
    tensors = {"tensor": random.normal(0, 60, (3, 32, 32, 3)).astype("float32")}
    for photo in sorted(photos.glob("*.jpg")):
        image = keras.utils.img_to_array(keras.utils.load_img(photo, target_size=(32, 32)))
        tensors[photo.name] = keras.applications.imagenet_utils.preprocess_input(
            image[None], mode="caffe"
        )
    arrays = {}
    with tf.Graph().as_default(), v1.Session() as session:
        (inputs, outputs) = conv()["serving_default"]
        for name, tensor in tensors.items():
            for key, value in session.run(outputs, {inputs["images"]: tensor}).items():
                arrays[f"{name}/{key}"] = value
            arrays[name] = tensor
    return arrays


def answers_of_blocks():
    """What TensorFlow answers without oneDNN's fusions: the session optimises nothing."""
    images = np.random.default_rng(1).normal(0, 60, (3, 32, 32, 3)).astype("float32")
    config = v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    arrays = {"images": images}
    with tf.Graph().as_default(), v1.Session(config=config) as session:
        signatures = blocks()
        session.run(v1.global_variables_initializer())
        for inputs, outputs in signatures.values():
            arrays |= session.run(outputs, {inputs["images"]: images})
    return arrays


def answers_of_quantized():
    images = np.random.default_rng(1).normal(0, 60, (3, 32, 32, 3)).astype("float32")
    with tf.Graph().as_default(), v1.Session() as session:
        (inputs, outputs) = quantized()["serving_default"]
        return {"images": images, **session.run(outputs, {inputs["images"]: images})}


def damaged(source, path, variable, change):
    """Copies a model and replaces a variable, under its name.

    The graph stays; the manifest is of what is there.
    """
    shutil.copytree(source, path, ignore=shutil.ignore_patterns("assets.extra"))
    prefix = str(path / "variables/variables")
    reader = py_checkpoint_reader.NewCheckpointReader(prefix)
    values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    values[variable] = change(values[variable])
    for file in (path / "variables").iterdir():
        file.unlink()
    with tf.Graph().as_default(), v1.Session() as session:
        names, tensors = list(values), [tf.constant(value) for value in values.values()]
        whole = [""] * len(names)
        session.run(
            tf.raw_ops.SaveV2(
                prefix=prefix, tensor_names=names, shape_and_slices=whole, tensors=tensors
            )
        )
    write_manifest(path)


def main(photos, out):
    for build in (conv, kernels, elu):
        save(out / build.__name__, [(["serve"], build)])
        write_manifest(out / build.__name__)
    save(out / "blocks", [(["serve"], blocks)])
    write_manifest(out / "blocks", ("features", "middle"))
    damaged(out / "kernels", out / "short", "filters", lambda value: np.zeros(1, "float32"))
    damaged(
        out / "kernels", out / "exchanged", "filters", lambda value: value.transpose(0, 1, 3, 2)
    )
    np.savez(out / "conv.npz", **answers(photos))
    np.savez(out / "blocks.npz", **answers_of_blocks())
    save(out / "quantized/int8", [(["serve"], quantized)])
    save(out / "narrow/int8", [(["serve"], lambda: quantized(bits=7))])
    np.savez(out / "quantized.npz", **answers_of_quantized())
    save(out / "both", [(["serve"], constant(1)), (["serve", "gpu"], constant(2))])
    save(out / "types", [(["serve"], types)])
    save(out / "variables", [(["serve"], variables)])
    save(out / "faulty", [(["serve"], faulty)])
    save(out / "aborts", [(["serve"], aborts)])
    shutil.copytree(out / "conv", out / "aborts_manifest")
    shutil.copy(out / "aborts/saved_model.pb", out / "aborts_manifest")
    shutil.rmtree(out / "aborts_manifest/assets.extra")
    write_manifest(out / "aborts_manifest")


if __name__ == "__main__":
    v1.disable_eager_execution()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
