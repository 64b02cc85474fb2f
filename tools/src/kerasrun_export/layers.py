"""Goes through the layers of a Keras model and their calls, of Keras 3 or tf_keras."""

from collections.abc import Iterator, Mapping

from kerasrun_export.backend import keras, tf


def walk(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers in order, those of nested models in place of the models."""
    for layer in model.layers:
        if hasattr(layer, "layers") and hasattr(layer, "predict"):  # of Keras 3 or tf_keras
            yield from walk(layer)
        else:
            yield layer


def functional(model: object):
    """The functional model that a model is or has: a Sequential one of Keras 3 has it inside. None
    where it is another, as a layer.
    """
    model = getattr(model, "_functional", None) or model
    return model if getattr(model, "_nodes_by_depth", None) else None


def nodes(model) -> Iterator:
    """The calls in a functional model, from its inputs on."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from model._nodes_by_depth[depth]


def parts(node) -> tuple[object, list, list]:
    """(operation, symbolic inputs, symbolic outputs) of a call."""
    if hasattr(node, "arguments"):
        return node.operation, node.arguments.keras_tensors, node.outputs
    return node.layer, node.keras_inputs, tf.nest.flatten(node.outputs)


def arguments(node, known: Mapping[int, tf.Tensor]) -> tuple[tuple, dict]:
    """(args, kwargs) of a call with values for its symbolic inputs. known: the values by `id`."""
    if hasattr(node, "arguments"):
        return node.arguments.fill_in(known)
    inputs = node.keras_inputs
    return node.map_arguments({str(id(t)): [known[id(t)]] * len(inputs) for t in inputs})
