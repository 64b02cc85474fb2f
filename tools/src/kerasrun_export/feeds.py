"""What a user's own function feeds a model, image by image."""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasrun_export import files
from kerasrun_export.backend import tf
from kerasrun_export.errors import FindError, first_line
from kerasrun_export.recording import Call, recording

Predict = Callable[[str], object]


@dataclass(frozen=True)
class Fed:
    """What one image became.

    model: the model that was called. inputs: its tensors by name, without the batch dimension.
    answer: what the function returned. outputs: what the model returned, with the batch dimension;
    None where it ran inside a tf.function.
    """

    model: object
    inputs: dict[str, np.ndarray]
    answer: object
    outputs: object


def load_function(name: str) -> Predict:
    """The function of MODULE:FUNCTION, MODULE as `import` takes it from the working directory, or
    the path of a .py file. Raises FindError."""
    module_name, colon, function_name = name.rpartition(":")
    if not colon or not module_name or not function_name:
        raise FindError(
            f"--predict: expected MODULE:FUNCTION, as in mymodule:predict for mymodule.py's "
            f"function predict(path), got {name!r}"
        )
    try:
        module = _module(module_name)
    except Exception as error:  # a user's module raises whatever it raises
        raise FindError(f"--predict: cannot import {module_name}: {_where(error)}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise FindError(
            f"--predict: expected a function {function_name} in {module_name}, got "
            f"{'none' if function is None else type(function).__name__}"
        )
    return function


def _module(name: str):
    if not name.endswith(".py"):
        if "" not in sys.path and str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        return importlib.import_module(name)
    files.check(name, files.TEXT)
    path = Path(name).resolve()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent))
    spec.loader.exec_module(module)
    return module


def _where(error: Exception) -> str:
    """The error with the user's own line that raised it."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)]
    own = [frame for frame in frames if "site-packages" not in frame.filename]
    frame = (own or frames)[-1]
    text = f"{type(error).__name__}: {first_line(error)}"
    return f"{text} ({Path(frame.filename).name}, line {frame.lineno})"


class Target:
    """The model whose inputs are looked at.

    model: the one that the function calls, or another with its weights, as of its file, which tell
    it from the other models that the function calls; or None, where it calls but one.
    """

    def __init__(self, model: object | None) -> None:
        self._model = model
        self._known: dict[int, bool] = {}

    def choose(self, calls: Sequence[Call]) -> list[Call]:
        """The calls of the model. Raises FindError where none or several models may be it."""
        if self._model is None:
            outer = [call for call in calls if call.depth == 0]
            # A Sequential of layers that prepare has no weights.
            outer = [call for call in outer if call.model.weights] or outer
            if len({id(call.model) for call in outer}) > 1:
                raise FindError(
                    f"expected a function that calls one model, got {_names(outer)}: name the one "
                    "that is meant"
                )
            return outer
        if any(call.model is self._model for call in calls):
            return [call for call in calls if call.model is self._model]
        chosen = [call for call in calls if self._is(call.model)]
        if calls and not chosen:
            raise FindError(
                f"{self._model.name}: expected a function that calls this model, with its "
                f"weights, got calls of {_names(calls)}"
            )
        return chosen

    def _is(self, model: object) -> bool:
        if id(model) not in self._known:
            self._known[id(model)] = _twins(model, self._model)
        return self._known[id(model)]


def _names(calls: Sequence[Call]) -> str:
    return ", ".join(sorted({str(getattr(call.model, "name", call.model)) for call in calls}))


def _twins(a, b) -> bool:
    """Whether two models take the same shapes and have the same weights."""
    shapes = [[tuple(t.shape) for t in getattr(m, "inputs", None) or []] for m in (a, b)]
    weights = [m.get_weights() for m in (a, b)]
    return (
        shapes[0] == shapes[1]
        and len(weights[0]) == len(weights[1])
        and all(np.array_equal(x, y) for x, y in zip(*weights, strict=True))
    )


def feed(predict: Predict, target: Target, image: Path) -> Fed:
    """Runs the function on an image. Raises FindError where it fails, or feeds the model no tensor,
    or more than one."""
    with recording() as calls:
        answer = _run(predict, image)
    if not calls:  # a tf.function from before, or the function has only now imported tf_keras
        with recording() as calls, _eagerly():
            answer = _run(predict, image)
    chosen = target.choose(calls)
    if not chosen:
        raise FindError(
            f"{image}: expected a function that calls a Keras model on the image's tensor, got "
            "none called: it has to run the model by predict, predict_on_batch or a call, in this "
            "process"
        )
    first = chosen[0]
    rows = {name: len(array) if array.ndim else 0 for name, array in first.inputs.items()}
    if any(n != 1 for n in rows.values()):
        raise FindError(
            f"{image}: expected a batch of one image, got {rows}: the function has to take the "
            "path of one image and feed the model this image once"
        )
    for other in chosen[1:]:
        if not same(first.inputs, other.inputs):
            raise FindError(
                f"{image}: expected one tensor for an image, got {len(chosen)} that differ: the "
                "average over several crops or flips of an image is no contract"
            )
    inputs = {name: array[0] for name, array in first.inputs.items()}
    return Fed(first.model, inputs, answer, first.outputs)


@contextmanager
def _eagerly() -> Iterator[None]:
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def _run(predict: Predict, image: Path) -> object:
    try:
        return predict(str(image))
    except Exception as error:
        raise FindError(f"{image}: the function failed: {_where(error)}") from error


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    """Whether both have the same tensors, in every bit."""
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)
