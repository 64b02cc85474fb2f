"""What the commands share: their help, and the flags of how images become tensors."""

import argparse

from kerasrun_export import choices
from kerasrun_export.choices import Choices
from kerasrun_export.contract import COLORS, LIBRARIES, METHODS, MODES
from kerasrun_export.errors import ChoiceError


def command_line(program: str, words: str) -> argparse.ArgumentParser:
    """A parser whose help begins with the first of the words' lines and ends with the others."""
    first, _, examples = words.partition("\n\n")
    return argparse.ArgumentParser(
        prog=program,
        description=first,
        epilog="examples:\n" + "".join(f"  {line}\n" for line in examples.splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add(command_line: argparse.ArgumentParser) -> None:
    """Adds the flags of Choices, in two groups."""
    loading = command_line.add_argument_group("how images are loaded")
    loading.add_argument(
        "--pipeline",
        choices=choices.PIPELINE_NAMES,
        help="by what; sets the next four, each of which can be given",
    )
    loading.add_argument(
        "--contract",
        metavar="FILE",
        help="all of this and of the values, as kerasrun-contract find --out wrote it",
    )
    loading.add_argument("--decoder", choices=LIBRARIES, help="the library whose pixels they are")
    loading.add_argument("--color", choices=COLORS, help="the channels in the tensor's order")
    loading.add_argument(
        "--resample",
        metavar="METHOD",
        help="of the decoder's library, or LIBRARY:METHOD; "
        + "; ".join(f"{library}: {', '.join(names)}" for library, names in METHODS.items()),
    )
    loading.add_argument("--fit", choices=choices.FIT_NAMES, help="what a resize does to the shape")
    loading.add_argument(
        "--antialias",
        action=argparse.BooleanOptionalAction,
        help="of TensorFlow's methods",
    )
    loading.add_argument(
        "--exif",
        action=argparse.BooleanOptionalAction,
        help="whether the orientation in EXIF is applied",
    )
    loading.add_argument("--short-side", type=int, metavar="N", help="pixels, of --fit short-side")
    loading.add_argument("--fill", type=float, metavar="X", help="what --fit pad pads with")
    add_input(loading)
    values = command_line.add_argument_group(
        "what is done to their values before the model",
        "a mode, or numbers: 0.5 or 1/255, one or one a channel with commas; where numbers are "
        "negative --offset=-1",
    )
    values.add_argument("--mode", choices=tuple(MODES), help="preprocess_input's")
    for flag, words in (
        ("--scale", "first: x * S"),
        ("--divide", "or first: x / D"),
        ("--offset", "then: x + O"),
        ("--mean", "then: x - M"),
        ("--std", "then: x / S"),
    ):
        values.add_argument(flag, type=_numbers, metavar=flag[2].upper(), help=words)


def add_input(command_line: argparse._ActionsContainer) -> None:
    """Adds --input alone."""
    command_line.add_argument(
        "--input",
        action="append",
        default=[],
        type=_named,
        metavar="NAME=KIND",
        help="what an input is whose shape does not tell, as (batch, 20, 4) of a sequence or of "
        f"grey images: {' or '.join(choices.INPUT_KINDS)}",
    )


def inputs(options: argparse.Namespace) -> dict[str, str]:
    """What --input says, by name."""
    return dict(options.input)


def add_file(command_line: argparse.ArgumentParser) -> None:
    """Adds the flags of `model_file.load`."""
    command_line.add_argument(
        "--custom-objects",
        metavar="MODULE",
        help="that has or registers the classes of a file that Keras does not know",
    )
    command_line.add_argument(
        "--unsafe-lambda",
        action="store_true",
        help="to run the code that is in a file's Lambda layers: where you trust its source",
    )


def read(options: argparse.Namespace) -> Choices:
    """What the flags say."""
    said = {name: getattr(options, name) for name in choices.NAMES}
    return choices.said(**said | {"input": inputs(options)})


def _named(text: str) -> tuple[str, str]:
    name, equals, kind = text.rpartition("=")
    if not equals or not name or kind not in choices.INPUT_KINDS:
        raise argparse.ArgumentTypeError(
            f"expected NAME=KIND, a kind of {', '.join(choices.INPUT_KINDS)}, got {text!r}"
        )
    return name, kind


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return choices.numbers(text)
    except ChoiceError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
