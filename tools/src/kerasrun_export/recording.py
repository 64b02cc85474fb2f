"""Records the tensors that a user's own Python feeds a Keras model, of Keras 3 or tf_keras.

While it records, `predict` and its relatives run eagerly, so that every tensor passes through the
model's `__call__`, whatever it came from: arrays, tf.data, generators. A function that calls the
model inside a tf.function is recorded by an operation in its graph.
"""

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from kerasrun_export.backend import keras, tf

EAGER = ("predict", "predict_on_batch", "test_on_batch", "evaluate")


@dataclass(frozen=True)
class Call:
    """One call of a model. inputs: by name, with a batch, of the types that the model computes
    with. depth: how many models were running. outputs: as the model returned them; None inside a
    tf.function."""

    model: object
    inputs: dict[str, np.ndarray]
    depth: int
    outputs: object = field(default=None, repr=False)


@contextmanager
def recording() -> Iterator[list[Call]]:
    """Records each call of a Keras model, of nested models too, in the order they begin."""
    global _calls
    calls = _calls = []
    patched: list[tuple[type, str, object]] = []
    modules = [keras] + [sys.modules[name] for name in ("tf_keras",) if name in sys.modules]

    def patch(cls: type, name: str, wrapper: Callable) -> None:
        patched.append((cls, name, cls.__dict__.get(name)))
        setattr(cls, name, wrapper)

    for module in modules:
        for cls in _family(module.Model):
            if cls is module.Model or "__call__" in cls.__dict__:
                patch(cls, "__call__", _recorded(cls.__call__))
            for name in EAGER:
                if name in cls.__dict__ or (cls is module.Model and hasattr(cls, name)):
                    patch(cls, name, _eager(getattr(cls, name)))
    try:
        yield calls
    finally:
        for cls, name, before in reversed(patched):
            if before is None:
                delattr(cls, name)
            else:
                setattr(cls, name, before)


def _family(cls: type) -> list[type]:
    """A class and all that are made of it, each once."""
    found = {cls: None}
    for child in cls.__subclasses__():
        found.update(dict.fromkeys(_family(child)))
    return list(found)


def _eager(original: Callable) -> Callable:
    """The method with the model's functions run eagerly, and left as they were."""

    @functools.wraps(original)
    def method(self, *args, **kwargs):
        names = ("_run_eagerly", "predict_function", "test_function")
        before = {name: getattr(self, name) for name in names if hasattr(self, name)}
        self._run_eagerly = True
        for name in before.keys() - {"_run_eagerly"}:
            setattr(self, name, None)
        try:
            return original(self, *args, **kwargs)
        finally:
            for name, value in before.items():
                setattr(self, name, value)

    return method


_active = threading.local()
# Of the recording that runs. A graph outlives the one that it was traced in, and writes here too.
_calls: list[Call] = []


def _recorded(original: Callable) -> Callable:
    # Not by functools.wraps: AutoGraph would look through it and call the original.
    def call(self, *args, **kwargs):
        running = vars(_active).setdefault("models", set())
        given = args[0] if args else kwargs.get("inputs")
        flat = tf.nest.flatten(given)
        known = all(isinstance(x, (np.ndarray, np.generic, tf.Tensor, tf.Variable)) for x in flat)
        if id(self) in running or not flat or not known:  # Keras's symbolic tensors are not known
            return original(self, *args, **kwargs)
        running.add(id(self))
        try:
            if any(tf.is_tensor(x) and tf.is_symbolic_tensor(x) for x in flat):
                noted = _noted(self, given, flat, len(running) - 1)
                args, kwargs = (
                    ((noted, *args[1:]), kwargs) if args else (args, kwargs | {"inputs": noted})
                )
                return original(self, *args, **kwargs)
            at = len(_calls)
            _calls.append(Call(self, named(self, given), len(running) - 1))
            outputs = original(self, *args, **kwargs)
            _calls[at] = replace(_calls[at], outputs=outputs)
            return outputs
        finally:
            running.discard(id(self))

    return call


def _noted(model: object, given: object, flat: list, depth: int) -> object:
    """The same tensors of a graph, which are recorded when the graph runs."""

    def note(*arrays: np.ndarray) -> list[np.ndarray]:
        _calls.append(Call(model, named(model, tf.nest.pack_sequence_as(given, arrays)), depth))
        return list(arrays)

    flat = [tf.convert_to_tensor(x) for x in flat]
    noted = tf.numpy_function(note, flat, [x.dtype for x in flat])
    for after, before in zip(noted, flat, strict=True):
        after.set_shape(before.shape)
    return tf.nest.pack_sequence_as(given, noted)


def named(model: object, given: object) -> dict[str, np.ndarray]:
    """A model's inputs by their names, of the types that it takes."""
    tensors = getattr(model, "inputs", None) or []
    names = list(getattr(model, "input_names", None) or [tensor.name for tensor in tensors])
    if isinstance(given, dict):
        arrays = dict(given)
    elif isinstance(given, (list, tuple)):
        keys = names if len(names) == len(given) else [f"input_{i}" for i in range(len(given))]
        arrays = dict(zip(keys, given, strict=True))
    else:
        arrays = {names[0] if len(names) == 1 else "input": given}
    types = dict(zip(names, (tf.as_dtype(x.dtype) for x in tensors), strict=False))
    result = {}
    for name, array in arrays.items():
        array = np.array(array)  # of its own: the function may write into it afterwards
        dtype = types.get(name, tf.float32 if array.dtype.kind == "f" else None)
        result[name] = array if dtype is None else array.astype(dtype.as_numpy_dtype)
    return result
