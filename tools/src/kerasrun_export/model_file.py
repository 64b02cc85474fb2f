"""Loads the model in a .keras or .h5 file: by Keras 3, or by tf_keras what Keras 2 wrote.

Keras 3 reads much of what Keras 2 wrote, but not always as it was: its hard_sigmoid is another.
"""

import contextlib
import importlib
import importlib.util
import json
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import h5py

from kerasrun_export import training
from kerasrun_export.backend import keras
from kerasrun_export.errors import ModelError, paragraph

SUFFIXES = (".keras", ".h5", ".hdf5")
# Packages whose layers a file may name; they register them where they are imported.
PACKAGES = {"keras_hub": "keras-hub", "keras_cv": "keras-cv", "keras_nlp": "keras-nlp"}
# Layers of ConvNeXt that Keras has, but does not find by their names, which are all that .h5 says.
UNLISTED = ("LayerScale", "StochasticDepth")
OTHERWISE = "hard_sigmoid"


def is_file(architecture: str) -> bool:
    """Whether it is the name of a model file, rather than of an architecture."""
    return Path(architecture).suffix in SUFFIXES


@dataclass(frozen=True)
class _Description:
    """What a file says of itself. version: of the Keras that wrote it, "" where it does not say."""

    version: str
    config: object
    suffix: str

    @property
    def of_keras_2(self) -> bool:
        return not self.version or int(self.version.partition(".")[0]) < 3


def load(path: str, *, custom_objects: str | None = None, unsafe_lambda: bool = False):
    """The model as Keras loads it, of `keras`, or of `tf_keras` what Keras 2 wrote.

    custom_objects: the name of a module that has or registers the classes and functions that Keras
        does not know; it is looked for in the working directory too.
    unsafe_lambda: whether Lambda layers may run the code that is in the file.

    Raises ModelError, whose message names what was tried, with Keras's own reasons.
    """
    if not Path(path).is_file():
        what = "a directory; --saved-model takes one" if Path(path).is_dir() else "no such file"
        raise ModelError(f"{path}: {what}")
    description = _describe(path)
    _check_lambda(path, description, custom_objects, unsafe_lambda)
    for package in sorted(_packages(description.config) & PACKAGES.keys()):
        _import_package(path, package)
    own = _own_objects(custom_objects)
    causes = {}
    with _suffixed(path, description.suffix) as file:
        for library in _libraries(description):
            known = _unlisted(library) if description.suffix == ".h5" else {}
            try:
                model = library.models.load_model(
                    file,
                    custom_objects=known | own,
                    compile=False,
                    safe_mode=not unsafe_lambda,
                )
            except Exception as error:  # Keras raises whatever its parts raise
                cause = paragraph(error).replace(str(file), path)
                causes[f"{library.__name__} {library.__version__}"] = cause
            else:
                if description.of_keras_2 and library is keras:
                    _check_read_by_keras_3(path, description)
                return model
    raise ModelError(_failed(path, description, causes))


def _check_read_by_keras_3(path: str, description: _Description) -> None:
    """Refuses of a file of Keras 2 what Keras 3 reads as something else."""
    training.check_file(_parts(description.config), path)
    for part in _parts(description.config):
        if OTHERWISE in part.values():
            name = part.get("name", OTHERWISE)
            raise ModelError(
                f"{path}: has {OTHERWISE} in {name!r}, which Keras 2 computes as x / 5 + 1 / 2 and "
                "Keras 3, which has read the file, as x / 6 + 1 / 2: pip install tf-keras, which "
                "reads it as it was"
            )


def _failed(path: str, description: _Description, causes: dict[str, str]) -> str:
    tried = "; ".join(f"{name}: {cause.rstrip('.')}" for name, cause in causes.items())
    by = f" that Keras {description.version} wrote" if description.version else ""
    hints = []
    if description.of_keras_2 and len(causes) == 1:
        hints.append(
            "tf_keras, which reads what Keras 2 wrote, is not installed: pip install tf-keras"
        )
    if description.suffix == ".h5" and not description.of_keras_2:
        hints.append("HDF5 cannot hold operators between layers, such as +: save it as .keras")
    if any("nknown layer" in c or "not locate" in c or "nknown" in c for c in causes.values()):
        hints.append("--custom-objects MODULE names the module that has its own classes")
    if any("TFSMLayer" in cause for cause in causes.values()):
        hints.append("--saved-model DIR takes the SavedModel itself that its TFSMLayer loads")
    return ". ".join([f"{path}: expected a model{by} that can be loaded; tried {tried}", *hints])


