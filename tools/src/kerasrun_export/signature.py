"""What a Keras model takes and gives: the names, types and shapes of its tensors, in batches."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kerasrun_export.backend import tf
from kerasrun_export.errors import ModelError

IMAGES = "images"
# What Keras calls an input that was given no name; the number depends on what was built before.
_NUMBERED = re.compile(r"(input_layer|keras_tensor|input)(_\d+)?")


@dataclass(frozen=True)
class TensorSpec:
    """An input. shape: with the batch dimension; -1 where a size is free."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Takes:
    """The inputs of a model, and `call`, which calls it on tensors by the names of these."""

    inputs: tuple[TensorSpec, ...]
    call: Callable[[Mapping[str, tf.Tensor]], object]


def identifier(name: str) -> str:
    """The name with what a name of a tensor cannot have as underscores."""
    name = re.sub(r"\W", "_", name, flags=re.ASCII)
    return name if re.match(r"[A-Za-z]", name) else f"tensor_{name.lstrip('_')}"


def takes(
    model, size: tuple[int, int] | None = None, kinds: Mapping[str, str] | None = None
) -> Takes:
    """What a model of Keras 3 or tf_keras takes.

    An input has the name that `predict` takes it by, as an identifier. One that Keras numbered
    (`input_layer_3`, `keras_tensor`, `input_1`) is `images`, or `images_1`, `images_2`, ... in
    their order where there are several. size: (height, width) for an image input whose own are
    free, or of a model that was not built. kinds: by name, "tensor" or "image" of inputs whose
    shape does not tell. Raises ModelError where the model does not say its
    shapes, or size contradicts them.
    """
    keys, tensors, call = _functional(model) or _subclassed(model)
    dtypes = [tf.as_dtype(t.dtype).name for t in tensors]
    names = _input_names(keys)
    shapes = [tuple(t.shape) for t in tensors]
    if size is not None:
        shapes = sized(dict(zip(names, shapes, strict=True)), size, kinds or {}, model.name)
    inputs = tuple(
        TensorSpec(name, dtype, tuple(-1 if side is None else side for side in shape))
        for name, dtype, shape in zip(names, dtypes, shapes, strict=True)
    )
    return Takes(inputs, lambda given: call([given[name] for name in names]))


def input_tensors(model) -> list:
    """The symbolic tensors of a functional model's inputs, in the order of `takes`."""
    found = _functional(model)
    return found[1] if found else []


def _functional(model) -> tuple[list[str], list, Callable] | None:
    """(names, tensors, call of a list of tensors) of a functional or built Sequential model."""
    try:
        tensors = model.inputs
    except (AttributeError, ValueError):  # ValueError: of a Sequential not built, in Keras 3.5
        return None
    if not tensors:
        return None
    functional = getattr(model, "_functional", None) or model  # a Sequential's own
    struct = getattr(functional, "_inputs_struct", None)
    if struct is None:
        struct = getattr(functional, "_nested_inputs", None)  # tf_keras
    if isinstance(struct, dict) and all(hasattr(t, "shape") for t in struct.values()):
        keys = list(struct)

        def call(given: list) -> object:
            return model(dict(zip(keys, given, strict=True)), training=False)

        return keys, [struct[key] for key in keys], call
    names = getattr(functional, "input_names", None) or [tensor.name for tensor in tensors]
    pack = (lambda given: given) if isinstance(struct, (list, tuple)) else (lambda given: given[0])
    return list(names), list(tensors), lambda given: model(pack(given), training=False)


@dataclass(frozen=True)
class _Shaped:
    shape: tuple
    dtype: str = "float32"


def _subclassed(model) -> tuple[list[str], list[_Shaped], Callable]:
    """The same of a subclassed model, by the shapes that it was built with.

    It does not say its type: floats, as `predict` makes of NumPy's. Its batch is free.
    """
    built = getattr(model, "_build_shapes_dict", None)
    if not built:
        raise ModelError(
            f"{model.name}: expected a model that knows the shape of its input, got "
            f"{type(model).__name__} without one: call it on a batch, or build it with "
            "keras.Input, before it is saved"
        )
    arguments = {name.removesuffix("_shape"): shape for name, shape in built.items()}
    if len(arguments) > 1:
        keys = list(arguments)
        shapes = list(arguments.values())

        def call(given: list) -> object:
            return model(**dict(zip(keys, given, strict=True)), training=False)

    else:
        (struct,) = arguments.values()
        if isinstance(struct, dict):
            keys, shapes = list(struct), list(struct.values())
            call = lambda given: model(dict(zip(keys, given, strict=True)), training=False)  # noqa: E731
        elif struct and isinstance(struct[0], (list, tuple)):
            shapes = list(struct)
            keys = ["input"] * len(shapes)
            call = lambda given: model(list(given), training=False)  # noqa: E731
        else:
            keys, shapes = ["input"], [struct]
            call = lambda given: model(given[0], training=False)  # noqa: E731
    return keys, [_Shaped((None, *shape[1:])) for shape in shapes], call


