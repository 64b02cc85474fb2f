"""Refuses models that fix training=True for a layer: they have no answer of their own."""

from collections import Counter
from collections.abc import Callable, Iterator

from kerasrun_export.backend import tf
from kerasrun_export.errors import ModelError
from kerasrun_export.serving import RANDOM, operations


def check(model, what: str) -> None:
    """Raises ModelError where a call in the model fixes training=True and that changes what the
    layer does: Keras 2's predict then does it too, Keras 3's does not, though model(x) does.

    model: of Keras 3 or tf_keras. what: its file, or its name.
    """
    for operation, tensors, call in _calls(model):
        training = _operations(call, tensors, True)
        answering = _operations(call, tensors, False)
        if training is not None and training == answering:
            continue
        does = "does something else than at inference"
        if training is not None:
            random = any(name in RANDOM or name.startswith("StatelessRandom") for name in training)
            does = "draws random numbers" if random else "answers by what else is in the batch"
        raise ModelError(
            f"{what}: fixes training=True for the layer {operation.name!r} "
            f"({type(operation).__name__}), which then {does}, so that Keras 2's predict and Keras "
            "3's, which leaves it out, differ: expected a model that answers the same image the "
            "same each time. Build it without training=True, give it these weights and save that"
        )


def _calls(model) -> Iterator[tuple[object, list, Callable]]:
    """(layer, its symbolic tensors, call of their values and `training`) of each call that fixes
    training=True, in nested models too.
    """
    seen = set()
    for part in (model, *model._flatten_layers()):
        functional = getattr(part, "_functional", None) or part
        if id(functional) in seen:
            continue
        seen.add(id(functional))
        for nodes in (getattr(functional, "_nodes_by_depth", None) or {}).values():
            yield from (found for node in nodes if (found := _fixed(node)) is not None)


def _fixed(node) -> tuple[object, list, Callable] | None:
    """The same of a node of Keras 3 or of tf_keras; None where it does not fix it."""
    if hasattr(node, "arguments"):
        layer, tensors, kwargs = node.operation, node.arguments.keras_tensors, node.arguments.kwargs
        fixed = kwargs.get("training")
    else:
        layer, tensors = node.layer, node.keras_inputs
        given = ("training", node.call_args, node.call_kwargs)
        # By position too, as Dropout(0.5)(x, True) is.
        passed = layer._call_spec.arg_was_passed(*given, inputs_in_args=True)
        fixed = passed and layer._call_spec.get_arg_value(*given, inputs_in_args=True)

    def call(values: list[tf.Tensor], training: bool) -> object:
        if hasattr(node, "arguments"):
            known = {id(t): v for t, v in zip(tensors, values, strict=True)}
            args, kwargs = node.arguments.fill_in(known)
            return layer(*args, **{**kwargs, "training": training})
        known = {str(id(t)): [v] * len(tensors) for t, v in zip(tensors, values, strict=True)}
        args, kwargs = layer._call_spec.set_arg_value(
            "training", training, *node.map_arguments(known), inputs_in_args=True
        )
        return layer(*args, **kwargs)

    return (layer, list(tensors), call) if isinstance(fixed, bool | int) and fixed else None


def _operations(call: Callable, tensors: list, training: bool) -> Counter | None:
    """How often each operation is in the layer's graph; None where it cannot be traced."""
    specs = [tf.TensorSpec(t.shape, t.dtype) for t in tensors]
    try:
        function = tf.function(lambda *x: call(list(x), training), autograph=False)
        return Counter(node.op for node in operations(function.get_concrete_function(*specs)))
    except Exception:  # a user's own layer raises whatever it likes
        return None
