"""Reads from a Keras model what it does to images itself, before its first weights.

The beginning of the model is run on plain probes, step by step, up to the first layer that is not a
preparation: what becomes of 0 and of 255 there says whether the model takes images as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from kerasrun_export.backend import keras, tf
from kerasrun_export.contract import Decode, Normalize, Preprocessing, Resize, steps
from kerasrun_export.errors import ModelError

KINDS = keras.layers
# Layers that change nothing at inference.
IN_TRAINING = (
    KINDS.Dropout,
    KINDS.SpatialDropout2D,
    KINDS.GaussianNoise,
    KINDS.GaussianDropout,
    KINDS.InputLayer,
    KINDS.Identity,
)
PREPARING = (
    *IN_TRAINING,
    KINDS.Rescaling,
    KINDS.Normalization,
    KINDS.Resizing,
    KINDS.CenterCrop,
    KINDS.Lambda,
    KINDS.Permute,
    KINDS.Reshape,
    KINDS.Concatenate,
)
RESIZING = (KINDS.Resizing, KINDS.CenterCrop, KINDS.RandomCrop)
WORDS = {
    "TrueDivide": "divides by",
    "Divide": "divides by",
    "Multiply": "multiplies by",
    "Subtract": "subtracts",
    "Add": "adds",
}
# What prepared values may be for images of 0 to 255: caffe's lie between -124 and 152. Beyond that
# the model's numbers were made for images that were scaled before.
LARGEST = 160.0
SIDE = 32  # of a probe where the model's size is free


@dataclass(frozen=True)
class Preparation:
    """What a model does to its images before its first weights.

    steps: in words, in order. values: whether it takes images of 0 to 255 and prepares them itself.
    scaled_before: whether it has a normalisation whose numbers are not those of 0 to 255.
    resizes: whether it resizes or crops. readable: False for a subclassed model, of which only
    layers can be listed. converter: what its KerasHub preprocessor does before it, and the size
    that gives; the decoding in it is load_img's.
    """

    steps: tuple[str, ...] = ()
    values: bool = False
    scaled_before: bool = False
    resizes: bool = False
    readable: bool = True
    converter: Preprocessing | None = None
    converter_size: tuple[int, int] | None = None


def read(model: keras.Model) -> Preparation:
    """What the model does to the images of its first input."""
    converter, size = _keras_hub(model)
    functional = _functional(model)
    if functional is None:
        named = [
            _words(layer)
            for layer in getattr(model, "layers", [])
            if isinstance(layer, (KINDS.Rescaling, KINDS.Normalization, *RESIZING))
        ]
        return Preparation(tuple(named), readable=False, converter=converter, converter_size=size)
    walk = _Walk()
    probe = _probe(functional.inputs[0])
    if probe is not None:
        with tf.device("/CPU:0"):
            walk.run(functional, {0: probe})
    changed = walk.changed and walk.frontier is not None
    plain = changed and float(np.abs(walk.frontier).max()) <= LARGEST
    return Preparation(
        tuple(walk.steps),
        values=bool(plain),
        scaled_before=bool(changed and not plain),
        resizes=walk.resizes,
        converter=converter,
        converter_size=size,
    )


def _functional(model: keras.Model) -> keras.Model | None:
    """The functional model that a model is or has: a Sequential one has it inside."""
    if isinstance(model, keras.Sequential):
        return model._functional if model.built else None
    return model if getattr(model, "_nodes_by_depth", None) is not None else None


def _probe(tensor: keras.KerasTensor) -> tf.Tensor | None:
    """Plain images of 0 and of 255 in every channel, of the input's shape; None: not of images."""
    shape = list(tensor.shape[1:])
    if len(shape) not in (2, 3):
        return None
    free = [side or SIDE for side in shape]
    images = np.stack([np.full(free, 0), np.full(free, 255)])
    return tf.cast(tf.constant(images), tensor.dtype)


class _Walk:
    """Runs the beginning of functional models on a probe.

    frontier: what the first layer with weights is given, (2, ...): of black and of white.
    """

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.frontier: np.ndarray | None = None
        self.changed = self.resizes = False

    def run(self, model: keras.Model, given: dict[int, tf.Tensor]) -> dict[int, tf.Tensor]:
        """given: values by the number of the input. Returns those of outputs that were reached."""
        known = {id(model.inputs[i]): value for i, value in given.items()}
        for node in _nodes(model):
            if node.is_input:
                continue
            inputs = node.arguments.keras_tensors
            have = [known[id(tensor)] for tensor in inputs if id(tensor) in known]
            if not have:
                continue
            nested = _functional(node.operation)
            if nested is not None and len(have) == len(inputs):
                results = self.run(nested, dict(enumerate(have)))
                known |= {id(node.outputs[i]): value for i, value in results.items()}
                continue
            results = self._prepare(node, known) if len(have) == len(inputs) else None
            if results is None:
                self._stop(have[0])
                continue
            known |= {
                id(tensor): value for tensor, value in zip(node.outputs, results, strict=True)
            }
        return {i: known[id(t)] for i, t in enumerate(model.outputs) if id(t) in known}

    def _stop(self, value: tf.Tensor) -> None:
        if self.frontier is None and value.shape.rank in (3, 4):
            self.frontier = np.asarray(tf.cast(value, tf.float32))

    def _prepare(self, node, known: dict[int, tf.Tensor]) -> list[tf.Tensor] | None:
        """What a step of preparation gives; None where the node is none."""
        operation = node.operation
        if not _prepares(operation):
            return None
        args, kwargs = node.arguments.fill_in({key: value for key, value in known.items()})
        if isinstance(operation, keras.layers.Layer):
            kwargs.pop("training", None)
            if operation._call_has_training_arg:
                kwargs["training"] = False
        results = operation(*args, **kwargs)
        results = tf.nest.flatten(results)
        before = known[id(node.arguments.keras_tensors[0])]
        resizes = isinstance(operation, RESIZING) or type(operation).__name__ == "Resize"
        changed = not resizes and _changes(before, results[0])
        self.resizes |= resizes
        self.changed |= changed
        words = _words(operation, node)
        if (changed or resizes) and words not in self.steps:
            self.steps.append(words)
        return results


