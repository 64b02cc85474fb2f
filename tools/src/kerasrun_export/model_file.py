"""Loads the model in a .keras or .h5 file: by Keras 3, or by tf_keras what Keras 2 wrote.

Keras 3 reads much of what Keras 2 wrote, but not always as it was: its hard_sigmoid is another.
"""

import contextlib
import importlib
import importlib.util
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from kerasrun_export import file_code, files, hdf5, scratch, training
from kerasrun_export.backend import keras
from kerasrun_export.errors import ModelError, paragraph

SUFFIXES = (".keras", ".h5", ".hdf5")
# Packages whose layers a file may name; they register them where they are imported.
PACKAGES = {"keras_hub": "keras-hub", "keras_cv": "keras-cv", "keras_nlp": "keras-nlp"}
# Layers of ConvNeXt that Keras has, but does not find by their names, which are all that .h5 says.
UNLISTED = ("LayerScale", "StochasticDepth")
OTHERWISE = "hard_sigmoid"
WEIGHTS = "model.weights.h5"  # in a .keras file
MOST_BYTES = {".json": files.TEXT}  # of a .keras file's members, by their endings


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
    if not Path(path).exists():
        raise ModelError(f"{path}: no such file")
    if Path(path).is_dir():
        raise ModelError(f"{path}: a directory; --saved-model takes one")
    files.check(path, files.MODEL)
    description = _describe(path)
    if not unsafe_lambda:
        file_code.check(
            _parts(description.config),
            path,
            custom_objects=custom_objects,
            packages=PACKAGES if description.of_keras_2 else (),
        )
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
    """Raises ModelError where the file is neither a zip nor HDF5 with a model in it, whole."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return _describe_archive(archive)
        with hdf5.opened(path) as file:
            version = _version(_text(file.attrs.get("keras_version")))
            text = _text(file.attrs.get("model_config"))
            if not text:
                raise ModelError(
                    f"{path}: expected a file with a model, got one with weights alone: name the "
                    "architecture, and give the file to --weights"
                )
            if len(text) > files.TEXT:
                raise ValueError(f"its configuration has {len(text):,} characters")
            return _Description(version, files.parse_json(text), ".h5")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{path}: expected a model that Keras saved (.keras or .h5): {paragraph(error)}"
        ) from error


def _describe_archive(archive: zipfile.ZipFile) -> _Description:
    for member in archive.infolist():
        if member.file_size > MOST_BYTES.get(Path(member.filename).suffix, member.file_size):
            raise ValueError(
                f"{member.filename} says that it has {member.file_size} bytes, too many for it"
            )
        if member.file_size > max(hdf5.ALWAYS, hdf5.PACKED * member.compress_size):
            raise ValueError(
                f"{member.filename} is over {hdf5.PACKED} times as large as what it is packed in"
            )
    metadata, config = (
        files.parse_json(archive.read(f"{name}.json")) for name in ("metadata", "config")
    )
    if not isinstance(metadata, dict):
        raise ValueError(f"metadata.json holds a {type(metadata).__name__}")
    description = _Description(_version(metadata.get("keras_version")), config, ".keras")
    if description.of_keras_2 and WEIGHTS in archive.namelist():  # Keras 3 looks itself
        with (
            scratch.directory() as directory,
            hdf5.opened(archive.extract(WEIGHTS, directory)),
        ):
            pass
    return description


def _version(value: object) -> str:
    """That of Keras in a file; "" where it says none."""
    version = str(value or "")
    if version and not version.partition(".")[0].isdecimal():
        raise ValueError(f"the version of Keras is {version!r}")
    return version


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
    with scratch.directory() as directory:
        link = directory / f"model{suffix}"
        link.symlink_to(Path(path).resolve())
        yield str(link)
