"""kerasrun-golden: makes a golden pack, images and what Python Keras makes of them at every stage.

kerasrun-golden exported --images photos --out pack
kerasrun-golden exported --predict mymodule:predict --images photos --out pack
kerasrun-golden my.keras --pipeline load_img --mode tf --images photos --out pack
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from kerasrun_export import __version__, goldens
from kerasrun_export.cli import flags
from kerasrun_export.errors import ChoiceError, ExportError

PROGRAM = "kerasrun-golden"


def parser() -> argparse.ArgumentParser:
    parser = flags.command_line(PROGRAM, __doc__)
    add = parser.add_argument
    add("model", metavar="MODEL_OR_DIR", help="an exported directory, or a .keras or .h5 file")
    add(
        "--images",
        required=True,
        type=Path,
        metavar="DIR",
        help="the images: every file of a kind that is read",
    )
    add(
        "--out",
        required=True,
        type=Path,
        metavar="PACK",
        help="the pack to write; a directory that is empty or not there",
    )
    add(
        "--predict",
        metavar="MODULE:FUNCTION",
        help="your own function, which takes the path of an image and calls the model: its tensors "
        "and answers are the reference",
    )
    flags.add_file(parser)
    flags.add(parser)
    add("--version", action="version", version=f"{PROGRAM} {__version__}")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit status: 0 made, 1 failed, 2 (by argparse) wrong usage."""
    command_line = parser()
    options = command_line.parse_args(arguments)
    said = flags.read(options).to_manifest()
    try:
        index = goldens.golden(
            options.model,
            options.images,
            options.out,
            predict=options.predict,
            input_kinds=said.pop("input", None),
            custom_objects=options.custom_objects,
            unsafe_lambda=options.unsafe_lambda,
            **said,
        )
    except ChoiceError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    except (ExportError, OSError) as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    print(f"{options.out}: {len(index['cases'])} cases from {index['reference']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
