"""Finds the contract that a user's own Python follows: which steps make the tensors that it feeds.

The function is run on the user's images; what reaches the model is recorded; the contracts that
make the same tensors in every bit are searched for. Where several do, images are made that tell
them apart, and the function is run on these.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from kerasrun_export import image_files, model_file, probes, scratch
from kerasrun_export.backend import keras
from kerasrun_export.choices import INPUT_KINDS
from kerasrun_export.contract import MODES, Input, Preprocessing
from kerasrun_export.errors import FindError
from kerasrun_export.feeds import Fed, Predict, Target, feed, same
from kerasrun_export.inputs import layout_of
from kerasrun_export.search import Feed, Nearest, Search
from kerasrun_export.signature import identifier, takes
from kerasrun_export.words import words

# What the numbers of kerasrun-export do, in their order.
FLAGS = {
    "scale": "multiply",
    "divide": "divide",
    "offset": "add",
    "mean": "subtract",
    "std": "divide",
}


@dataclass(frozen=True)
class Found:
    """What was found.

    inputs: the model's, the images' with their contract. images: how many it was held against.
    difference: the largest of the tensors' numbers; 0: every bit is the same. equivalent: other
    contracts that make the same tensors, of the user's images and of those made to tell them apart.
    image_size: (height, width) that every image was brought to where the model's own is free.
    unlike: in words, kinds of files that were tried besides, of which the function makes something
    else than the contract does.
    """

    inputs: tuple[Input, ...]
    images: int
    difference: float
    equivalent: tuple[Preprocessing, ...]
    image_size: tuple[int, int] | None
    unlike: tuple[str, ...] = ()


class NoContractError(FindError):
    """No contract makes the tensors; `nearest` says which comes nearest."""

    def __init__(self, message: str, nearest: Nearest) -> None:
        super().__init__(message)
        self.nearest = nearest


def find_contract(
    predict: Predict,
    images: str | os.PathLike | Sequence[str | os.PathLike],
    model: keras.Model | str | os.PathLike | None = None,
    *,
    accept: float = 0.0,
    input_kinds: Mapping[str, str] | None = None,
    custom_objects: str | None = None,
    unsafe_lambda: bool = False,
) -> Found:
    """Finds the contract by which a function makes tensors of image files.

    predict: the user's own function: takes the path of one image, calls the model on it. What it
        returns does not matter.
    images: a directory, or paths.
    model: the model that it calls, live or as its file; needed where it calls several.
    accept: the largest difference of a tensor's numbers that is accepted where none is exact.
    input_kinds: by name, "image" or "tensor" of an input of which neither its shape nor what it is
        fed tells.
    custom_objects, unsafe_lambda: of the model's file, as kerasrun-export takes them.

    Raises NoContractError where no contract is exact, or near enough; FindError where several are
    and nothing tells them apart, or the function fails.
    """
    paths = image_paths(images)
    if isinstance(model, (str, os.PathLike)):
        model = model_file.load(
            str(model), custom_objects=custom_objects, unsafe_lambda=unsafe_lambda
        )
    target = Target(model)
    fed = [feed(predict, target, path) for path in paths]
    if not same(fed[0].inputs, feed(predict, target, paths[0]).inputs):
        raise FindError(
            f"{paths[0]}: expected the same tensor each time, got two that differ: the function "
            "does something at random (augmentation, noise, dropout), which no contract says"
        )
    names = serving_names(fed[0].model, list(fed[0].inputs))
    kinds = _kinds(input_kinds or {}, names)
    inputs, others, unlike, largest = [], [], [], 0.0
    for name in fed[0].inputs:
        searched = _input(fed, name, kinds.get(names[name]))
        if searched.kind == "image":
            search = Search(searched)
            feeds = [Feed(path, one.inputs[name]) for path, one in zip(paths, fed, strict=True)]
            found = search.exact(feeds)
            if not found and searched.layout == "NHW" and names[name] not in kinds:
                raise FindError(_unknown(names[name], searched.shape))
            if not found:
                nearest = search.nearest(feeds)
                if nearest.largest > accept:
                    raise NoContractError(_none(nearest, len(paths)), nearest)
                found, largest = [nearest.preprocessing], max(largest, nearest.largest)
            elif len(found) > 1:
                found = _told_apart(search, found, predict, target, name, paths[0])
            searched = search.input_of(found[0])
            others += found[1:]
            unlike += _unlike(search, found[0], predict, target, name, paths[0], accept)
        inputs.append(replace(searched, name=names[name]))
    if all(one.kind == "tensor" for one in inputs):
        raise FindError(
            f"expected an input of images, (height, width, channels), got "
            f"{ {one.name: one.shape for one in inputs} }"
        )
    size = _image_size(fed[0].model, inputs)
    return Found(tuple(inputs), len(paths), largest, tuple(others), size, tuple(unlike))


def _kinds(kinds: Mapping[str, str], names: Mapping[str, str]) -> Mapping[str, str]:
    """The kinds that are said, checked."""
    for name, kind in kinds.items():
        if name not in names.values() or kind not in INPUT_KINDS:
            raise FindError(
                f"--input {name}={kind}: expected an input of {', '.join(names.values())} and one "
                f"of {', '.join(INPUT_KINDS)}"
            )
    return kinds


def _unknown(name: str, shape: Sequence[int]) -> str:
    return (
        f"no contract makes the tensors of the input {name} {tuple(shape)}, and its shape may be "
        "that of grey images and that of anything else, as a sequence of rows: expected to be told "
        f"which it is. --input {name}=tensor looks for no contract of it, --input {name}=image "
        "says which contract comes nearest"
    )


def _unlike(
    search: Search,
    how: Preprocessing,
    predict: Predict,
    target: Target,
    name: str,
    image: Path,
    accept: float,
) -> list[str]:
    """Kinds of files of which the function makes another tensor than the contract, in words.

    What either does not take is none of them.
    """
    found = []
    with scratch.directory() as directory:
        for probe in probes.kinds(image, search.input.size, directory):
            made = search.make(how, probe.image)
            try:
                tensor = feed(predict, target, probe.image).inputs[name]
            except FindError:
                continue
            if made is None:
                continue
            near = made.shape == tensor.shape and np.allclose(made, tensor, rtol=0, atol=accept)
            if not near:
                found.append(probe.words)
    return found


def _image_size(model: object, inputs: Sequence[Input]) -> tuple[int, int] | None:
    free = {spec.name for spec in takes(model).inputs if -1 in spec.shape[1:]}
    sizes = {one.size for one in inputs if one.kind == "image" and one.name in free}
    return sizes.pop() if len(sizes) == 1 and -1 not in min(sizes) else None


def serving_names(model: object, names: Sequence[str]) -> dict[str, str]:
    """What the SavedModel calls the inputs that Keras calls `names`."""
    specs = takes(model).inputs
    if len(specs) != len(names):
        return {name: name for name in names}
    if all(identifier(name) in {spec.name for spec in specs} for name in names):
        return {name: identifier(name) for name in names}
    return {name: spec.name for name, spec in zip(names, specs, strict=True)}


def image_paths(images: str | os.PathLike | Sequence[str | os.PathLike]) -> list[Path]:
    """The images of a directory and of those inside it, or the paths as they are."""
    if isinstance(images, (str, os.PathLike)):
        return image_files.below(Path(images))
    paths = [Path(path) for path in images]
    if not paths:
        raise FindError("expected paths of images, got none")
    return paths


def _input(fed: Sequence[Fed], name: str, said: str | None) -> Input:
    """The input as the model takes it, without a contract. said: its kind."""
    tensors = [one.inputs[name] for one in fed]
    shape = _shape(fed[0].model, name, tensors)
    dtype = tensors[0].dtype.name
    layout = layout_of("float32", shape) if said != "tensor" else None
    if layout == "NHW" and said is None and _constant(tensors):
        layout = None  # whatever the image, as a state to begin with
    if layout is None and said == "image":
        raise FindError(
            f"--input {name}=image: expected a tensor of 1, 3 or 4 channels, or of none, got "
            f"{shape}"
        )
    if layout is None:
        kind = "encoded" if dtype.startswith(("str", "bytes", "object")) else "tensor"
        return Input(name, kind, "string" if kind == "encoded" else dtype, shape)
    return Input(name, "image", dtype, shape, layout)


def _shape(model, name: str, tensors: Sequence[np.ndarray]) -> tuple[int, ...]:
    """With the batch. A size that the model leaves free is what every image was brought to; it
    stays free where images kept their own."""
    names = list(getattr(model, "input_names", None) or [])
    known = getattr(model, "inputs", None) or []
    names = names or [tensor.name for tensor in known]
    if name in names:
        shape = [-1 if side is None else int(side) for side in known[names.index(name)].shape]
    else:
        shape = [-1] * (tensors[0].ndim + 1)
    fed = [tensor.shape for tensor in tensors]
    sides = [sizes[0] if len(set(sizes)) == 1 else -1 for sizes in zip(*fed, strict=True)]
    return (-1 if shape[0] is None else shape[0], *sides)


def _constant(tensors: Sequence[np.ndarray]) -> bool:
    """Whether every image is fed the same, or but one number."""
    same = len(tensors) > 1 and all(np.array_equal(one, tensors[0]) for one in tensors[1:])
    return same or all(np.ptp(one) == 0 for one in tensors)


def _told_apart(
    search: Search,
    found: Sequence[Preprocessing],
    predict: Predict,
    target: Target,
    name: str,
    image: Path,
) -> list[Preprocessing]:
    """Those of the contracts that also make the tensors of images made for this.

    Raises FindError where such an image would tell them apart, but the function does not take it.
    """
    found, untold = list(found), []
    with scratch.directory() as directory:
        for probe in probes.make(image, search.input.size, directory):
            made = [search.make(how, probe.image) for how in found]
            if all(np.array_equal(one, made[0]) for one in made[1:]):
                continue
            try:
                fed = Feed(probe.image, feed(predict, target, probe.image).inputs[name])
                left = [how for how in found if search.makes(how, fed)]
                reason = "which makes of it what no contract does"
            except FindError as error:
                left, reason = [], f"which fails on it: {error}"
            if left:
                found = left
            elif probe.needed:
                untold.append((probe, reason))
    for probe, reason in untold:
        with scratch.directory() as directory:
            again = probes.make(image, search.input.size, directory)
            path = next(one.image for one in again if one.words == probe.words)
            made = [search.make(how, path) for how in found]
        if not all(np.array_equal(one, made[0]) for one in made[1:]):
            listed = "; ".join(words(how) for how in found)
            raise FindError(
                f"{len(found)} contracts make the same tensors of your images, and differ on "
                f"{probe.words}, {reason}. Add such an image to yours, or export with the one that "
                f"is meant: {listed}"
            )
    return found


def _none(nearest: Nearest, images: int) -> str:
    stage = {
        "decode": "the decoded image is another (its decoder, or something done to its colours)",
        "resize": "the image is cut, turned or resized in another way, or something is done to it "
        "afterwards",
        "normalize": "the pixels are the same, the arithmetic on them is not",
    }[nearest.stage]
    return (
        f"no contract makes the tensors of all {images} images. The nearest is: "
        f"{words(nearest.preprocessing)}. It differs by up to {nearest.largest:.6g}, on average "
        f"{nearest.mean:.3g}, most on {nearest.image}; by stage {nearest.stage}: {stage}. Change "
        f"the function, or take the nearest as it is: --accept {_up(nearest.largest)}"
    )


def _up(value: float) -> str:
    """A short number that is not smaller."""
    for digits in range(2, 18):
        text = f"{value:.{digits}g}"
        if float(text) >= value:
            return text
    return repr(value)


def difference_image(nearest: Nearest) -> Image.Image:
    """The difference as an image: black where there is none, white where it is the largest."""
    difference = np.abs(nearest.difference).max(axis=-1)
    top = difference.max() or 1.0
    return Image.fromarray(np.round(255 * difference / top).astype(np.uint8))


def export_command(model: str, found: Found, contract: str) -> str:
    """The line that exports the model with what was found; contract: the file that says it."""
    flags = []
    for one in found.inputs:
        if len(one.shape) == 3 and len(found.inputs) > 1:
            flags += ["--input", f"{one.name}={one.kind}"]
        if one.kind == "image":
            flags += _flags(one) or ["--contract", contract]
    if found.image_size:
        flags += ["--image-size", "x".join(map(str, found.image_size))]
    return shlex.join(["kerasrun-export", model, *flags, "--out", "exported"])


def _flags(one: Input) -> list[str] | None:
    """The flags that say an input's contract; None where none do."""
    numbers = _numbers(one)
    if numbers is None:
        return None
    decode, resize = one.decode, one.resize
    flags = ["--decoder", decode.by, "--color", decode.color]
    if resize.fit != "none":
        flags += ["--resample", f"{resize.by}:{resize.method}"]
    flags += ["--fit", resize.fit.replace("_", "-")]
    if resize.antialias:
        flags.append("--antialias")
    if resize.short_side:
        flags += ["--short-side", str(resize.short_side)]
    if resize.fill:
        flags += ["--fill", repr(resize.fill)]
    return [*flags, "--exif" if decode.exif else "--no-exif", *numbers]


def _numbers(one: Input) -> list[str] | None:
    """The flags of the arithmetic; None where it is in float64, or in an order that has none."""
    if one.normalize.dtype != "float32":
        return None
    for mode, steps in MODES.items():
        if one.normalize.steps == steps and (mode != "caffe" or one.decode.color == "bgr"):
            return ["--mode", mode]
    flags, order = [], list(FLAGS)
    for step in one.normalize.steps:
        while order and FLAGS[order[0]] != step.op:
            order.pop(0)
        if not order:
            return None
        text = ",".join(f"{x:.17g}" if x != round(x, 9) else f"{x:.9g}" for x in step.values)
        flags.append(f"--{order.pop(0)}={text}")
    return flags
