"""The served function of a Keras model: what it takes by name in, its named outputs out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from kerasrun_export.backend import keras, tf
from kerasrun_export.errors import ModelError, paragraph
from kerasrun_export.freeze import freeze
from kerasrun_export.graph import Graph
from kerasrun_export.signature import IMAGES, TensorSpec, in_batches, outputs, takes

SAME = ("Identity", "Cast")  # operations that give the numbers they take
MOVED = ("Reshape", "Squeeze")  # and these in another shape
# Every operation of TensorFlow that draws numbers anew each time.
RANDOM = frozenset(
    {
        "Multinomial",
        "NonDeterministicInts",
        "ParameterizedTruncatedNormal",
        "RandomCrop",
        "RandomGamma",
        "RandomPoisson",
        "RandomPoissonV2",
        "RandomShuffle",
        "RandomStandardNormal",
        "RandomUniform",
        "RandomUniformInt",
        "RngReadAndSkip",
        "RngSkip",
        "SampleDistortedBoundingBox",
        "SampleDistortedBoundingBoxV2",
        "StatefulRandomBinomial",
        "StatefulStandardNormal",
        "StatefulStandardNormalV2",
        "StatefulTruncatedNormal",
        "StatefulUniform",
        "StatefulUniformFullInt",
        "StatefulUniformInt",
        "TruncatedNormal",
    }
)
# Of B, G, R, as in keras.applications.imagenet_utils
CAFFE_MEANS = np.array([103.939, 116.779, 123.68])
# Of R, G, B
TORCH_MEANS, TORCH_DEVIATIONS = (
    np.array([0.485, 0.456, 0.406]),
    np.array([0.229, 0.224, 0.225]),
)

CONVERSIONS = {
    "caffe": "",
    "none": "channels reversed to RGB, then the channel means added, before the first layer",
    "tf": "channels reversed to RGB, then x * scale + shift per channel from caffe to tf, "
    "before the first layer",
    "torch": "channels reversed to RGB, then x * scale + shift per channel from caffe to torch, "
    "before the first layer",
}


def from_caffe(images: tf.Tensor, mode: str) -> tf.Tensor:
    """Turns caffe-style images (BGR, means subtracted) into those of preprocessing mode `mode`.

    An exact change of variables: the constants are combined in float64. It has to come before any
    zero padding, since padding with zeros means another colour in each mode.
    """
    if mode == "caffe":
        return images
    scale, shift = np.ones(3), CAFFE_MEANS[::-1]
    if mode == "tf":
        scale, shift = scale / 127.5, shift / 127.5 - 1
    elif mode == "torch":
        scale, shift = (
            scale / 255 / TORCH_DEVIATIONS,
            (shift / 255 - TORCH_MEANS) / TORCH_DEVIATIONS,
        )
    x = tf.reverse(images, [-1], name="from_caffe/rgb")
    if mode != "none":
        x = tf.multiply(x, tf.constant(scale, tf.float32), name="from_caffe/scaled")
    return tf.add(x, tf.constant(shift, tf.float32), name="from_caffe/shifted")


@dataclass(frozen=True)
class Output:
    """An output of a signature.

    shape: with the batch dimension; -1 where a size is free, empty where the rank is. activation:
    the last operation, "softmax", "sigmoid" or "none". operation: TensorFlow's name of the last one
    that computes something, before casts and reshapes; "" where that tells nothing.
    """

    signature: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    activation: str
    operation: str


@dataclass(frozen=True)
class Served:
    """A traced model: `function` takes the inputs by name and gives a dict of all outputs.

    mixed: whether anything is computed in float16 or bfloat16. Rewriting such a graph moves its
        roundings, so that it may be out of a tolerance that the literal graph is in.
    caffe: the mode of the weights where the graph begins with `from_caffe`, else None.
    """

    function: tf.types.experimental.ConcreteFunction
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[Output, ...]
    layers: frozenset[str]
    model: keras.Model
    headless: bool
    mixed: bool
    caffe: str | None = None

    @property
    def signatures(self) -> dict[str, list[str]]:
        """The names of the outputs by signature."""
        keys = dict.fromkeys(output.signature for output in self.outputs)
        return {key: sorted(o.name for o in self.outputs if o.signature == key) for key in keys}

    def __call__(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs the literal graph on rows of each input."""
        types = {spec.name: spec.dtype for spec in self.inputs}

        def run(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            given = {name: tf.constant(values, types[name]) for name, values in batch.items()}
            return {key: value.numpy() for key, value in self.function(**given).items()}

        return in_batches(run, tensors, [spec.shape for spec in self.inputs])


def trace(
    model: keras.Model,
    *,
    size: tuple[int, int] | None = None,
    headless: bool = False,
    caffe: str | None = None,
    kinds: Mapping[str, str] | None = None,
) -> Served:
    """Traces a model of Keras 3 or tf_keras: it takes what the model takes.

    size: (height, width) where the model's own is free; None leaves it free. kinds: as
    `signature.takes` takes them.
    headless: the one output is called `features`.
    caffe: for a design whose SavedModel takes caffe-style `images` whatever its weights were
        trained with: that mode. Otherwise nothing is put before the model.

    One output that ends in a softmax or sigmoid is served as `probs` and `logits`, and what the
    last dense layer takes as `features`, in a signature of its own. Other outputs have the names
    that `signature.outputs` gives them. Outputs of float16 and bfloat16 are widened to float32,
    which is exact. The batch is free, unless the model says a number and does not answer another.

    Raises ModelError where the model does not say what it takes, or changes its own state as it
    answers.
    """
    taken = takes(model, size, kinds)
    inputs = taken.inputs
    if caffe is not None:
        (only,) = inputs
        inputs = (TensorSpec(IMAGES, only.dtype, only.shape),)
    signatures: dict[str, str] = {}

    def serve(**tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        if caffe is not None:
            tensors = {taken.inputs[0].name: from_caffe(tensors[IMAGES], caffe)}
        results = taken.call(tensors)
        named = outputs(model, results)
        if headless:
            named = {"features": named.popitem()[1]}
        elif tf.is_tensor(results):
            named = _classifier(results) or named
        signatures.clear()
        for key in named:
            alone = key == "features" and len(named) > 1 and "probs" in named
            signatures[key] = "features" if alone else "serving_default"
        return {key: _widened(value) for key, value in named.items()}

    declared = [spec.shape[0] for spec in inputs]
    free = tuple(TensorSpec(i.name, i.dtype, (-1, *i.shape[1:])) for i in inputs)
    if any(size != -1 for size in declared):
        inputs = free if _answers_any_batch(serve, free, max(declared) + 1) else inputs
    try:
        function = _concrete(serve, inputs)
    except Exception as error:  # layers raise whatever they like
        takes_words = ", ".join(f"{spec.name} {spec.shape}" for spec in inputs)
        raise ModelError(
            f"{model.name}: expected a model that answers {takes_words}: {paragraph(error)}"
        ) from error
    _check_stateless(function, model.name)
    served = tuple(
        Output(
            signatures[key],
            key,
            value.dtype.name,
            _shape(value.shape),
            activation(_through(value, SAME).op.type),
            _computed(value),
        )
        for key, value in function.structured_outputs.items()
    )
    layers = {layer.name for layer in model._flatten_layers()} - {model.name}
    return Served(
        function, inputs, served, frozenset(layers), model, headless, _is_mixed(function), caffe
    )


def _concrete(
    serve: Callable, inputs: tuple[TensorSpec, ...]
) -> tf.types.experimental.ConcreteFunction:
    specs = {
        spec.name: tf.TensorSpec(
            [None if side < 0 else side for side in spec.shape], spec.dtype, name=spec.name
        )
        for spec in inputs
    }
    return tf.function(serve, autograph=False).get_concrete_function(**specs)


def _answers_any_batch(serve: Callable, free: tuple[TensorSpec, ...], rows: int) -> bool:
    """Whether the function gives a row for each of a number of rows that the model does not say."""
    tensors = {
        spec.name: tf.zeros(
            [rows, *(side if side > 0 else 64 for side in spec.shape[1:])], spec.dtype
        )
        for spec in free
    }
    try:
        results = _concrete(serve, free)(**tensors)
    except (tf.errors.OpError, ValueError, TypeError):
        return False
    return all(value.shape.rank and value.shape[0] == rows for value in results.values())


def _shape(shape: tf.TensorShape) -> tuple[int, ...]:
    return () if shape.rank is None else tuple(-1 if side is None else side for side in shape)


def _widened(value: tf.Tensor) -> tf.Tensor:
    return tf.cast(value, tf.float32) if value.dtype in (tf.float16, tf.bfloat16) else value


def operations(function: tf.types.experimental.ConcreteFunction) -> list:
    """The nodes of a traced function, those of the functions in it included."""
    definition = function.graph.as_graph_def()
    inside = [node for f in definition.library.function for node in f.node_def]
    return [*definition.node, *inside]


def _is_mixed(function: tf.types.experimental.ConcreteFunction) -> bool:
    half = (tf.float16.as_datatype_enum, tf.bfloat16.as_datatype_enum)
    return any(
        attribute.type in half
        for node in operations(function)
        if node.op not in ("Placeholder", "Cast")
        for attribute in node.attr.values()
    )


def _check_stateless(function: tf.types.experimental.ConcreteFunction, what: str) -> None:
    names = {node.op for node in operations(function)}
    changing = sorted(name for name in names if name.startswith("Assign"))
    if changing:
        raise ModelError(
            f"{what}: expected a model that answers the same image the same each time, got one "
            f"that changes its own variables as it answers ({', '.join(changing)}): a layer that "
            "ignores training=False, or one with stateful=True"
        )
    drawing = sorted(names & RANDOM)
    if drawing:
        raise ModelError(
            f"{what}: expected a model that answers the same image the same each time, got one "
            f"that draws random numbers as it answers ({', '.join(drawing)}): noise, dropout or "
            "augmentation that is not off at inference"
        )


def activation(operation: str) -> str:
    """What a model's last operation makes its output."""
    return operation.lower() if operation in ("Softmax", "Sigmoid") else "none"


def _classifier(result: tf.Tensor) -> dict[str, tf.Tensor] | None:
    """{probs, logits} of a softmax or sigmoid, and features where a dense layer is before it."""
    probs = _through(result, SAME)
    if probs.op.type not in ("Softmax", "Sigmoid") or result.shape.rank != 2:
        return None
    logits = probs.op.inputs[0]
    outputs = {"probs": result, "logits": logits}
    dense = _through(logits, SAME).op
    if dense.type in ("BiasAdd", "AddV2"):
        dense = _through(dense.inputs[0], SAME).op
    if dense.type == "MatMul":
        outputs["features"] = dense.inputs[0]
    return outputs


def _through(tensor: tf.Tensor, operations: tuple[str, ...]) -> tf.Tensor:
    """The tensor before these operations."""
    while tensor.op.type in operations:
        tensor = tensor.op.inputs[0]
    return tensor


def _computed(tensor: tf.Tensor) -> str:
    """The operation that computes a tensor; "" for the mean or the largest of anything but an
    image's places, such as of an ensemble's answers.
    """
    operation = _through(tensor, (*SAME, *MOVED)).op
    if operation.type in ("Mean", "Max") and operation.inputs[0].shape.rank != 4:
        return ""
    return operation.type


def frozen(served: Served) -> Graph:
    """The graph of a traced model with constants for variables."""
    names = {key: tensor.name for key, tensor in served.function.structured_outputs.items()}
    return freeze(served.function, names)
