"""kerasrun-export: exports a Keras model as a SavedModel directory that comes with its manifest.

kerasrun-export resnext50 --out models/resnext50
kerasrun-export MobileNetV2 --weights imagenet --out models/mobilenet
kerasrun-export my.keras --trained-with tf --class-names my.txt --out models/mine
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kerasrun_export import __version__, class_names, exporter, manifest, recipe, sample_images
from kerasrun_export.errors import ExportError, UnreachableError
from kerasrun_export.model import is_file
from kerasrun_export.preprocessing import MODE_NEEDED, MODES

PROGRAM = "kerasrun-export"


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add(
        "model",
        metavar="MODEL",
        help="a .keras or .h5 file, resnext50, resnext101, or a keras.applications name "
        "(MobileNetV2)",
    )
    add(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="the directory to write; an earlier export there is replaced",
    )
    add(
        "--weights",
        metavar="none|imagenet|synthetic[:N]|FILE.h5",
        help="Keras's random ones, the published ones, a deterministic draw (default) "
        "or a file of the published layout, loaded by name",
    )
    add(
        "--fallback-weights",
        metavar="synthetic[:N]",
        help="to go on with where the published ones cannot be reached",
    )
    add("--mirror", metavar="URL", help="another base address for the published weights")
    add(
        "--trained-with",
        choices=MODES,
        help="the preprocessing that the weights expect (default: torch for ResNeXt's imagenet, "
        "the "
        "package's own for keras.applications, caffe otherwise); a file needs it",
    )
    add("--classes", type=positive, metavar="N", help="classes of the top (default 1000)")
    add("--no-top", action="store_true", help="leave out the classifier: the output is features")
    add("--pooling", choices=("avg", "max"), help="pooling of the features, with --no-top")
    add("--image-size", type=size, metavar="HxW", help="height and width of the input")
    add("--class-names", type=Path, metavar="FILE", help="one a line, or Keras's JSON form")
    add(
        "--graph",
        choices=exporter.GRAPHS,
        default="optimized",
        help="the rewritten graph, or as Keras has it",
    )
    add("--version", action="version", version=f"{PROGRAM} {__version__}")
    return parser


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text)


def size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise argparse.ArgumentTypeError(f"expected HxW, 224x224 for instance, got {text!r}")
    return int(sides[0]), int(sides[1])


def summary(fields: dict, out: Path) -> str:
    """What was written, as a table."""
    files = json.loads((out / manifest.PATH).read_text(encoding="utf-8"))["files"]
    total, parameters = sum(file["bytes"] for file in files.values()), fields["parameters"]
    outputs = "; ".join(f"{key}: {', '.join(value)}" for key, value in fields["outputs"].items())
    trained_with, conversion = fields["trained_with"], fields["conversion"]
    count = len(sample_images.paths())
    rows = {
        "directory": f"{out}, {total / 1e6:.1f} MB, {total / (4 * parameters):.3f} x the "
        "parameters",
        "architecture": fields["architecture"],
        "weights": fields["weights"]["source"],
        "parameters": f"{parameters:,}",
        "FLOPs": f"{fields['flops'] / 1e9:.2f} G an image (a multiply-add counts as two)",
        "graph": fields["graph"],
        "input": "images, {height} x {width}, {mode} style".format(**fields["input"]),
        "trained with": f"{trained_with}: {conversion}" if conversion else trained_with,
        "outputs": outputs,
        "difference": f"{fields['reference_difference']:.1e} from Python Keras over {count} "
        "photographs",
    }
    return "\n".join(f"{key:<13} {value}" for key, value in rows.items())


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit status: 0 written, 1 failed, 2 (by argparse) wrong usage."""
    command_line = parser()
    options = command_line.parse_args(arguments)
    if options.pooling and not options.no_top:
        command_line.error("--pooling goes with --no-top")
    if is_file(options.model) and not options.trained_with:
        command_line.error(f"{options.model}: {MODE_NEEDED}")
    try:
        fields = export(options)
    except (ExportError, OSError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    print(summary(fields, options.out))
    return 0


def export(options: argparse.Namespace) -> dict:
    """Exports with the weights that were asked for, or those to fall back on."""
    exporter.check_replaceable(options.out)
    rows = class_names.read(options.class_names) if options.class_names else None
    chosen = recipe.Recipe(
        architecture=options.model,
        weights=options.weights,
        trained_with=options.trained_with,
        classes=options.classes,
        no_top=options.no_top,
        pooling=options.pooling,
        image_size=options.image_size,
    )
    try:
        loaded = chosen.load(options.mirror)
    except UnreachableError as error:
        if not options.fallback_weights:
            raise
        chosen = replace(chosen, weights=options.fallback_weights)
        going_on = f"going on with {chosen.weights} weights, whose classes mean nothing"
        print(f"{PROGRAM}: {error}; {going_on}", file=sys.stderr)
        loaded = chosen.load()
    made_by, command = chosen.to_manifest(), chosen.command()
    return exporter.write(loaded, options.out, made_by, command, options.graph, rows)


if __name__ == "__main__":
    sys.exit(main())
