"""Loads a model's weights: the published ones, a file of their layout, or synthetic ones."""

import hashlib
import re
from pathlib import Path
from typing import TypedDict
from unittest import mock

import numpy as np

from kerasrun_export import download, efficientnet_lite0, files, synthetic
from kerasrun_export.backend import keras
from kerasrun_export.errors import WeightsError
from kerasrun_export.layers import walk
from kerasrun_export.weights_file import assign, load_file

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


class WeightsInfo(TypedDict):
    """Where weights came from, "imagenet", "synthetic:0" or a file's name, and the SHA-256 of the
    file; where they were drawn, of the arrays in layer order.
    """

    source: str
    sha256: str


def load(
    model: keras.Model, spec: str, *, architecture: str, mode: str, mirror: str | None = None
) -> WeightsInfo:
    """Gives the model its weights.

    spec: "none", those that it has; "imagenet", the published ones; "synthetic" or "synthetic:N", a
        deterministic draw (see kerasrun_export.synthetic); or the path of a file: of the published
        layout, which is loaded by layer name and must fit exactly, or a .weights.h5 that Keras 3's
        save_weights wrote of the same architecture.
    mode: the preprocessing with which synthetic weights are calibrated.
    mirror: another base address for the published files.

    Raises WeightsError, and of it UnreachableError where the published file cannot be had from its
    server.
    """
    if spec == "none":
        return {"source": spec, "sha256": hash_arrays(model)}
    if spec == "imagenet":
        path = _published(model, architecture, mirror)
        return {"source": spec, "sha256": download.hash_file(path, like="sha256")}
    if match := re.fullmatch(r"synthetic(?::(\d{1,9}))?", spec):
        number = int(match[1] or 0)
        synthetic.draw(model, number, mode)
        return {"source": f"synthetic:{number}", "sha256": hash_arrays(model)}
    path = Path(spec)
    if not path.exists():
        raise WeightsError(
            f"unknown weights {spec!r}: expected none, imagenet, synthetic, synthetic:N or an "
            "existing .h5 file"
        )
    files.check(path, files.MODEL)
    load_file(model, path)
    return {"source": path.name, "sha256": download.hash_file(path, like="sha256")}


def hash_arrays(model: keras.Model) -> str:
    """The SHA-256 of a model's weights, in layer order, in hexadecimal."""
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def _published(model: keras.Model, architecture: str, mirror: str | None) -> Path:
    """Downloads and loads the ImageNet weights, and returns their file."""
    if architecture == efficientnet_lite0.NAME:
        return efficientnet_lite0.load_published(model, mirror)
    top = getattr(model.layers[-1], "activation", None) is keras.activations.softmax
    if architecture in MD5:
        name = f"{architecture}_weights_tf_dim_ordering_tf_kernels{'' if top else '_notop'}.h5"
        path = download.fetch(_join(mirror or RELEASE, name), MD5[architecture][0 if top else 1])
        load_file(model, path)
        return path
    if callable(getattr(keras.applications, architecture, None)):
        return _published_application(model, architecture, top, mirror)
    raise WeightsError(f"{architecture}: no imagenet weights are published for it")


def _published_application(
    model: keras.Model, architecture: str, top: bool, mirror: str | None
) -> Path:
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
        assign(layer, other.get_weights())
    _fold_rescaling(model, twin)
    return fetched[-1]


def _fold_rescaling(model: keras.Model, twin: keras.Model) -> None:
    """Puts into our EfficientNet's normalisation the division by the square root of the deviation
    that Keras builds after it for imagenet weights alone.
    """
    kind = keras.layers.Rescaling
    ours, theirs = ([layer for layer in walk(m) if isinstance(layer, kind)] for m in (model, twin))
    if len(theirs) > len(ours):
        normalization = next(
            layer for layer in walk(model) if isinstance(layer, keras.layers.Normalization)
        )
        mean, variance, *rest = normalization.get_weights()
        assign(normalization, [mean, variance / np.square(theirs[-1].scale), *rest])


def _join(base: str, name: str) -> str:
    return f"{base.rstrip('/')}/{name}"
