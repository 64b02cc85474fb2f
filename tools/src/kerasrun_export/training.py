"""Refuses models that fix training=True for a layer: they have no answer of their own."""

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from kerasrun_export.backend import keras, tf
from kerasrun_export.errors import ModelError
from kerasrun_export.layers import arguments, functional, nodes, parts
from kerasrun_export.serving import RANDOM, operations


def check(model, what: str) -> None:
    """Raises ModelError where a call in the model fixes training=True and that changes what the
    layer does: Keras 2's predict then does it too, Keras 3's does not, though model(x) does.

    model: of Keras 3 or tf_keras. what: its file, or its name.
    """
    for operation, tensors, call in _calls(model):
        training = _operations(call, tensors, True)
        if training is not None and training == _operations(call, tensors, False):
            continue
        does = "does something else than at inference"
        if training is not None:
            random = any(name in RANDOM or name.startswith("StatelessRandom") for name in training)
            does = "draws random numbers" if random else "answers by what else is in the batch"
        raise _error(what, operation.name, type(operation).__name__, does)


def check_file(parts: Iterable[dict], path: str) -> None:
    """Raises ModelError where a file of Keras 2 that Keras 3 has read fixes training=True for an
    augmentation: Keras 3 notes the same of one that was called without it.

    parts: every object in the file's configuration.
    """
    for part in parts:
        kind, name = str(part.get("class_name")), part.get("name")
        if kind.startswith("Random") and _says_training(part.get("inbound_nodes")):
            raise _error(path, name, kind, "draws random numbers")


def _says_training(nodes: object) -> bool:
    if isinstance(nodes, dict):
        return nodes.get("training") in (True, 1) or any(map(_says_training, nodes.values()))
    return isinstance(nodes, list) and any(map(_says_training, nodes))


def _error(what: str, name: str, kind: str, does: str) -> ModelError:
    return ModelError(
        f"{what}: fixes training=True for the layer {name!r} ({kind}), which then {does}, so that "
        "Keras 2's predict and Keras 3's, which leaves it out, differ: expected a model that "
        "answers the same image the same each time. Build it without training=True, give it these "
        "weights and save that"
    )


def _calls(model) -> Iterator[tuple[object, list, Callable]]:
    """(layer, its symbolic tensors, call of their values and `training`) of each call that fixes
    training=True, in nested models too.
    """
    seen = set()
    for layer in model._flatten_layers():  # the model is the first
        part = functional(layer)
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        yield from (found for node in nodes(part) if (found := _fixed(node)) is not None)


def _fixed(node) -> tuple[object, list, Callable] | None:
    """The same of one call; None where it does not fix it."""
    layer, tensors, _ = parts(node)
    if hasattr(node, "arguments"):
        fixed = node.arguments.kwargs.get("training") and not _trains_unasked(layer)
    else:
        given = ("training", node.call_args, node.call_kwargs)
        # By position too, as Dropout(0.5)(x, True) is.
        passed = layer._call_spec.arg_was_passed(*given, inputs_in_args=True)
        fixed = passed and layer._call_spec.get_arg_value(*given, inputs_in_args=True)

    def call(values: list[tf.Tensor], training: bool) -> object:
        args, kwargs = arguments(node, {id(t): v for t, v in zip(tensors, values, strict=True)})
        if hasattr(node, "arguments"):
            return layer(*args, **{**kwargs, "training": training})
        args, kwargs = layer._call_spec.set_arg_value(
            "training", training, args, kwargs, inputs_in_args=True
        )
        return layer(*args, **kwargs)

    return (layer, list(tensors), call) if isinstance(fixed, bool | int) and fixed else None


def _trains_unasked(layer) -> bool:
    """Whether training=True is its default, as of Keras 3's augmentation: then nobody said it."""
    call = layer.call if isinstance(layer, keras.layers.Layer) else None
    known = inspect.signature(call).parameters if call else {}
    return "training" in known and known["training"].default is True


def _operations(call: Callable, tensors: list, training: bool) -> Counter | None:
    """How often each operation is in the layer's graph; None where it cannot be traced."""
    specs = [tf.TensorSpec(t.shape, t.dtype) for t in tensors]
    try:
        function = tf.function(lambda *x: call(list(x), training), autograph=False)
        return Counter(node.op for node in operations(function.get_concrete_function(*specs)))
    except Exception:  # a user's own layer raises whatever it likes
        return None
