"""What users say of how images become tensors, and the contract that it makes."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace

from kerasrun_export import files
from kerasrun_export.contract import (
    CHANNELS,
    COLORS,
    FITS,
    LIBRARIES,
    METHODS,
    MODES,
    PIPELINES,
    Decode,
    Normalize,
    Preprocessing,
    Resize,
    preprocessing_from_json,
    steps,
)
from kerasrun_export.errors import ChoiceError
from kerasrun_export.preparation import Preparation

KERAS_HUB = "keras_hub"
PIPELINE_NAMES = (*PIPELINES, KERAS_HUB)
FIT_NAMES = tuple(fit.replace("_", "-") for fit in FITS)
NUMBERS = ("scale", "divide", "offset", "mean", "std")
INPUT_KINDS = ("tensor", "image")
# What each way of loading is, for errors that list the choices.
PIPELINE_WORDS = {
    "load_img": "keras.utils.load_img(path, target_size=...)",
    "ImageDataGenerator": "flow_from_directory",
    "image_dataset_from_directory": "keras.utils.image_dataset_from_directory",
    "decode_image": "tf.io.decode_image or decode_jpeg, then tf.image.resize",
    "cv2": "cv2.imread, then cv2.resize, channels left as BGR",
    "pillow": "Image.open(path).resize(...)",
    "teachable_machine": "the snippet that Teachable Machine exports",
    KERAS_HUB: "load_img, then the preprocessor of the KerasHub model",
}
MODE_WORDS = {
    "caffe": "BGR, 0 to 255, ImageNet's means subtracted",
    "tf": "x / 127.5 - 1",
    "torch": "x / 255, ImageNet's means subtracted, divided by its deviations",
    "none": "0 to 255 as they are",
}


@dataclass(frozen=True)
class Choices:
    """The options of kerasrun-export about images, by the flags' names; None, or {}: not said.

    resample: a method of the decoder's library, or LIBRARY:METHOD. fit: with "-" or "_". fill: what
    fit "pad" pads with. short_side: of fit "short-side", in pixels. Numbers are one for all
    channels or one for each, in the order of the tensor's channels. contract: all of it, as
    `read_contract` gives it, in place of the others. input: by name of an input, whether it is an
    "image" or a "tensor", where its shape does not tell.
    """

    pipeline: str | None = None
    decoder: str | None = None
    color: str | None = None
    resample: str | None = None
    antialias: bool | None = None
    fit: str | None = None
    short_side: int | None = None
    fill: float | None = None
    exif: bool | None = None
    mode: str | None = None
    scale: tuple[float, ...] | None = None
    divide: tuple[float, ...] | None = None
    offset: tuple[float, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    contract: dict | None = None
    input: dict[str, str] = field(default_factory=dict)

    @property
    def says_images(self) -> bool:
        """Whether they say anything of images, and so that the model takes some."""
        return bool(self.to_manifest().keys() - {"input"})

    @property
    def said_fit(self) -> str | None:
        """The fit, by whichever option it is said."""
        return self.fit if self.contract is None else self.contract["resize"]["fit"]

    @property
    def says_values(self) -> bool:
        """Whether they say what is done to an image's values."""
        values = ("mode", *NUMBERS, "contract")
        return any(getattr(self, key) is not None for key in values)

    @property
    def says_loading(self) -> bool:
        """Whether they say anything of decoding or resizing."""
        loading = ("pipeline", "decoder", "resample", "antialias", "fit", "contract")
        return any(getattr(self, key) is not None for key in loading)

    def to_manifest(self) -> dict[str, object]:
        """What was said, as a recipe keeps it."""
        return {key: value for key, value in asdict(self).items() if value not in (None, {})}

    def arguments(self) -> list[str]:
        """What was said, as `export` and `golden` of Python take it."""
        names = {"input": "input_kinds"}
        return [f"{names.get(k, k)}={value!r}" for k, value in self.to_manifest().items()]


NAMES = tuple(each.name for each in fields(Choices))


