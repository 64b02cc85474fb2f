"""Exports a Keras model as a SavedModel directory that carries its own contract.

python -m tools.export --out models/resnext50
python -m tools.export --architecture MobileNetV2 --weights imagenet --out models/mobilenet
python -m tools.export --architecture my.keras --trained-with tf --labels my.txt --out models/mine
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tools import flops, golden, manifest, names, photos, recipe, rewrite, serving, weights
from tools.backend import keras, tf
from tools.model import MODE_NEEDED, MODES, is_file, preprocess
from tools.reference import Reference, reference

IMAGENET_LABELS = Path(__file__).with_name("imagenet_class_index.json")
TOLERANCE, LOGITS_TOLERANCE = 1e-5, 1e-4  # probabilities: absolute; else relative to the picture's largest
EMBEDDED = ("astronaut.png", "cat.jpg", "coffee.jpg", "flower.webp")
EMBEDDED_SIDE = 160  # pixels: four pictures of this size and their arrays stay under 1.5 MB for an input of 224 x 224


class ExportError(ValueError):
    """The directory cannot be written. The message is one line for the user."""


ERRORS = (ExportError, golden.GoldenError, *recipe.ERRORS, OSError)


def export(
    chosen: recipe.Recipe,
    out: Path,
    *,
    literal: bool = False,
    labels: Path | None = None,
    mirror: str | None = None,
) -> dict:
    """Writes the directory, checked against the reference, and returns its manifest's fields.

    literal: the graph as Keras builds it, with variables, in place of the rewritten one.
    mirror: another base address for the published weights.
    Where it fails nothing is left behind and what was there stays.
    """
    check_replaceable(out)
    loaded = chosen.load(mirror)
    height, width = loaded.size
    label_bytes = read_labels(labels, loaded)
    served = serving.trace(loaded.model, loaded.mode, loaded.headless)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        directory = Path(scratch) / out.name
        write_graph(served, directory, literal)
        expected = reference(loaded.model, loaded.mode, loaded.headless)
        difference = compare(expected, directory, (height, width))
        contract = manifest.input_contract(height, width)
        extra = directory / manifest.LABELS.parent
        extra.mkdir(exist_ok=True)
        if label_bytes:
            (directory / manifest.LABELS).write_bytes(label_bytes)
        embed_goldens(directory, expected, contract, f"python -m tools.export {chosen.flags()}")
        fields = {
            "architecture": chosen.architecture,
            "graph": "reference" if literal else "optimized",
            "precision": "float32",
            "parameters": flops.parameters(loaded.model),
            "flops": flops.count(loaded.model),
            "weights": loaded.weights,
            "trained_with": loaded.mode,
            "conversion": serving.CONVERSIONS[loaded.mode],
            "reference_difference": difference,
            "input": contract,
            "outputs": served.signatures,
            "labels": manifest.LABELS.as_posix() if label_bytes else "",
            "goldens": manifest.GOLDENS.as_posix(),
            "recipe": chosen.to_manifest(),
        }
        manifest.write(directory, fields)
        replace(directory, out)
    return fields


def write_graph(served: serving.Served, directory: Path, literal: bool) -> None:
    """Writes the SavedModel alone, of the literal graph or of the rewritten one."""
    if literal:
        serving.write_reference(served, directory)
        return
    graph = serving.frozen(served)
    rewrite.optimize(graph)
    names.rename(graph, served.model.name, served.layers)
    serving.write_rewritten(graph, served.signatures, directory)


def compare(expected: Reference, directory: Path, size: tuple[int, int]) -> float:
    """Holds a written directory against the reference on the sample photographs; ExportError above the tolerance.

    Returns the largest difference: of probabilities where there are any, else relative to the picture's largest.
    """
    pictures = np.stack([np.asarray(keras.utils.load_img(path, target_size=size)) for path in photos.paths()])
    want = expected.predict(pictures)
    try:
        got = serving.run(directory, preprocess(pictures, "caffe"))
    except tf.errors.OpError as error:
        reason = error.message.replace("Graph execution error:", "").strip().splitlines()
        raise ExportError(
            f"TensorFlow cannot run the graph: {' '.join(line.strip() for line in reason[:3])}"
        ) from error
    differences = {key: largest_difference(got[key], value, relative=key != "probs") for key, value in want.items()}
    for key, difference in differences.items():
        allowed = LOGITS_TOLERANCE if key == "logits" else TOLERANCE
        if not difference <= allowed:  # NaN too
            raise ExportError(f"{key}: differ by {difference:.2g} from {expected.description}, more than {allowed:.0e}")
    return differences.get("probs", max(differences.values()))


def largest_difference(got: np.ndarray, want: np.ndarray, relative: bool) -> float:
    """The largest |got - want| of a batch, each row's divided by its largest |want| where relative."""
    got, want = (values.reshape(len(values), -1).astype(np.float64) for values in (got, want))
    largest = np.abs(want).max(axis=1) if relative else 1.0
    return float((np.abs(got - want).max(axis=1) / np.maximum(largest, np.finfo(np.float32).tiny)).max())


def embed_goldens(directory: Path, expected: Reference, contract: dict, command: str) -> None:
    """Puts a small golden pack, of four of the sample photographs made small, into the directory."""
    with tempfile.TemporaryDirectory() as scratch:
        pictures = []
        for name in EMBEDDED:
            with Image.open(photos.DIRECTORY / name) as image:
                image.thumbnail((EMBEDDED_SIDE, EMBEDDED_SIDE))
                image.save(Path(scratch) / name)
            pictures.append(Path(scratch) / name)
        golden.write(directory / manifest.GOLDENS, expected, contract, pictures, command)


