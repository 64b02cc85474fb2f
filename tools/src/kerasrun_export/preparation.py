"""Reads from a Keras model what it does to images itself, before its first weights.

The beginning of the model is run on plain probes, step by step, up to the first layer that is not a
preparation: what becomes of 0 and of 255 there says whether the model takes images as they are.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from kerasrun_export.backend import keras, tf
from kerasrun_export.contract import Decode, Normalize, Preprocessing, Resize, steps
from kerasrun_export.errors import ModelError
from kerasrun_export.layers import arguments, functional, nodes, parts
from kerasrun_export.signature import input_tensors

# By the names of their classes, which Keras 3 and tf_keras share. These change nothing at
# inference.
IN_TRAINING = (
    "ActivityRegularization",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "InputLayer",
    "SpatialDropout2D",
)
PREPARING = (
    *IN_TRAINING,
    "AveragePooling2D",
    "Concatenate",
    "Cropping2D",
    "Lambda",
    "MaxPooling2D",
    "Normalization",
    "Permute",
    "Rescaling",
    "Reshape",
    "SlicingOpLambda",
    "TFOpLambda",
    "UpSampling2D",
)
RESIZING = ("CenterCrop", "RandomCrop", "Resize", "Resizing")
WORDS = {
    "TrueDivide": "divides by",
    "Divide": "divides by",
    "Multiply": "multiplies by",
    "Subtract": "subtracts",
    "Add": "adds",
}
# What prepared values may be for images of 0 to 255: caffe's lie between -124 and 152, all others
# near 0. Beyond that the model's numbers were made for images that were scaled before: (x + 1) / 2,
# which makes 0 to 1 of -1 to 1, gives 0.5 to 128.
LARGEST = 160.0
NEAR = 64.0
SIDE = 32  # of a probe where the model's size is free


@dataclass(frozen=True)
class Preparation:
    """What a model does to its images before its first weights.

    steps: in words, in order. values: whether it takes images of 0 to 255 and prepares them itself.
    scaled_before: whether it has a normalisation whose numbers are not those of 0 to 255.
    resizes: whether it resizes or crops. of_images: whether it has a layer that only images are
    given: one that resizes or turns them, or a scale of 1/255 or 1/127.5. readable: False for a
    subclassed model, of which only layers can be listed, and where a step does not run by itself.
    converter: what its KerasHub preprocessor does before it, and the size that gives; the decoding
    in it is load_img's. others: of its other inputs, in their order.
    """

    steps: tuple[str, ...] = ()
    values: bool = False
    scaled_before: bool = False
    resizes: bool = False
    of_images: bool = False
    readable: bool = True
    converter: Preprocessing | None = None
    converter_size: tuple[int, int] | None = None
    others: "tuple[Preparation, ...]" = ()

    def of(self, number: int) -> "Preparation":
        """What it does to the input of that number; one that cannot be read is as the first."""
        return self.others[number - 1] if 0 < number <= len(self.others) else self

    def found(self) -> list[str]:
        """The steps as sentences for the user."""
        if self.readable:
            steps = [step for each in (self, *self.others) for step in each.steps]
            return [f"the model {step} itself" for step in dict.fromkeys(steps)]
        return [f"the model has a layer that {step}" for step in self.steps]


def read(model: keras.Model) -> Preparation:
    """What the model does to the images of each of its inputs."""
    converter, size = _keras_hub(model)
    whole = functional(model)
    if whole is None:
        named = [
            _words(layer)
            for layer in getattr(model, "layers", [])
            if _kind(layer) in ("Rescaling", "Normalization", *RESIZING)
        ]
        return Preparation(tuple(named), readable=False, converter=converter, converter_size=size)
    known = {id(tensor): i for i, tensor in enumerate(whole.inputs)}
    order = [known.get(id(tensor), i) for i, tensor in enumerate(input_tensors(model))]
    first, *others = [_read(whole, number) for number in order]
    return replace(first, converter=converter, converter_size=size, others=tuple(others))


def _read(model, number: int) -> Preparation:
    """What a functional model does to the images of one of its inputs."""
    walk = _Walk()
    probe = _probe(model.inputs[number])
    if probe is not None:
        with tf.device("/CPU:0"):
            walk.run(model, {number: probe})
    changed = walk.changed and bool(walk.frontiers)
    plain = [_is_plain(values) for values in walk.frontiers]
    return Preparation(
        tuple(walk.steps),
        values=changed and all(plain),
        scaled_before=changed and not any(plain),
        resizes=walk.resizes,
        of_images=walk.of_images,
        readable=walk.readable,
    )


def _is_plain(prepared: np.ndarray) -> bool:
    """Whether they are what a preparation makes of images of 0 to 255."""
    low, high = float(prepared.min()), float(prepared.max())
    return max(-low, high) <= LARGEST and (high - low <= NEAR or low <= -NEAR)


def _kind(operation: object) -> str:
    return type(operation).__name__


def _probe(tensor) -> tf.Tensor | None:
    """Plain images of 0 and of 255 in every channel, of the input's shape; None: not of images."""
    shape = list(tensor.shape[1:])
    if len(shape) not in (2, 3):
        return None
    free = [side or SIDE for side in shape]
    images = np.stack([np.full(free, 0), np.full(free, 255)])
    return tf.cast(tf.constant(images), tensor.dtype)