def flags(options: dict[str, object]) -> list[str]:
    """The words of a command line that say these options."""
    words = []
    for key, value in options.items():
        flag = f"--{key.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
            continue
        if key == "input":
            words += [word for pair in value.items() for word in (flag, "=".join(pair))]
            continue
        if isinstance(value, dict):  # a contract, whose file's name is not kept
            words += [flag, "contract.json"]
            continue
        text = str(value)
        if isinstance(value, list | tuple):
            text = ("x" if key == "image_size" else ",").join(map(str, value))
        words += [f"{flag}={text}"] if text.startswith("-") else [flag, text]
    return words


def number(text: str | float) -> float:
    """A number, or a quotient of two: "1/255". Raises ValueError."""
    if not isinstance(text, str):
        return float(text)
    top, slash, bottom = text.partition("/")
    return float(top) / float(bottom) if slash else float(top)


def numbers(value: str | float | Sequence[float]) -> tuple[float, ...]:
    """One number or several, "1/255" or "0.485,0.456,0.406", or already as numbers.

    Raises ChoiceError.
    """
    parts = value.split(",") if isinstance(value, str) else value
    if isinstance(parts, int | float):
        parts = [parts]
    try:
        found = tuple(number(part) for part in parts)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise ChoiceError(
            f"expected numbers, 0.5 or 1/255, one or one a channel with commas, got {value!r}"
        ) from error
    if not found or any(x != x or abs(x) == float("inf") for x in found):
        raise ChoiceError(f"expected finite numbers, got {value!r}")
    return found


def said(**options: object) -> Choices:
    """Choices by their names; numbers also as `numbers` takes them. Raises ChoiceError."""
    unknown = options.keys() - set(NAMES)
    if unknown:
        raise ChoiceError(f"expected options of {', '.join(NAMES)}, got {', '.join(unknown)}")
    read = {
        key: numbers(value) if key in NUMBERS and value is not None else value
        for key, value in options.items()
    }
    for name, kind in read.get("input", {}).items():
        if kind not in INPUT_KINDS:
            raise ChoiceError(
                f"--input {name}={kind}: expected one of {', '.join(INPUT_KINDS)}, got {kind!r}"
            )
    if read.get("contract") is not None:
        read["contract"] = read_contract(read["contract"])
    return Choices(**read)


def read_contract(source: object) -> dict:
    """The decode, resize and normalize of a model's one image input, in JSON.

    source: the path of a file as kerasrun-contract find --out writes it, what is in one, or what
        find_contract returns. Raises ChoiceError.
    """
    name = source if isinstance(source, (str, os.PathLike)) else ""
    try:
        if isinstance(source, (str, os.PathLike)):
            source = files.parse_json(files.read(source, files.TEXT))
        elif hasattr(source, "inputs"):
            source = [each.to_json() for each in source.inputs]
        listed = source if isinstance(source, list) else [source]
        (only,) = [each for each in listed if "decode" in each]
        return asdict(preprocessing_from_json(only))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ChoiceError(
            f"--contract {name}: expected what kerasrun-contract find --out writes, with one input "
            f"of images, got {type(error).__name__}: {error}"
        ) from error


def check(choices: Choices) -> None:
    """Raises ChoiceError where the choices are unknown words or contradict each other."""
    fit = choices.fit and choices.fit.replace("_", "-")
    for key, known in (
        ("pipeline", PIPELINE_NAMES),
        ("decoder", LIBRARIES),
        ("color", COLORS),
        ("mode", tuple(MODES)),
    ):
        value = getattr(choices, key)
        if value is not None and value not in known:
            raise ChoiceError(f"--{key}: expected one of {', '.join(known)}, got {value!r}")
    if fit is not None and fit not in FIT_NAMES:
        raise ChoiceError(f"--fit: expected one of {', '.join(FIT_NAMES)}, got {choices.fit!r}")
    others = sorted(choices.to_manifest().keys() - {"contract", "input"})
    if choices.contract is not None and others:
        raise ChoiceError(
            f"--contract and --{others[0].replace('_', '-')}: expected one of them, for a contract "
            "says everything"
        )
    given = [key for key in NUMBERS if getattr(choices, key) is not None]
    if choices.mode is not None and given:
        raise ChoiceError(
            f"--mode {choices.mode} and --{given[0]}: expected one of them, for a mode is a whole "
            "preparation; leave --mode away and say every step by its number"
        )
    if choices.scale is not None and choices.divide is not None:
        raise ChoiceError(
            "--scale and --divide: expected one of them: x * S, or x / S, which differ in the last "
            "bit"
        )
    for key in ("divide", "std"):
        if 0 in (getattr(choices, key) or ()):
            raise ChoiceError(f"--{key}: expected numbers other than 0")
    if (choices.short_side is not None) != (fit == "short-side"):
        raise ChoiceError(
            "--short-side N and --fit short-side: expected both or neither; N is the length in "
            "pixels that the short side gets before the centre is cut out"
        )
    if choices.fill is not None and fit not in ("pad", "pad-first"):
        raise ChoiceError("--fill goes with --fit pad or pad-first")
    if fit == "none" and (choices.resample is not None or choices.antialias):
        raise ChoiceError("--fit none: nothing is resized, so expected no --resample, --antialias")


