"""Models whose predict gives something else than their call: refused."""

import numpy as np
import pytest
import tf_keras

from kerasrun_export import exporter
from kerasrun_export.backend import keras, tf
from kerasrun_export.errors import ModelError

SHAPE = (12, 16, 3)


def predict_step(self, data: object) -> tf.Tensor:
    return tf.nn.sigmoid(self(data[0] if isinstance(data, tuple) else data, training=False))


def predict(self, x: np.ndarray, **_: object) -> np.ndarray:
    return 1 - np.asarray(self(x, training=False))


@pytest.mark.parametrize("method", [predict_step, predict, None])
@pytest.mark.parametrize("library", [keras, tf_keras])
def test_a_class_that_predicts_itself(tmp_path, library, method):
    own = type("Own", (library.Model,), {method.__name__: method} if method else {})
    inputs = library.Input(SHAPE)
    x = library.layers.Dense(3)(library.layers.Flatten()(inputs))
    model = own(inputs, x, name="mine")
    images = np.random.default_rng(1).uniform(0, 1, (2, *SHAPE)).astype(np.float32)
    differ = np.abs(model.predict(images, verbose=0) - np.asarray(model(images))).max()
    options = {"pipeline": "load_img", "divide": 255, "activation": "sigmoid"}
    if method is None:
        assert differ < 1e-5
        exporter.export(model, tmp_path / "out", **options)
        return
    assert differ > 1e-2
    with pytest.raises(ModelError, match=f"mine: its class Own has a {method.__name__} of its own"):
        exporter.export(model, tmp_path / "out", **options)