def _nodes(model: keras.Model) -> Iterator:
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from model._nodes_by_depth[depth]


def _prepares(operation: keras.Operation) -> bool:
    """Whether it may be a step of preparation: an augmentation, arithmetic, a user's own layer
    without weights.
    """
    if isinstance(operation, PREPARING) or _augments(operation):
        return True
    if not isinstance(operation, keras.layers.Layer):
        return not type(operation).__module__.endswith(("ops.nn", "ops.linalg"))
    own = not type(operation).__module__.startswith(("keras.", "keras_hub."))
    return own and not operation.weights


def _augments(operation: object) -> bool:
    return type(operation).__module__.startswith("keras.src.layers.preprocessing.image_")


def _changes(before: tf.Tensor, after: tf.Tensor) -> bool:
    """Whether plain images have other values after a step."""
    before, after = (np.asarray(tf.cast(x, tf.float32)) for x in (before, after))
    if len(before) != len(after):
        return True
    ranges = [(x.reshape(len(x), -1).min(1), x.reshape(len(x), -1).max(1)) for x in (before, after)]
    return not np.array_equal(*ranges)


def _words(operation: keras.Operation, node=None) -> str:
    """What a step does, and its name in the model."""
    kind, name = type(operation).__name__, operation.name
    if isinstance(operation, KINDS.Rescaling):
        words = f"multiplies by {_number(operation.scale)}"
        if np.any(np.asarray(operation.offset)):
            words += f" and adds {_number(operation.offset)}"
    elif isinstance(operation, KINDS.Normalization):
        deviation = np.sqrt(np.asarray(operation.variance).ravel())
        words = f"subtracts {_number(operation.mean)} and divides by {_number(deviation)}"
    elif isinstance(operation, KINDS.Resizing):
        words = f"resizes to {operation.height} x {operation.width}"
    elif isinstance(operation, (KINDS.CenterCrop, KINDS.RandomCrop)):
        words = f"crops to {operation.height} x {operation.width}"
    elif isinstance(operation, KINDS.Lambda):
        function = getattr(operation.function, "__name__", "a function")
        words = f"applies {'a lambda' if function == '<lambda>' else function}"
    elif kind in WORDS and node is not None:
        constants = [x for x in node.arguments.args if not isinstance(x, keras.KerasTensor)]
        words = f"{WORDS[kind]} {_number(constants[0])}" if constants else kind
    else:
        words = f"applies {kind}"
    return f"{words} (layer {name})" if isinstance(operation, KINDS.Layer) else f"{words} ({name})"


def _number(value: object) -> str:
    """A number, as a quotient where it is one of 1; numbers of channels in brackets."""
    values = np.asarray(value, np.float64).ravel()
    if len(values) == 0:
        return "nothing"
    if len(values) > 1 and np.ptp(values) > 0:
        return f"({', '.join(f'{x:.6g}' for x in values[:4])}{', ...' if len(values) > 4 else ''})"
    number = float(values[0])
    quotient = Fraction(1 / number).limit_denominator(2) if 0 < abs(number) < 0.5 else None
    if quotient and abs(float(quotient) * number - 1) < 1e-6:
        return f"1/{float(quotient):g}"
    return f"{number:.6g}"


def _keras_hub(model: keras.Model) -> tuple[Preprocessing | None, tuple[int, int] | None]:
    """What the ImageConverter of a KerasHub model does, and its (height, width).

    Its source: keras_hub.layers.ImageConverter: resized by Keras, times scale, plus offset.
    """
    converter = getattr(getattr(model, "preprocessor", None), "image_converter", None)
    if converter is None:
        return None, None
    fit = "none"
    if converter.image_size is not None:
        fit = "stretch"
        if converter.crop_to_aspect_ratio:
            fit = "crop"
        if converter.pad_to_aspect_ratio:
            fit = "pad_first"
    resize = Resize("tensorflow", converter.interpolation, fit, bool(converter.antialias))
    if converter.compute_dtype != "float32":
        raise ModelError(
            f"{model.name}: its preprocessor computes in {converter.compute_dtype}, expected "
            "float32"
        )
    # `predict` calls it on floats, so that nothing is rounded after the resize.
    done = [
        (op, tuple(np.asarray(value, np.float64).ravel().tolist()))
        for op, value in (("multiply", converter.scale), ("add", converter.offset))
        if value is not None
    ]
    return Preprocessing(Decode(), resize, Normalize(steps=steps(*done))), converter.image_size
