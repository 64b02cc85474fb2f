"""kerasrun-contract: finds how your own Python makes tensors of images, or checks a contract.

kerasrun-contract find --predict mymodule:predict --images photos --out contract.json my.keras
kerasrun-contract check --contract contract.json --expect answers.json --images photos my.keras
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from kerasrun_export import __version__, expected, files, find, model_file
from kerasrun_export.cli import flags
from kerasrun_export.contract import Preprocessing, input_from_json
from kerasrun_export.errors import ExportError, FileError
from kerasrun_export.feeds import load_function
from kerasrun_export.words import words

PROGRAM = "kerasrun-contract"


def parser() -> argparse.ArgumentParser:
    command_line = flags.command_line(PROGRAM, __doc__)
    command_line.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = command_line.add_subparsers(dest="command", required=True)

    finds = commands.add_parser("find", help="finds the contract that your own function follows")
    finds.add_argument(
        "--predict",
        required=True,
        metavar="MODULE:FUNCTION",
        help="your function; takes the path of an image, calls the model on it",
    )
    finds.add_argument("--out", type=Path, metavar="FILE", help="writes the contract, as JSON")
    finds.add_argument(
        "--accept",
        type=float,
        default=0.0,
        metavar="N",
        help="the largest difference of a tensor's number to accept where none is exact; 0",
    )
    flags.add_input(finds)
    finds.add_argument(
        "--diff-image",
        type=Path,
        metavar="FILE",
        help="where none is exact: writes the difference from the nearest, a PNG",
    )
    checks = commands.add_parser("check", help="runs a model on a contract's tensors")
    checks.add_argument("--contract", required=True, type=Path, metavar="FILE", help="of find")
    checks.add_argument(
        "--expect",
        required=True,
        type=Path,
        metavar="FILE",
        help="the answers: JSON of paths to numbers, or CSV of a path and numbers a line",
    )
    for command in (finds, checks):
        command.add_argument("model", metavar="MODEL", help="the model's file, .keras or .h5")
        command.add_argument(
            "--images", required=True, type=Path, metavar="DIR", help="your images"
        )
        flags.add_file(command)
    return command_line


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit status: 0 found, 1 failed, 2 (by argparse) wrong usage."""
    options = parser().parse_args(arguments)
    run = {"find": _find, "check": _check}[options.command]
    try:
        return run(options)
    except (ExportError, OSError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1


def _find(options: argparse.Namespace) -> int:
    try:
        found = find.find_contract(
            load_function(options.predict),
            options.images,
            options.model,
            accept=options.accept,
            input_kinds=flags.inputs(options),
            custom_objects=options.custom_objects,
            unsafe_lambda=options.unsafe_lambda,
        )
    except find.NoContractError as error:
        if options.diff_image:
            find.difference_image(error.nearest).save(options.diff_image, "PNG")
        raise
    images = "1 image" if found.images == 1 else f"all {found.images} images"
    for one in found.inputs:
        if one.kind == "image":
            how = Preprocessing(one.decode, one.resize, one.normalize)
            print(f"{one.name}: {words(how)}")
    if found.difference:
        print(f"accepted: tensors differ by up to {found.difference:.6g}")
    else:
        print(f"the same tensors, in every bit, of {images}")
    for how in found.equivalent:
        print(f"the same on these images and on those made to tell them apart: {words(how)}")
    if found.unlike:
        print(
            f"not the same of {', '.join(found.unlike)}, which were tried besides: of such files "
            "kerasrun makes what the contract says. Keep them out, or convert them first"
        )
    print(find.export_command(options.model, found, str(options.out or "contract.json")))
    if options.out:
        text = json.dumps([one.to_json() for one in found.inputs], indent=2) + "\n"
        options.out.write_text(text, encoding="utf-8")
    return 0


def _check(options: argparse.Namespace) -> int:
    try:
        stored = files.parse_json(files.read(options.contract, files.TEXT))
        inputs = [input_from_json(one) for one in stored]
    except FileError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise ExportError(
            f"{options.contract}: expected a contract as kerasrun-contract find --out writes it, "
            f"got {error}"
        ) from error
    model = model_file.load(
        options.model, custom_objects=options.custom_objects, unsafe_lambda=options.unsafe_lambda
    )
    print(expected.check(model, inputs, options.expect, options.images))
    return 0


if __name__ == "__main__":
    sys.exit(main())