@dataclass(frozen=True)
class Question:
    """Something that is open. answer: an example of the flags that would say it."""

    text: str
    answer: str


def preprocessing(choices: Choices, channels: int) -> tuple[Preprocessing | None, list[Question]]:
    """What the choices make for a tensor of that many channels, and what they leave open.

    The normalisation is the choices' own; whether they
    say one is `says_values`, or the pipeline's. Raises ChoiceError where they contradict.
    """
    check(choices)
    if choices.contract is not None:
        made = preprocessing_from_json(choices.contract)
        if CHANNELS[made.decode.color] != channels:
            raise ChoiceError(
                f"--contract: expected a contract of {channels} channels, which the model takes, "
                f"got {made.decode.color}"
            )
        return made, []
    base = PIPELINES.get(choices.pipeline or "")
    if choices.pipeline == KERAS_HUB:
        raise ChoiceError(
            "--pipeline keras_hub: expected a KerasHub model with a preprocessor; this model has "
            f"none, so say how its images were loaded: {_pipelines()}"
        )
    if base is None:
        missing = _missing(choices)
        if missing:
            return None, missing
        base = Preprocessing(Decode(choices.decoder or "", exif=choices.decoder == "opencv"))
    decode = _decode(choices, base)
    resize = _resize(choices, base, decode)
    mode = choices.mode
    if mode == "caffe":
        decode, question = _caffe(choices, decode)
        if question is not None:
            return None, [question]
    if CHANNELS[decode.color] != channels:
        fitting = [color for color, count in CHANNELS.items() if count == channels]
        if choices.color is not None:
            raise ChoiceError(
                f"--color {decode.color}: the model takes {channels} channels, expected "
                f"{' or '.join(fitting) or 'a model of 1, 3 or 4 channels'}"
            )
        text = (
            f"--color {'|'.join(fitting)}: the model takes {channels} "
            f"channel{'s' if channels != 1 else ''}, which {choices.pipeline or decode.by} does "
            f"not give by default; {_grey_words(fitting)}"
        )
        return None, [Question(text, f"--color {fitting[0]}")]
    normalize = base.normalize
    if choices.says_values:
        normalize = Normalize(steps=_steps(choices, channels))
    return Preprocessing(decode, resize, normalize), []


def _missing(choices: Choices) -> list[Question]:
    """What is open without a pipeline, where not each of its parts is said."""
    parts = {
        "--decoder": choices.decoder,
        "--color": choices.color or (choices.mode == "caffe" and choices.decoder != "opencv"),
        "--fit": choices.fit,
        "--resample": choices.resample or choices.fit in ("none", None),
    }
    missing = [name for name, value in parts.items() if not value]
    if not missing:
        return []
    if len(missing) == len(parts) - 1 and choices.fit is None and choices.decoder is None:
        return [Question(f"how images are loaded: {_pipelines()}", "--pipeline load_img")]
    if choices.fit is None and not choices.resample:
        missing.append("--resample")
    text = (
        f"how images are loaded: {', '.join(missing)} too, or --pipeline in place of all: "
        f"{_pipelines()}"
    )
    return [Question(text, "--pipeline load_img")]


def _pipelines() -> str:
    words = [f"{name} ({PIPELINE_WORDS[name]})" for name in PIPELINE_NAMES]
    return f"--pipeline {', '.join(words[:-1])} or {words[-1]}"


