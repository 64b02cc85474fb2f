"""Exports Keras image models as SavedModel directories with a manifest, and makes golden packs.

    from kerasrun_export import export

    export(model, "models/mine", pipeline="load_img", mode="tf", class_names=["cat", "dog"])

`export` and `golden` take a Keras model after training; the commands kerasrun-export and
kerasrun-golden take model files and the names of published architectures.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerasrun_export.errors import ExportError
    from kerasrun_export.exporter import export
    from kerasrun_export.find import find_contract
    from kerasrun_export.goldens import golden

__version__ = "0.1.0"
__all__ = ["ExportError", "__version__", "export", "find_contract", "golden"]

# Loaded when asked for, so that the commands can set up the process before TensorFlow is imported.
_MODULES = {
    "ExportError": "errors",
    "export": "exporter",
    "find_contract": "find",
    "golden": "goldens",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    importlib.import_module(f"{__name__}.backend")  # first: it says which TensorFlow is needed
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