def _input_names(keys: Sequence[str]) -> list[str]:
    unnamed = [bool(_NUMBERED.fullmatch(key)) for key in keys]
    names, number = [], 0
    for key, numbered in zip(keys, unnamed, strict=True):
        number += numbered
        own = f"{IMAGES}_{number}" if sum(unnamed) > 1 else IMAGES
        names.append(own if numbered else identifier(key))
    return unique(names)


def unique(names: Sequence[str]) -> list[str]:
    """The names, later ones of the same spelling numbered; TensorFlow takes no heed of case."""
    taken: set[str] = set()
    result = []
    for name in names:
        free, i = name, 1
        while free.lower() in taken:
            free, i = f"{name}_{i}", i + 1
        taken.add(free.lower())
        result.append(free)
    return result


def sized(
    shapes: Mapping[str, tuple], size: tuple[int, int], kinds: Mapping[str, str], what: str
) -> list[tuple]:
    """The shapes with the free sides (None or -1) of images made `size`, (height, width). One
    without channels is an image's where that is said, or no other input can be one. Raises
    ModelError where a side is another.
    """
    other = any(len(shape) == 4 and kinds.get(key) != "tensor" for key, shape in shapes.items())
    made = []
    for name, shape in shapes.items():
        kind = kinds.get(name, "tensor" if len(shape) == 3 and other else "image")
        fits = len(shape) in (3, 4) and kind == "image"
        made.append(_sized_one(shape, size, what) if fits else shape)
    return made


def _sized_one(shape: tuple, size: tuple[int, int], what: str) -> tuple:
    first = len(shape) == 4 and shape[1] in (1, 3, 4) and shape[3] not in (1, 3, 4)
    at = 2 if first else 1
    own = shape[at : at + 2]
    if any(side not in (None, -1, wish) for side, wish in zip(own, size, strict=True)):
        sides = "x".join(map(str, own))
        raise ModelError(f"--image-size: {what} takes {sides}, got {size[0]}x{size[1]}")
    return (*shape[:at], *size, *shape[at + 2 :])


def outputs(model, results: object) -> dict[str, tf.Tensor]:
    """What a model returned, by name: a dict's own keys, else the names of the output layers, else
    `output_0`, `output_1`, ...; each an identifier."""
    if isinstance(results, dict):
        named = [pair for key, value in results.items() for pair in _flat(str(key), value)]
    elif hasattr(results, "_fields"):
        named = [pair for key in results._fields for pair in _flat(key, getattr(results, key))]
    else:
        flat = tf.nest.flatten(results)
        known = list(_output_names(model))
        if len(known) != len(flat):
            known = [f"output_{i}" for i in range(len(flat))]
        named = list(zip(known, flat, strict=True))
    keys = unique([identifier(key) for key, _ in named])
    return dict(zip(keys, (value for _, value in named), strict=True))


def _output_names(model) -> Sequence[str]:
    try:
        functional = getattr(model, "_functional", None) or model
        return functional.output_names or ()
    except AttributeError:
        return ()


def _flat(key: str, value: object) -> list[tuple[str, tf.Tensor]]:
    if isinstance(value, dict):
        return [pair for k, v in value.items() for pair in _flat(f"{key}_{k}", v)]
    if isinstance(value, (list, tuple)):
        return [pair for i, v in enumerate(value) for pair in _flat(f"{key}_{i}", v)]
    return [(key, value)]


def in_batches(
    run: Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]],
    tensors: Mapping[str, np.ndarray],
    shapes: Iterable[Sequence[int]],
) -> dict[str, np.ndarray]:
    """The rows run in batches of the number that the shapes of the inputs fix, the last one filled
    up with its last row; all at once where they leave it free.
    """
    rows = len(next(iter(tensors.values())))
    fixed = {shape[0] for shape in shapes if len(shape)} - {-1}
    step = fixed.pop() if fixed else rows
    parts = []
    for start in range(0, rows, step):
        at = np.minimum(np.arange(start, start + step), rows - 1)
        results = run({name: values[at] for name, values in tensors.items()})
        parts.append({name: values[: rows - start] for name, values in results.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
