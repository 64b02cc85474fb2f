"""kerasrun-export: exports a Keras model as a SavedModel directory that comes with its manifest.

kerasrun-export my.keras --pipeline load_img --mode tf --class-names names.txt --out exported
kerasrun-export my.keras --pipeline image_dataset_from_directory --scale 1/255 --out exported
kerasrun-export --saved-model saved --pipeline load_img --mode tf --out exported
"""

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kerasrun_export import (
    __version__,
    adopt,
    class_names,
    exporter,
    manifest,
    quantization,
    recipe,
)
from kerasrun_export.choices import numbers
from kerasrun_export.cli import flags
from kerasrun_export.contract import OUTPUT_KINDS
from kerasrun_export.errors import ChoiceError, ExportError, UnreachableError
from kerasrun_export.outputs import ACTIVATIONS, DEFAULT, Meaning

PROGRAM = "kerasrun-export"


def parser() -> argparse.ArgumentParser:
    parser = flags.command_line(PROGRAM, __doc__)
    add = parser.add_argument
    add(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a .keras or .h5 file, resnext50, resnext101, efficientnet-lite0, or a "
        "keras.applications name (MobileNetV2)",
    )
    add(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="the directory to write; an earlier export there is replaced",
    )
    add(
        "--saved-model",
        type=Path,
        metavar="DIR",
        help="in place of MODEL: a SavedModel that something else wrote, which is copied as it is",
    )
    add(
        "--signature",
        metavar="S",
        help="of --saved-model (default: serving_default, or the only one)",
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
    add("--classes", type=positive, metavar="N", help="classes of the top (default 1000)")
    add("--no-top", action="store_true", help="leave out the classifier: the output is features")
    add("--pooling", choices=("avg", "max"), help="pooling of the features, with --no-top")
    flags.add_file(parser)
    add("--image-size", type=size, metavar="HxW", help="height and width of the input")
    add("--class-names", type=Path, metavar="FILE", help="one a line, or Keras's JSON form")
    add(
        "--graph",
        choices=exporter.GRAPHS,
        default="optimized",
        help="the rewritten graph, or as Keras has it",
    )
    add(
        "--images",
        type=Path,
        metavar="DIR",
        help="your own, to compare on in place of the samples; the four smallest become goldens",
    )
    add(
        "--expect",
        type=Path,
        metavar="FILE",
        help="JSON or CSV of some of these images' paths and the answers that Keras has to give",
    )
    add(
        "--min-top1",
        type=share,
        metavar="P",
        help="of these, how many keep their top class: 0.999 (of --quantize: 0.99)",
    )
    add(
        "--quantize",
        choices=exporter.QUANTIZED,
        help="a second graph, of 8 bits, from your --images: a few hundred of what the model will "
        "see. Half of them say the ranges, the other half how often it keeps Keras's class",
    )
    flags.add(parser)
    add(
        "--confirm-preprocessing",
        action="store_true",
        help="that flags which contradict the model's own preparation are meant",
    )
    answer = parser.add_argument_group("what the model gives")
    answer.add_argument(
        "--activation",
        choices=ACTIVATIONS,
        help="of a last layer that has none and gives logits (from_logits=True)",
    )
    answer.add_argument(
        "--threshold", metavar="T", help="of a sigmoid's answers, one or one a class with commas"
    )
    answer.add_argument(
        "--kind",
        action="append",
        default=[],
        type=named_kind,
        metavar="NAME=KIND",
        help=f"of an output, where the graph does not tell: {', '.join(OUTPUT_KINDS)}",
    )
    # What --mode was called before.
    add("--trained-with", help=argparse.SUPPRESS)
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


def share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to 1, got {text!r}")
    return value


def named_kind(text: str) -> tuple[str, str]:
    name, equals, kind = text.partition("=")
    if not equals or kind not in OUTPUT_KINDS:
        raise argparse.ArgumentTypeError(
            f"expected NAME=KIND, a kind of {', '.join(OUTPUT_KINDS)}, got {text!r}"
        )
    return name, kind


def summary(fields: dict, out: Path, found: Sequence[str]) -> str:
    """What was written, as a table. found: what the model does to images itself."""
    files = json.loads((out / manifest.PATH).read_text(encoding="utf-8"))["files"]
    total = sum(file["bytes"] for file in files.values())
    packed = [name for name in files if name.startswith(f"{manifest.GOLDENS.as_posix()}/")]
    goldens = sum(files[name]["bytes"] for name in packed)
    conversion = fields["conversion"]
    rows = {
        "directory": f"{out}, {total / 1e6:.1f} MB, {goldens / 1e6:.1f} of it goldens",
        "architecture": fields["architecture"],
        "weights": fields["weights"]["source"],
        "parameters": f"{fields['parameters']:,}",
        "FLOPs": f"{fields['flops'] / 1e9:.2f} G an image (a multiply-add counts as two)"
        if "flops" in fields
        else "unknown",
        "graph": fields["graph"],
        "inputs": "; ".join(described(each) for each in fields["inputs"]),
        "found": "; ".join(found),
        "conversion": conversion,
        "outputs": "; ".join(
            f"{key}: {', '.join(kind_of(output) for output in value)}"
            for key, value in fields["outputs"].items()
        ),
        "difference": difference(fields),
        "int8": quantized(out),
    }
    return "\n".join(f"{key:<13} {value}" for key, value in rows.items() if value)


def quantized(out: Path) -> str:
    """What was measured of the graph of int8; "" where there is none."""
    if not (out / quantization.DIRECTORY).is_dir():
        return ""
    return quantization.summary(manifest.read(out / quantization.DIRECTORY)["quantization"])


def difference(fields: dict) -> str:
    """What `reference_difference` says, in words."""
    outputs = fields["outputs"][fields.get("signature", DEFAULT)]
    whose = "TensorFlow's in Python" if fields["graph"] == "adopted" else "Keras's"
    what = "this graph's answers and {}, in the image's largest number"
    if any(output["name"] == "probs" for output in outputs):
        what = "this graph's probabilities and {}"
    between = what.format(whose)
    return f"at most {fields['reference_difference']:.1e} between {between}, on the images compared"


def described(each: dict) -> str:
    """An input of the manifest in words."""
    words = f"{each['name']} {each['dtype']} {tuple(each['shape'])}"
    if each["kind"] != "image":
        return f"{words}, {each['kind']}"
    decode, resize = each["decode"], each["resize"]
    steps = ", ".join(
        " ".join([step["op"], *(f"{value:.6g}" for value in step["values"])])
        for step in each["normalize"]["steps"]
    )
    fitted = "not resized"
    if resize["fit"] != "none":
        fitted = f"{resize['by']}'s {resize['method']}, {resize['fit'].replace('_', '-')}"
    return f"{words}, {decode['color']} by {decode['by']}, {fitted}, {steps or '0 to 255'}"


def kind_of(output: dict) -> str:
    return f"{output['name']} ({output['kind']})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit status: 0 written, 1 failed, 2 wrong usage, or something that
    the model does not say was left open.
    """
    command_line = parser()
    options = command_line.parse_args(arguments)
    if options.pooling and not options.no_top:
        command_line.error("--pooling goes with --no-top")
    _check_adopting(command_line, options)
    if options.trained_with is not None:
        command_line.error(
            f"--trained-with is called --mode now: expected --mode {options.trained_with}, and for "
            "a file --pipeline, which says how its images were loaded"
        )
    with warnings.catch_warnings():
        warnings.showwarning = show_warning
        warnings.simplefilter("always", exporter.ExportWarning)
        try:
            fields, found = export(options)
        except ChoiceError as error:
            print(f"{PROGRAM}: {error}", file=sys.stderr)
            return 2
        except (ExportError, OSError) as error:
            print(f"{PROGRAM}: {error}", file=sys.stderr)
            return 1
    print(summary(fields, options.out, found))
    return 0


# What says something of a Keras model.
OF_KERAS = (
    *("weights", "classes", "no_top", "pooling", "custom_objects", "unsafe_lambda"),
    "quantize",
)


def _check_adopting(command_line: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Ends with a usage error where MODEL and --saved-model are mixed up."""
    if (options.model is None) == (options.saved_model is None):
        command_line.error("expected MODEL or --saved-model DIR")
    given = [name for name in OF_KERAS if getattr(options, name)] if options.saved_model else []
    if options.saved_model is None:
        given = ["signature"] if options.signature else []
    if given:
        whose = "a MODEL of Keras" if options.saved_model else "--saved-model"
        command_line.error(f"--{given[0].replace('_', '-')} goes with {whose}")


def show_warning(message: Warning, category: type[Warning], *_, **__) -> None:
    """Ours for the user; those of other packages are not for them."""
    if issubclass(category, exporter.ExportWarning):
        print(f"{PROGRAM}: warning: {message}", file=sys.stderr)


def export(options: argparse.Namespace) -> tuple[dict, Sequence[str]]:
    """Exports with the weights that were asked for, or those to fall back on."""
    exporter.check_replaceable(options.out)
    rows = class_names.read(options.class_names) if options.class_names else None
    thresholds = numbers(options.threshold) if options.threshold else None
    meaning = Meaning(dict(options.kind), options.activation, thresholds, rows)
    written = exporter.Options(
        meaning,
        options.graph,
        options.confirm_preprocessing,
        options.images,
        options.min_top1,
        options.expect,
        options.quantize is not None,
    )
    if options.saved_model:
        fields = adopt.adopt(
            options.saved_model,
            options.out,
            flags.read(options),
            written,
            signature=options.signature,
            size=options.image_size,
        )
        return fields, ()
    chosen = recipe.Recipe(
        architecture=options.model,
        weights=options.weights,
        classes=options.classes,
        no_top=options.no_top,
        pooling=options.pooling,
        image_size=options.image_size,
        custom_objects=options.custom_objects,
        unsafe_lambda=options.unsafe_lambda,
        choices=flags.read(options),
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
    fields = exporter.write(loaded, options.out, made_by, command, written)
    return fields, loaded.preparation.found()


if __name__ == "__main__":
    sys.exit(main())