class _Walk:
    """Runs the beginning of functional models on a probe.

    frontiers: what each layer with weights that comes first is given, (2, ...): of black and of
    white.
    """

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.frontiers: list[np.ndarray] = []
        self.changed = self.resizes = self.of_images = False
        self.readable = True

    def run(self, model, given: dict[int, tf.Tensor]) -> dict[int, tf.Tensor]:
        """given: values by the number of the input. Returns those of outputs that were reached."""
        known = {id(model.inputs[i]): value for i, value in given.items()}
        for node in nodes(model):
            if node.is_input:
                continue
            operation, inputs, outputs = parts(node)
            have = [known[id(tensor)] for tensor in inputs if id(tensor) in known]
            if not have:
                continue
            nested = functional(operation)
            if nested is not None and len(have) == len(inputs):
                results = self.run(nested, dict(enumerate(have)))
                known |= {id(outputs[i]): value for i, value in results.items()}
                continue
            results = None
            if len(have) == len(inputs) and _prepares(operation):
                results = self._prepare(node, operation, known, have[0])
            if results is None:
                self._stop(have[0])
                continue
            known |= {id(tensor): value for tensor, value in zip(outputs, results, strict=True)}
        return {i: known[id(t)] for i, t in enumerate(model.outputs) if id(t) in known}

    def _stop(self, value: tf.Tensor) -> None:
        if value.shape.rank in (3, 4):
            self.frontiers.append(np.asarray(tf.cast(value, tf.float32)))

    def _prepare(
        self, node, operation, known: dict[int, tf.Tensor], before: tf.Tensor
    ) -> list[tf.Tensor] | None:
        """What a step of preparation gives; None where it does not run on the probe."""
        try:
            results = tf.nest.flatten(_call(node, operation, known))
        except Exception:  # of a user's own layer, whatever it raises
            self.readable = False
            return None
        resizes = _kind(operation) in RESIZING
        self.of_images |= resizes or _of_images(operation)
        changed = not resizes and _changes(before, results[0])
        self.resizes |= resizes
        self.changed |= changed
        words = _words(operation, node)
        if (changed or resizes) and words not in self.steps:
            self.steps.append(words)
        return results


def _call(node, operation, known: dict[int, tf.Tensor]) -> object:
    """What a node gives for the values of its inputs, as at inference."""
    args, kwargs = arguments(node, known)
    if hasattr(node, "arguments"):
        trains = getattr(operation, "_call_has_training_arg", False)
    else:
        trains = operation._expects_training_arg
    kwargs.pop("training", None)
    return operation(*args, **kwargs, **({"training": False} if trains else {}))


def _prepares(operation: object) -> bool:
    """Whether it may be a step of preparation: an augmentation, arithmetic, a user's own layer
    without weights.
    """
    module = type(operation).__module__
    if _kind(operation) in (*PREPARING, *RESIZING) or ".layers.preprocessing." in module:
        return True
    if module.startswith("keras.src.ops."):
        return not module.endswith((".nn", ".linalg"))
    return not module.startswith(("keras.", "keras_hub.", "tf_keras.")) and not operation.weights


def _of_images(operation: object) -> bool:
    """Whether it is an augmentation of images, or a scale of their bytes."""
    if ".layers.preprocessing.image_preprocessing" in type(operation).__module__:
        return True
    scale = getattr(operation, "scale", None) if _kind(operation) == "Rescaling" else None
    return scale is not None and bool(np.isclose(1 / np.mean(scale), (255, 127.5)).any())


def _changes(before: tf.Tensor, after: tf.Tensor) -> bool:
    """Whether plain images have other values after a step."""
    before, after = (np.asarray(tf.cast(x, tf.float32)) for x in (before, after))
    if len(before) != len(after):
        return True
    ranges = [(x.reshape(len(x), -1).min(1), x.reshape(len(x), -1).max(1)) for x in (before, after)]
    return not np.array_equal(*ranges)


def _words(operation, node=None) -> str:
    """What a step does, and its name in the model."""
    kind, name = type(operation).__name__, operation.name
    if kind == "Rescaling":
        words = f"multiplies by {_number(operation.scale)}"
        if np.any(np.asarray(operation.offset)):
            words += f" and adds {_number(operation.offset)}"
    elif kind == "Normalization":
        deviation = np.sqrt(np.asarray(operation.variance).ravel())
        words = f"subtracts {_number(operation.mean)} and divides by {_number(deviation)}"
    elif kind == "Resizing":
        words = f"resizes to {operation.height} x {operation.width}"
    elif kind in ("CenterCrop", "RandomCrop"):
        words = f"crops to {operation.height} x {operation.width}"
    elif kind == "Lambda":
        function = getattr(operation.function, "__name__", "a function")
        words = f"applies {'a lambda' if function == '<lambda>' else function}"
    elif kind in ("TFOpLambda", "SlicingOpLambda"):
        return f"applies {name}"
    elif kind in WORDS and node is not None:
        constants = [x for x in node.arguments.args if not isinstance(x, keras.KerasTensor)]
        words = f"{WORDS[kind]} {_number(constants[0])}" if constants else kind
    else:
        words = f"applies {kind}"
    layer = hasattr(operation, "weights")
    return f"{words} (layer {name})" if layer else f"{words} ({name})"


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
