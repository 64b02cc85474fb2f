"""Refuses models whose class predicts in a way of its own: the SavedModel has what they call."""

from kerasrun_export.errors import ModelError

METHODS = ("predict", "predict_step", "predict_on_batch", "make_predict_function")
# KerasHub's own put their preprocessor before the model, which the contract says.
LIBRARIES = ("keras", "keras_cv", "keras_hub", "keras_nlp", "tf_keras")


def check(model, what: str) -> None:
    """Raises ModelError where the class of a model, of Keras 3 or tf_keras, has such a method.

    what: its file, or its name.
    """
    for name in METHODS:
        owner = next(kind for kind in type(model).__mro__ if name in vars(kind))
        if owner.__module__.partition(".")[0] not in LIBRARIES:
            raise ModelError(
                f"{what}: its class {owner.__name__} has a {name} of its own, which may give "
                "something else than a call of the model does, and a call is what is exported: "
                f"expected what {name} does in the model's call, or in its layers"
            )