def _grey_words(fitting: Sequence[str]) -> str:
    if "grayscale" in fitting:
        return "grayscale is the decoder's own, grayscale_of_rgb is made of decoded RGB"
    return "rgba has transparency as its fourth"


def _decode(choices: Choices, base: Preprocessing) -> Decode:
    decode = base.decode
    if choices.decoder is not None and choices.decoder != decode.by:
        if choices.resample is None and choices.fit != "none":
            raise ChoiceError(
                f"--decoder {choices.decoder} with --pipeline {choices.pipeline}, which decodes by "
                f"{decode.by}: expected --resample too, LIBRARY:METHOD"
            )
        decode = replace(decode, by=choices.decoder, exif=choices.decoder == "opencv")
    if choices.color is not None:
        decode = replace(decode, color=choices.color)
    if choices.exif is not None:
        decode = replace(decode, exif=choices.exif)
    return decode


def _resize(choices: Choices, base: Preprocessing, decode: Decode) -> Resize:
    resize = base.resize
    if choices.fit is not None:
        fit = choices.fit.replace("-", "_")
        resize = replace(resize, fit=fit, short_side=choices.short_side or 0)
        resize = replace(resize, fill=choices.fill or 0.0)
    if resize.fit == "none":
        return Resize(decode.by, METHODS[decode.by][0], "none")
    if choices.resample is not None:
        library, colon, method = choices.resample.rpartition(":")
        library = library if colon else decode.by
        if library not in LIBRARIES or method not in METHODS[library]:
            known = METHODS.get(library)
            raise ChoiceError(
                f"--resample {choices.resample}: expected "
                + (
                    f"a method of {library}: {', '.join(known)}; another library's is written "
                    f"LIBRARY:METHOD"
                    if known
                    else f"LIBRARY:METHOD with a library of {', '.join(LIBRARIES)}"
                )
            )
        resize = replace(resize, by=library, method=method)
    if choices.antialias is not None:
        if choices.antialias and resize.by != "tensorflow":
            raise ChoiceError(
                f"--antialias is tf.image.resize's: expected tensorflow to resize, got {resize.by}"
            )
        resize = replace(resize, antialias=choices.antialias)
    return resize


def _caffe(choices: Choices, decode: Decode) -> tuple[Decode, Question | None]:
    """caffe's channels: preprocess_input turns RGB into BGR."""
    if CHANNELS[decode.color] != 3:
        raise ChoiceError(f"--mode caffe: expected 3 channels, got --color {decode.color}")
    if decode.by == "opencv":
        text = (
            "--color bgr|rgb: the tensor's order after preprocess_input, which turns it round; "
            "bgr if cv2's image was turned to RGB first, rgb if cv2's BGR went into "
            "preprocess_input as it was"
        )
        return decode, None if choices.color else Question(text, "--color bgr")
    if choices.color == "rgb":
        raise ChoiceError(
            "--mode caffe and --color rgb: expected --color bgr or none, for caffe's channels are "
            "B, G, R"
        )
    return replace(decode, color="bgr"), None


def _steps(choices: Choices, channels: int):
    if choices.mode is not None:
        if channels != 3 and len(_mode_values(choices.mode)) > 1:
            raise ChoiceError(
                f"--mode {choices.mode}: expected a model of 3 channels, got {channels}; say the "
                "steps by --scale, --offset, --mean, --std"
            )
        return MODES[choices.mode]
    operations = []
    for key, op in zip(NUMBERS, ("multiply", "divide", "add", "subtract", "divide"), strict=True):
        values = getattr(choices, key)
        if values is None:
            continue
        if len(values) not in (1, channels):
            raise ChoiceError(
                f"--{key}: expected 1 number or {channels}, one a channel, got {len(values)}"
            )
        operations.append((op, values))
    return steps(*operations)


def _mode_values(mode: str) -> tuple[float, ...]:
    return max((step.values for step in MODES[mode]), key=len, default=())


def values_question() -> str:
    """The open question of an image's values."""
    modes = ", ".join(f"{mode} ({words})" for mode, words in MODE_WORDS.items())
    return (
        f"what is done to their values before the model: --mode {modes}, or by numbers, in this "
        "order: --scale 1/255 (x * S) or --divide 255 (x / S), --offset O, --mean M, --std S"
    )