def _describe(path: str) -> _Description:
    """Raises ModelError where the file is neither a zip nor HDF5 with a model in it."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                metadata = json.loads(archive.read("metadata.json"))
                config = json.loads(archive.read("config.json"))
                return _Description(str(metadata.get("keras_version", "")), config, ".keras")
        with h5py.File(path) as file:
            version, text = (
                _text(file.attrs.get(key)) for key in ("keras_version", "model_config")
            )
            if not text:
                raise ModelError(
                    f"{path}: expected a file with a model, got one with weights alone: name the "
                    "architecture, and give the file to --weights"
                )
            return _Description(version, json.loads(text), ".h5")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{path}: expected a model that Keras saved (.keras or .h5): {paragraph(error)}"
        ) from error


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")


def _parts(config: object) -> Iterator[dict]:
    """Every object inside a configuration, itself included."""
    pending = [config]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            yield part
            pending += part.values()
        elif isinstance(part, list):
            pending += part


def _packages(config: object) -> set[str]:
    """The top-level packages whose classes a configuration names."""
    names = set()
    for part in _parts(config):
        if isinstance(module := part.get("module"), str):
            names.add(module.partition(".")[0])
        for key in ("registered_name", "class_name"):
            if isinstance(name := part.get(key), str) and ">" in name:
                names.add(name.partition(">")[0])
    return names


def _check_lambda(
    path: str, description: _Description, custom_objects: str | None, unsafe: bool
) -> None:
    """Refuses code in the file, which Keras 2 runs unasked, and in a file of Keras 2 every function
    and class of a module that has no business there.
    """
    if unsafe:
        return
    for part in _parts(description.config):
        options = part.get("config")
        if part.get("class_name") != "Lambda" or not isinstance(options, dict):
            continue
        code = options.get("function_type") == "lambda" or any(
            inner.get("class_name") == "__lambda__" for inner in _parts(options)
        )
        if code:
            raise ModelError(
                f"{path}: the Lambda layer {options.get('name')!r} holds code, which loading it "
                "would run: expected a file without, or --unsafe-lambda where its source is trusted"
            )
    if not description.of_keras_2:
        return  # Keras 3 looks itself
    known = {"builtins", "keras", "tf_keras", "tensorflow", *PACKAGES}
    if custom_objects:
        known.add(custom_objects.partition(".")[0])
    for part in _parts(description.config):
        module = part.get("module")
        if isinstance(module, str) and module.partition(".")[0] not in known:
            raise ModelError(
                f"{path}: names {part.get('class_name')} of the module {module}, which loading it "
                f"would import: expected --custom-objects {module} where it is yours"
            )


def _import_package(path: str, package: str) -> None:
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise ModelError(
            f"{path}: has layers of {package}, which cannot be imported ({paragraph(error)}): pip "
            f"install {PACKAGES[package]}"
        ) from error


def _own_objects(module: str | None) -> dict[str, object]:
    """The classes and functions of the user's module by name; its import registers others."""
    if module is None:
        return {}
    if "" not in sys.path:
        sys.path.insert(0, "")  # the working directory, as python -m has it
    try:
        imported = importlib.import_module(module)
    except Exception as error:  # the user's code raises what it likes
        raise ModelError(
            f"--custom-objects: cannot import {module}: {type(error).__name__}: {paragraph(error)}"
        ) from error
    package = module.partition(".")[0]
    return {
        name: value
        for name, value in vars(imported).items()
        if callable(value)
        and not name.startswith("_")
        and str(getattr(value, "__module__", "")).partition(".")[0] == package
    }


def _unlisted(library: ModuleType) -> dict[str, object]:
    convnext = importlib.import_module(f"{library.__name__}.src.applications.convnext")
    return {name: getattr(convnext, name) for name in UNLISTED}


def _libraries(description: _Description) -> Iterator[ModuleType]:
    if description.of_keras_2 and importlib.util.find_spec("tf_keras"):
        yield importlib.import_module("tf_keras")  # seconds: only where it is needed
    yield keras


@contextlib.contextmanager
def _suffixed(path: str, suffix: str) -> Iterator[str]:
    """The file under a name by which Keras sees what it is: Keras 2 wrote HDF5 as .keras too."""
    if Path(path).suffix == suffix or (suffix == ".h5" and Path(path).suffix == ".hdf5"):
        yield path
        return
    with tempfile.TemporaryDirectory() as scratch:
        link = Path(scratch, f"model{suffix}")
        link.symlink_to(Path(path).resolve())
        yield str(link)