def read_labels(path: Path | None, loaded: recipe.Loaded) -> bytes | None:
    """What labels.json holds: Keras's own file for the ImageNet classes, or the user's labels in that form."""
    classes = loaded.model.output_shape[-1]
    if path is None:
        return IMAGENET_LABELS.read_bytes() if loaded.imagenet_classes else None
    if loaded.headless:
        raise ExportError("--labels: a model without its top has no classes")
    text = path.read_text(encoding="utf-8")
    if text.lstrip().startswith("{"):
        try:
            table = json.loads(text)
            rows = [table[str(i)] for i in range(len(table))]
        except (ValueError, KeyError) as error:
            raise ExportError(f'{path}: expected Keras\'s form, {{"0": ["id", "name"], ...}}: {error!r}') from error
        if not all(isinstance(row, list) and len(row) == 2 and all(isinstance(x, str) for x in row) for row in rows):
            raise ExportError(f'{path}: expected Keras\'s form, {{"0": ["id", "name"], ...}}')
    else:
        rows = [[line.strip()] * 2 for line in text.splitlines() if line.strip()]
    if len(rows) != classes:
        raise ExportError(f"{path}: {len(rows)} labels: expected {classes}, one for each class")
    return json.dumps({str(i): row for i, row in enumerate(rows)}, ensure_ascii=False).encode()


def check_replaceable(out: Path) -> None:
    """Raises ExportError unless the path is free, an empty directory, or an export of ours."""
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir():
        raise ExportError(f"{out}: is there and not a directory")
    if any(out.iterdir()) and not (out / manifest.PATH).is_file():
        raise ExportError(f"{out}: has other files in it; it is replaced only where it is an export ({manifest.PATH})")


def replace(directory: Path, out: Path) -> None:
    """Moves a finished directory into place; whoever looks sees the old one or the new one, or for a moment none."""
    old = directory.with_name("replaced")
    if out.exists():
        os.rename(out, old)
    os.rename(directory, out)
    if old.exists():
        shutil.rmtree(old)


def summary(fields: dict, out: Path) -> str:
    """What was written, as a table."""
    files = json.loads((out / manifest.PATH).read_text(encoding="utf-8"))["files"]
    total, parameters = sum(file["bytes"] for file in files.values()), fields["parameters"]
    outputs = "; ".join(f"{key}: {', '.join(value)}" for key, value in fields["outputs"].items())
    rows = {
        "directory": f"{out}, {total / 1e6:.1f} MB, {total / (4 * parameters):.3f} x the parameters",
        "architecture": fields["architecture"],
        "weights": fields["weights"]["source"],
        "parameters": f"{parameters:,}",
        "FLOPs": f"{fields['flops'] / 1e9:.2f} G an image (a multiply-add counts as two)",
        "graph": fields["graph"],
        "input": "images, {height} x {width}, {mode} style".format(**fields["input"]),
        "trained with": fields["trained_with"] + (f": {fields['conversion']}" if fields["conversion"] else ""),
        "outputs": outputs,
        "difference": f"{fields['reference_difference']:.1e} from Python Keras over {len(photos.paths())} photographs",
    }
    return "\n".join(f"{key:<13} {value}" for key, value in rows.items())


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.export", description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add(
        "--architecture",
        default="resnext50",
        metavar="NAME|FILE",
        help="resnext50 (default), resnext101, a keras.applications name (MobileNetV2), or a .keras or .h5 file",
    )
    add(
        "--weights",
        metavar="imagenet|seeded[:N]|FILE.h5",
        help="the published ones, a deterministic draw (default) or a file of the published layout, loaded by name",
    )
    add("--fallback-weights", metavar="seeded[:N]", help="to go on with where the published ones cannot be reached")
    add("--mirror", metavar="URL", help="another base address for the published weights")
    add(
        "--trained-with",
        choices=MODES,
        help="the preprocessing that the weights expect (default: torch for ResNeXt's imagenet, "
        "the package's own for keras.applications, caffe otherwise); a file needs it",
    )
    add("--classes", type=positive, metavar="N", help="classes of the top (default 1000)")
    add("--no-top", action="store_true", help="leave out the classifier: the output is features")
    add("--pooling", choices=("avg", "max"), help="pooling of the features, with --no-top")
    add("--input-shape", type=size, metavar="HxW", help="height and width of the input")
    add(
        "--graph",
        choices=("optimized", "reference"),
        default="optimized",
        help="the rewritten graph, or as Keras has it",
    )
    add("--labels", type=Path, metavar="FILE", help="class labels: Keras's JSON form, or one a line")
    add(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="the directory to write; an earlier export there is replaced",
    )
    return parser  # fmt: skip


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text)


def size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise argparse.ArgumentTypeError(f"expected HxW, 224x224 for instance, got {text!r}")
    return int(sides[0]), int(sides[1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit status: 0 written, 1 failed, 2 (by argparse) wrong usage."""
    command_line = parser()
    options = command_line.parse_args(arguments)
    if options.pooling and not options.no_top:
        command_line.error("--pooling goes with --no-top")
    if is_file(options.architecture) and not options.trained_with:
        command_line.error(f"{options.architecture}: {MODE_NEEDED}")
    choices = {key: getattr(options, key) for key in recipe.Recipe.__dataclass_fields__}
    common = {"literal": options.graph == "reference", "labels": options.labels, "mirror": options.mirror}
    try:
        try:
            fields = export(recipe.Recipe(**choices), options.out, **common)
        except weights.UnreachableError as error:
            if not options.fallback_weights:
                raise
            choices["weights"] = options.fallback_weights
            going_on = f"going on with {choices['weights']} weights, whose labels mean nothing"
            print(f"export: {error}: {going_on}", file=sys.stderr)
            fields = export(recipe.Recipe(**choices), options.out, **common)
    except ERRORS as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    print(summary(fields, options.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
