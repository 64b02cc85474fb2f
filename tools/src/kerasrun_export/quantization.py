"""Quantizes a model to int8 on the user's images, and measures how it then answers."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasrun_export import calibration, manifest, node_names, quantized_graph, rewrite, serving
from kerasrun_export.calibration import Batch
from kerasrun_export.comparison import batches, class_of
from kerasrun_export.contract import Input, Output
from kerasrun_export.errors import ChoiceError, QuantizationError
from kerasrun_export.graph import Graph
from kerasrun_export.integers import Integers
from kerasrun_export.outputs import CLASSES, DEFAULT
from kerasrun_export.pack import Predict
from kerasrun_export.reference import Reference
from kerasrun_export.running import Running

DIRECTORY = Path("int8")
MIN_TOP1 = 0.99
FEW = 20  # images; where there are fewer, all calibrate and all are measured
MOST = 256  # that calibrate
BEST = 5
WORST = 3  # classes that an error names


@dataclass(frozen=True)
class Parity:
    """How the quantized graph answers images, against Keras.

    held_out: whether none of them calibrated. top1: the share that keeps Keras's class. top5: the
    share whose Keras class is among the five best. largest, mean, p99: over the images, of each
    image's largest difference of a probability. classes: by Keras's class, (images, top1).
    """

    images: int
    held_out: bool
    top1: float
    top5: float
    largest: float
    mean: float
    p99: float
    classes: dict[int, tuple[int, float]]

    def to_json(self) -> dict:
        classes = {
            str(key): {"images": images, "top1": top1}
            for key, (images, top1) in self.classes.items()
        }
        return {
            "images": self.images,
            "held_out": self.held_out,
            "top1": self.top1,
            "top5": self.top5,
            "max": self.largest,
            "mean": self.mean,
            "p99": self.p99,
            "classes": classes,
        }


@dataclass(frozen=True)
class Quantized:
    """A quantized graph, and what the manifest says of it.

    reference: computes it in whole numbers. simulation: TensorFlow's answers, in float32.
    """

    graph: Graph
    reference: Reference
    simulation: Predict
    calibration: str
    calibration_images: int
    images_sha256: str
    float_layers: tuple[str, ...]
    parity: Parity

    def to_json(self) -> dict:
        return {
            "calibration": self.calibration,
            "calibration_images": self.calibration_images,
            "images_sha256": self.images_sha256,
            "float_layers": list(self.float_layers),
            "parity": self.parity.to_json(),
        }


def check(served: serving.Served, found: Sequence[Output], answer: str) -> Output:
    """The output that answers an image. Raises ChoiceError where it gives no classes, or the
    model's batch is fixed.
    """
    output = next((each for each in found if each.name == answer), None)
    if output is None or output.kind not in CLASSES:
        kind = output.kind if output else "no output that answers an image"
        raise ChoiceError(
            f"--quantize int8: expected a model that classifies images ({', '.join(CLASSES)}), got "
            f"{kind}: how far it is from Keras is measured in classes"
        )
    if any(spec.shape[0] != -1 for spec in served.inputs):
        raise ChoiceError(
            "--quantize int8: expected a model whose batch is free, got the shapes "
            f"{', '.join(str(spec.shape) for spec in served.inputs)}"
        )
    return output


def quantize(
    served: serving.Served,
    expected: Reference,
    inputs: Sequence[Input],
    paths: Sequence[Path],
    answer: Output,
    min_top1: float,
    names: Sequence[Sequence[str]] | None,
) -> Quantized:
    """The model quantized on images.

    answer: the output that answers an image. min_top1: the share of images that have to keep their
    top class. names: of the classes, for what an error says.

    Raises QuantizationError where fewer do, GraphError where the model has no graph to rewrite.
    """
    graph = serving.frozen(served)
    rewrite.optimize(graph)
    node_names.rename(graph, served.model.name, served.layers)
    if not quantized_graph.layers(graph):
        raise QuantizationError(
            "--quantize int8: expected convolutions or dense layers in float32, got none"
        )
    ordered = by_digest(paths)
    few = len(ordered) < FEW
    count = len(ordered) if few else min(len(ordered) // 2, MOST)
    calibrating = list(ordered.values())[:count]
    measured = calibrating if few else list(ordered.values())[count:]
    taken = [Batch(x, expected.predict(x)) for x in batches(inputs, calibrating)]
    chosen = calibration.choose(
        graph,
        taken,
        answer.name,
        lambda values: class_of(probabilities(values, answer)),
        min_top1,
    )
    keys = served.signatures[DEFAULT]
    integers = Integers(chosen.graph, keys)
    simulated = Running(chosen.graph)
    about = f"int8 in numpy, of {expected.description}"
    versions = expected.versions | {"numpy": np.__version__}
    found = Quantized(
        chosen.graph,
        Reference(about, versions, integers.predict),
        lambda tensors: simulated.predict(tensors, keys),
        chosen.method,
        count,
        hashlib.sha256("".join(list(ordered)[:count]).encode()).hexdigest(),
        chosen.float_layers,
        parity(integers, expected, inputs, measured, answer, not few),
    )
    if found.parity.top1 < min_top1:
        raise QuantizationError(refusal(found, min_top1, names))
    return found


def by_digest(paths: Sequence[Path]) -> dict[str, Path]:
    """The images by the SHA-256 of their files, in that order: it parts them by no name or folder,
    and the same image is there once.
    """
    found = {manifest.sha256(path): path for path in paths}
    return dict(sorted(found.items()))


def parity(
    integers: Integers,
    expected: Reference,
    inputs: Sequence[Input],
    paths: Sequence[Path],
    answer: Output,
    held_out: bool,
) -> Parity:
    """How the whole numbers answer images, against Keras."""
    off, same, among, classes = [], [], [], []
    for tensors in batches(inputs, paths):
        want = probabilities(expected.predict(tensors)[answer.name], answer)
        got = probabilities(integers.predict(tensors)[answer.name], answer)
        off.append(np.abs(got - want).max(axis=1))
        top = class_of(want)
        same.append(class_of(got) == top)
        best = np.argsort(-got, axis=1, kind="stable")[:, :BEST]
        among.append((best == top[:, np.newaxis]).any(axis=1) if got.shape[1] > 1 else same[-1])
        classes.append(top)
    off, same, among, classes = (np.concatenate(x) for x in (off, same, among, classes))
    return Parity(
        len(off),
        held_out,
        float(same.mean()),
        float(among.mean()),
        float(off.max()),
        float(off.mean()),
        float(np.quantile(off, 0.99)),
        {
            int(key): (count, float(same[classes == key].mean()))
            for key, count in sorted(Counter(classes.astype(int).tolist()).items())
        },
    )


def probabilities(values: np.ndarray, answer: Output) -> np.ndarray:
    """Of an output's numbers, in float64: of logits what their activation makes of them."""
    values = values.astype(np.float64)
    if answer.kind != "logits":
        return values
    if answer.activation == "sigmoid":
        return 1 / (1 + np.exp(-values))
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def refusal(found: Quantized, min_top1: float, names: Sequence[Sequence[str]] | None) -> str:
    """What is wrong with a graph that too few images keep their class in, and what to try."""
    measured = found.parity
    worst = sorted(measured.classes.items(), key=lambda item: (item[1][1], -item[1][0]))[:WORST]
    # An index where a class has no name; of a single sigmoid the two are its sides.
    words = [
        f"{(names[key][-1] if names and key < len(names) else '') or key} "
        f"{round(images * top1)} of {images}"
        for key, (images, top1) in worst
        if top1 < 1
    ]
    kept = round(measured.top1 * measured.images)
    tries = ["more images of what the model will see, of every class"]
    tries += [] if measured.held_out else [f"at least {FEW}, a few hundred are better"]
    return (
        f"--quantize int8: {kept} of {measured.images} images keep Keras's class "
        f"({measured.top1:.4g}), expected {min_top1:.4g} of them; probabilities are up to "
        f"{measured.largest:.2g} away. The worst classes: {', '.join(words)}. Calibrated on "
        f"{found.calibration_images} images ({found.calibration}), "
        f"{len(found.float_layers)} layers left in float32. Nothing is written. Try "
        f"{'; '.join(tries)}; --min-top1 {measured.top1 - 0.005:.2f}, if that is enough for you; "
        "or kerasrun's --precision bf16, which needs no images"
    )


def summary(stored: dict) -> str:
    """What the manifest says of the quantization, in words."""
    measured = stored["parity"]
    where = "held out of calibration" if measured["held_out"] else "that calibrated it too"
    left = ", ".join(stored["float_layers"]) or "none"
    return (
        f"Keras's class on {measured['top1']:.2%} of {measured['images']} images {where}; "
        f"probabilities at most {measured['max']:.2g} away, {measured['p99']:.2g} on 99 % of them; "
        f"{stored['calibration']} on {stored['calibration_images']} images; layers left in "
        f"float32: {left}"
    )
