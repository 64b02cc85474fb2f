"""Loads a model's weights: the published ones, a file of their layout, or seeded ones."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict
from unittest import mock

import h5py
import numpy as np

from tools import download, seeded
from tools.backend import keras
from tools.blocks import GROUPS, group_sum_kernel
from tools.download import UnreachableError, WeightsError
from tools.seeded import walk

__all__ = ["UnreachableError", "WeightsError", "WeightsInfo", "load"]

RELEASE = "https://github.com/keras-team/keras-applications/releases/download/resnet/"
# With the top, without it. Source: WEIGHTS_HASHES in keras_applications 1.0.8, resnet_common.py.
MD5 = {
    "resnet50": ("2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"),
    "resnet101": ("f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"),
    "resnet152": ("100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
    "resnet50v2": ("3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917"),
    "resnet101v2": ("6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5"),
    "resnet152v2": ("a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33"),
    "resnext50": ("67a5b30d522ed92f75a1f16eef299d1a", "62527c363bdd9ec598bed41947b379fc"),
    "resnext101": ("34fb605428fcc7aa4d62f44404c11509", "0f678c91647380debd923963594981b3"),
}
GROUP_SUM = "_2_gconv"  # the layers whose kernels are zeros and ones, frozen: not weights, but older files have them
FAULTS_SHOWN = 8


class WeightsInfo(TypedDict):
    """Where weights came from, "imagenet", "seeded:0" or a file's name, and the SHA-256 of the file; where they were
    drawn, of the arrays in layer order.
    """

    source: str
    sha256: str


def load(model: keras.Model, spec: str, *, architecture: str, mode: str, mirror: str | None = None) -> WeightsInfo:
    """Gives the model its weights.

    spec: "imagenet", the published ones; "seeded" or "seeded:N", a deterministic draw (see tools.seeded); or the path
        of a file of the published layout, which is loaded by layer name and must fit exactly.
    mode: the preprocessing with which seeded weights are calibrated.
    mirror: another base address for the published files.

    Raises WeightsError, and of it UnreachableError where the published file cannot be had from its server.
    """
    if spec == "imagenet":
        path = _published(model, architecture, mirror)
        return {"source": spec, "sha256": download.hash_file(path, like="sha256")}
    if match := re.fullmatch(r"seeded(?::(\d{1,9}))?", spec):
        number = int(match[1] or 0)
        seeded.seed(model, number, mode)
        return {"source": f"seeded:{number}", "sha256": _hash_arrays(model)}
    path = Path(spec)
    if not path.is_file():
        raise WeightsError(f"unknown weights {spec!r}: expected imagenet, seeded, seeded:N or an existing .h5 file")
    load_file(model, path)
    return {"source": path.name, "sha256": download.hash_file(path, like="sha256")}


def _hash_arrays(model: keras.Model) -> str:
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def _published(model: keras.Model, architecture: str, mirror: str | None) -> Path:
    """Downloads and loads the ImageNet weights, and returns their file."""
    top = getattr(model.layers[-1], "activation", None) is keras.activations.softmax
    if architecture in MD5:
        name = f"{architecture}_weights_tf_dim_ordering_tf_kernels{'' if top else '_notop'}.h5"
        path = download.fetch(_join(mirror or RELEASE, name), MD5[architecture][0 if top else 1])
        load_file(model, path)
        return path
    if callable(getattr(keras.applications, architecture, None)):
        return _published_application(model, architecture, top, mirror)
    raise WeightsError(f"{architecture}: no imagenet weights are published for it")


def _published_application(model: keras.Model, architecture: str, top: bool, mirror: str | None) -> Path:
    """Has Keras load its own weights, by its own rules, through our downloads."""
    fetched = []

    def get_file(name: str, origin: str, *_, file_hash: str | None = None, **__) -> str:
        fetched.append(download.fetch(_join(mirror, name) if mirror else origin, file_hash))
        return str(fetched[-1])

    options = {"include_top": top, "input_shape": model.input_shape[1:]}
    with mock.patch("keras.src.utils.file_utils.get_file", get_file):
        try:
            twin = getattr(keras.applications, architecture)(weights="imagenet", **options)
        except WeightsError:
            raise
        except ValueError as error:
            raise WeightsError(f"{architecture}: {str(error).strip().splitlines()[0]}") from error
    ours, theirs = ([layer for layer in walk(m) if layer.weights] for m in (model, twin))
    for layer, other in zip(ours, theirs, strict=True):
        _assign(layer, other.get_weights())
    _fold_rescaling(model, twin)
    return fetched[-1]


def _fold_rescaling(model: keras.Model, twin: keras.Model) -> None:
    """Puts into our EfficientNet's normalisation the division by the square root of the deviation that Keras builds
    after it for imagenet weights alone.
    """
    kind = keras.layers.Rescaling
    ours, theirs = ([layer for layer in walk(m) if isinstance(layer, kind)] for m in (model, twin))
    if len(theirs) > len(ours):
        normalization = next(layer for layer in walk(model) if isinstance(layer, keras.layers.Normalization))
        mean, variance, *rest = normalization.get_weights()
        _assign(normalization, [mean, variance / np.square(theirs[-1].scale), *rest])


def _assign(layer: keras.layers.Layer, arrays: list[np.ndarray]) -> None:
    layer.set_weights(arrays)
    if isinstance(layer, keras.layers.Normalization):  # which computes with copies of its weights
        layer.finalize_state()


def _join(base: str, name: str) -> str:
    return f"{base.rstrip('/')}/{name}"


def load_file(model: keras.Model, path: Path) -> None:
    """Loads a file of the published layout (Keras 2's save_weights, or a whole model saved by it), by layer name.

    Every layer of the model must be in the file and the other way round, each with its weights in their shapes:
    otherwise WeightsError names what is wrong and the model is left as it was.
    """
    try:
        with h5py.File(path, "r") as file:
            loaded = _match(model, dict(_read(file, path)), path)
    except (OSError, KeyError, RuntimeError) as error:  # h5py's, for what is cut off or damaged
        raise WeightsError(f"{path}: not a readable HDF5 file: {str(error).splitlines()[0]}") from error
    for layer, arrays in loaded:
        _assign(layer, arrays)


def _read(file: h5py.File, path: Path) -> Iterator[tuple[str, dict[str, h5py.Dataset]]]:
    """The layers that have weights, in the file's order: name, and weights by name in their order."""
    group = file.get("model_weights", file)
    names = _attribute(group, "layer_names")
    if names is None:
        raise WeightsError(
            f"{path}: expected the published layout (Keras 2, by layer name), found no layer_names; what Keras 3 saves "
            "is taken as a whole model, a .keras file given as the architecture"
        )
    for name in names:
        if name not in group:
            raise WeightsError(f"{path}: names layer {name}, which is not there")
        datasets = {}
        for weight in _attribute(group[name], "weight_names") or []:
            if not isinstance(group[name].get(weight), h5py.Dataset):
                raise WeightsError(f"{path}: layer {name} names weight {weight}, which is not there")
            datasets[weight] = group[name][weight]
        if datasets:
            yield name, datasets


def _attribute(group: h5py.Group, name: str) -> list[str] | None:
    """A list of strings, which Keras cuts in pieces (name0, name1, ...) where it is too long for an HDF5 attribute."""
    pieces = [group.attrs[name]] if name in group.attrs else []
    while name not in group.attrs and f"{name}{len(pieces)}" in group.attrs:
        pieces.append(group.attrs[f"{name}{len(pieces)}"])
    if not pieces:
        return None
    return [text.decode() if isinstance(text, bytes) else str(text) for piece in pieces for text in piece]


def _match(model: keras.Model, saved: dict, path: Path) -> list[tuple[keras.layers.Layer, list[np.ndarray]]]:
    """Pairs the model's layers with their arrays, or raises WeightsError with everything that does not fit."""
    layers = {layer.name: layer for layer in walk(model) if layer.weights and not layer.name.endswith(GROUP_SUM)}
    faults, loaded = [], []
    for name, datasets in saved.items():
        if name.endswith(GROUP_SUM):
            faults += _check_group_sum(name, datasets)
        elif name not in layers:
            faults.append(f"extra layer {name}")
    for name, layer in layers.items():
        if name not in saved:
            faults.append(f"missing layer {name}")
            continue
        arrays, wrong = _arrays(layer, saved[name])
        faults += wrong
        loaded.append((layer, arrays))
    if faults:
        more = f"; and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
        raise WeightsError(f"{path} does not fit {model.name}: {'; '.join(faults[:FAULTS_SHOWN])}{more}")
    return loaded


def _arrays(layer: keras.layers.Layer, datasets: dict) -> tuple[list[np.ndarray], list[str]]:
    """A layer's arrays in Keras's order, and what is wrong with them.

    By the weights' names where the file uses Keras's ("conv1_bn/gamma:0"); some old files do not, and have their order.
    """
    if len(datasets) != len(layer.weights):
        return [], [f"layer {layer.name}: expected {len(layer.weights)} weights, the file has {len(datasets)}"]
    by_name = {key.rpartition("/")[2].partition(":")[0]: dataset for key, dataset in datasets.items()}
    names = [variable.name for variable in layer.weights]
    in_order = [by_name[name] for name in names] if by_name.keys() == set(names) else list(datasets.values())
    arrays, wrong = [], []
    for variable, dataset in zip(layer.weights, in_order, strict=True):
        if dataset.shape != variable.shape:
            wrong.append(f"{variable.path}: expected shape {tuple(variable.shape)}, the file has {dataset.shape}")
            continue
        arrays.append(np.asarray(dataset, variable.dtype))
        if not np.isfinite(arrays[-1]).all():
            wrong.append(f"{variable.path}: has values that are not finite")
    return arrays, wrong


def _check_group_sum(name: str, datasets: dict) -> list[str]:
    for dataset in datasets.values():
        filters = dataset.shape[-1] if dataset.ndim == 4 else 0
        if filters % GROUPS or dataset.shape != (1, 1, filters * filters // GROUPS, filters):
            return [f"{name}: shape {dataset.shape} is not that of a sum inside {GROUPS} groups"]
        if not np.array_equal(dataset, group_sum_kernel(filters)):
            return [f"{name}: not the kernel of zeros and ones that sums inside {GROUPS} groups"]
    return []