def decide(
    choices: Choices,
    found: Preparation,
    channels: int,
    what: str,
    confirmed: bool = False,
    more: Sequence[Question] = (),
) -> Preprocessing:
    """How images become tensors: what was said, and what the model says itself.

    confirmed: that what contradicts the model is meant. more: other questions that are open.

    Raises ChoiceError where anything is open, with all that is and an example, or where the choices
    contradict each other or the model.
    """
    check(choices)
    prepares = "; ".join(found.steps)
    if (
        found.converter is not None
        and choices.contract is None
        and not (confirmed and choices.pipeline != KERAS_HUB)
    ):
        return _keras_hub(choices, found, channels, what)
    made, questions = preprocessing(choices, channels)
    preset = PIPELINES.get(choices.pipeline or "", Preprocessing()).normalize.steps
    changes = bool(choices.mode not in (None, "none")) or (
        choices.mode is None and (choices.says_values or bool(preset))
    )
    if choices.contract is not None:
        changes = bool(made.normalize.steps)
    if found.values and changes and not confirmed:
        raise ChoiceError(
            f"{what}: the model prepares its images itself: it {prepares}. Expected no "
            f"{_said_values(choices)}, or --mode none, for they would be prepared twice. If the "
            "model was trained so, say --confirm-preprocessing"
        )
    if not found.values and not choices.says_values and not preset:
        question = values_question()
        if found.scaled_before:
            question = (
                f"the model {prepares}, numbers of images that were scaled before: {question}"
            )
        elif found.steps and not found.readable:
            question = (
                f"the model has layers that prepare images ({prepares}), but it cannot be seen "
                f"whether they come first, as in a subclassed model: {question}"
            )
        rescales = not found.readable and bool(found.steps)
        questions.append(Question(question, "--mode none" if rescales else "--scale 1/255"))
    questions += more
    if questions or made is None:
        raise ChoiceError(_open(questions, what, choices))
    return made


def _said_values(choices: Choices) -> str:
    said = [key for key in ("mode", *NUMBERS, "contract") if getattr(choices, key) is not None]
    return ", ".join(f"--{key}" for key in said) or f"--pipeline {choices.pipeline}"


def _open(questions: Sequence[Question], what: str, choices: Choices) -> str:
    """The one error for what is open, with a line that would be complete."""
    said = [word for word in flags(choices.to_manifest()) if word]
    answers = [question.answer for question in questions]
    example = " ".join(["kerasrun-export", what, *said, *answers, "--out DIR"])
    return (
        f"{what}: expected to be told what the model does not say: "
        + "; and ".join(question.text for question in questions)
        + f". For instance, if that is how it was trained: {example}"
    )


def _keras_hub(choices: Choices, found: Preparation, channels: int, what: str) -> Preprocessing:
    """What the preprocessor of a KerasHub model does to images that load_img or another decodes."""
    resizing = choices.resample or choices.fit or choices.antialias is not None
    if choices.pipeline not in (None, KERAS_HUB) or resizing or choices.says_values:
        raise ChoiceError(
            f"{what}: the model has a KerasHub preprocessor, which says the size, the filter, the "
            "fit and the values. Expected --pipeline keras_hub, or --decoder and --color alone; if "
            "images come to it prepared in another way, say so by flags and --confirm-preprocessing"
        )
    if choices.pipeline is None and choices.decoder is None:
        raise ChoiceError(
            f"{what}: expected to be told how images are decoded before the model's KerasHub "
            "preprocessor: --pipeline keras_hub (load_img), or --decoder "
            f"{'|'.join(LIBRARIES)}. For instance: kerasrun-export {what} --pipeline keras_hub "
            "--out DIR"
        )
    decode = Decode(choices.decoder or "pillow", exif=choices.decoder == "opencv")
    if choices.decoder == "opencv":
        decode = replace(decode, color="bgr")
    decode = _decode(choices, Preprocessing(decode))
    if CHANNELS[decode.color] != channels:
        raise ChoiceError(
            f"--color {decode.color}: the model takes {channels} channels, expected "
            f"{' or '.join(color for color, count in CHANNELS.items() if count == channels)}"
        )
    return replace(found.converter, decode=decode)
