"""Loads weights files: of the published layout, which is Keras 2's, and of Keras 3."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from kerasrun_export import hdf5, scratch
from kerasrun_export.backend import keras
from kerasrun_export.errors import WeightsError, paragraph
from kerasrun_export.group_sum import GCONV_SUFFIX, GROUPS, group_sum_kernel
from kerasrun_export.layers import walk

FAULTS_SHOWN = 8


def load_file(model: keras.Model, path: Path) -> None:
    """Loads a file of the published layout, which Keras 2 saved, by layer name, or a .weights.h5
    that save_weights of Keras 3 wrote of the same architecture.

    Every layer of the model must be in the file and the other way round, each with its weights in
    their shapes: otherwise WeightsError names what is wrong and the model is left as it was.
    """
    try:
        with hdf5.opened(path) as file:
            if _is_keras_3(file):
                _load_keras_3(model, file, path)
                return
            loaded = match(model, dict(_read(file, path)), path)
    except WeightsError:
        raise
    # h5py's, for what is cut off or damaged.
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not a readable HDF5 file: {paragraph(error)}") from error
    for layer, arrays in loaded:
        assign(layer, arrays)


def _is_keras_3(file: h5py.File) -> bool:
    """Whether save_weights of Keras 3 wrote it: groups of layers, their weights by number."""
    return "layers" in file and not any(key.startswith("layer_names") for key in file.attrs)


def _load_keras_3(model: keras.Model, file: h5py.File, path: Path) -> None:
    """Lets Keras load it, then looks whether every weight was: of what it does not find it only
    warns, and of what is too much it says nothing.
    """
    saved = []
    file.visititems(
        lambda name, item: saved.append(name) if isinstance(item, h5py.Dataset) else None
    )
    saved = [name for name in saved if not name.startswith(("optimizer/", "seed_generator"))]
    before = model.get_weights()
    model.set_weights([np.full_like(w, np.nan) if w.dtype.kind == "f" else w for w in before])
    try:
        with scratch.directory() as directory:
            link = directory / "model.weights.h5"  # the name by which Keras tells the layout
            link.symlink_to(path.resolve())
            model.load_weights(link)
        missing = [w.path for w in model.weights if np.isnan(np.asarray(w, np.float64)).all()]
        if missing or len(saved) != len(before):
            shown = f"; nothing for {missing[0]}" if missing else ""
            raise ValueError(f"got {len(saved)} weights for {len(before)}{shown}")
    except Exception as error:  # Keras raises whatever its parts raise
        model.set_weights(before)
        raise WeightsError(
            f"{path}: expected the weights of the same {model.name}: {paragraph(error)}"
        ) from error


def _read(file: h5py.File, path: Path) -> Iterator[tuple[str, dict[str, h5py.Dataset]]]:
    """The layers that have weights, in the file's order: name, and weights by name."""
    group = file.get("model_weights", file)
    names = _attribute(group, "layer_names")
    if names is None:
        raise WeightsError(
            f"{path}: expected the published layout (Keras 2, by layer name), found no "
            "layer_names; nor is it what save_weights of Keras 3 writes"
        )
    for name in names:
        if name not in group:
            raise WeightsError(f"{path}: names layer {name}, which is not there")
        datasets = {}
        for weight in _attribute(group[name], "weight_names") or []:
            if not isinstance(group[name].get(weight), h5py.Dataset):
                raise WeightsError(
                    f"{path}: layer {name} names weight {weight}, which is not there"
                )
            datasets[weight] = group[name][weight]
        if datasets:
            yield name, datasets


def _attribute(group: h5py.Group, name: str) -> list[str] | None:
    """A list of strings, which Keras cuts in pieces (name0, name1, ...) where it is too long for an
    HDF5 attribute.
    """
    pieces = [group.attrs[name]] if name in group.attrs else []
    while name not in group.attrs and f"{name}{len(pieces)}" in group.attrs:
        pieces.append(group.attrs[f"{name}{len(pieces)}"])
    if not pieces:
        return None
    return [
        text.decode() if isinstance(text, bytes) else str(text)
        for piece in pieces
        for text in piece
    ]


def match(
    model: keras.Model, saved: dict, path: Path
) -> list[tuple[keras.layers.Layer, list[np.ndarray]]]:
    """Pairs the model's layers with their arrays, or raises WeightsError with everything that does
    not fit. saved: by layer and by weight, HDF5 datasets or arrays.
    """
    layers = {
        layer.name: layer
        for layer in walk(model)
        if layer.weights and not layer.name.endswith(GCONV_SUFFIX)
    }
    faults, loaded = [], []
    for name, datasets in saved.items():
        if name.endswith(GCONV_SUFFIX):
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
        raise WeightsError(
            f"{path} does not fit {model.name}: {'; '.join(faults[:FAULTS_SHOWN])}{more}"
        )
    return loaded


def _arrays(layer: keras.layers.Layer, datasets: dict) -> tuple[list[np.ndarray], list[str]]:
    """A layer's arrays in Keras's order, and what is wrong with them.

    By the weights' names where the file uses Keras's ("conv1_bn/gamma:0"); some old files do not,
    and have their order.
    """
    if len(datasets) != len(layer.weights):
        return [], [
            f"layer {layer.name}: expected {len(layer.weights)} weights, the file has "
            f"{len(datasets)}"
        ]
    by_name = {
        key.rpartition("/")[2].partition(":")[0]: dataset for key, dataset in datasets.items()
    }
    names = [variable.name for variable in layer.weights]
    in_order = (
        [by_name[name] for name in names]
        if by_name.keys() == set(names)
        else list(datasets.values())
    )
    arrays, wrong = [], []
    for variable, dataset in zip(layer.weights, in_order, strict=True):
        if dataset.shape != variable.shape:
            wrong.append(
                f"{variable.path}: expected shape {tuple(variable.shape)}, the file has "
                f"{dataset.shape}"
            )
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


def assign(layer: keras.layers.Layer, arrays: list[np.ndarray]) -> None:
    """Sets a layer's weights, in Keras's order."""
    layer.set_weights(arrays)
    if isinstance(layer, keras.layers.Normalization):  # which computes with copies of its weights
        layer.finalize_state()
