"""What each input of a model is, and how an image becomes its tensor."""

from collections.abc import Sequence
from dataclasses import replace

from kerasrun_export import images
from kerasrun_export.choices import Question, decide
from kerasrun_export.contract import Input
from kerasrun_export.errors import ChoiceError
from kerasrun_export.recipe import Loaded
from kerasrun_export.signature import TensorSpec


def describe(specs: Sequence[TensorSpec], loaded: Loaded, confirmed: bool) -> list[Input]:
    """The inputs as the manifest has them. Raises ChoiceError where one is an image of which it is
    not said how it is made.
    """
    made = []
    unknown = loaded.choices.input.keys() - {spec.name for spec in specs}
    if unknown:
        raise ChoiceError(
            f"--input: {loaded.architecture} has no input {', '.join(sorted(unknown))}; it takes "
            + _words(specs)
        )
    for number, spec in enumerate(specs):
        layout = _layout(specs, number, loaded)
        if spec.dtype == "string":
            made.append(Input(spec.name, "encoded", spec.dtype, spec.shape))
        elif layout is None:
            made.append(Input(spec.name, "tensor", spec.dtype, spec.shape))
        else:
            made.append(_image(spec, layout, loaded, confirmed, number))
    if loaded.choices.says_images and not any(each.kind == "image" for each in made):
        said = replace(loaded.choices, input={}).to_manifest()
        raise ChoiceError(
            f"{loaded.architecture}: takes no image of 1, 3 or 4 channels in float32, float16 or "
            f"uint8, so expected no flags of how images are made, got {', '.join(said)}; it takes "
            f"{_words(specs)}"
        )
    return made


def _words(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.name} {spec.dtype} {spec.shape}" for spec in specs)


def _layout(specs: Sequence[TensorSpec], number: int, loaded: Loaded) -> str | None:
    """How an image lies in the tensor of an input; None: it is none.

    Raises ChoiceError where its shape may be a grey image's or a sequence's and nothing tells which
    it is, or where it is said to be an image and cannot be one.
    """
    spec, said = specs[number], loaded.choices.input.get(specs[number].name)
    layout = layout_of(spec.dtype, spec.shape)
    if said == "tensor":
        return None
    if layout is None and said == "image":
        raise ChoiceError(
            f"--input {spec.name}=image: expected a tensor of float32, float16 or uint8 and of 1, "
            f"3 or 4 channels, or of none, which an image can be, got {spec.dtype} {spec.shape}"
        )
    if layout != "NHW" or said == "image":
        return layout
    # What is said of images is said of this input where no other can be meant.
    alone = not any(layout_of(o.dtype, o.shape) for o in specs if o is not spec)
    if loaded.preparation.of(number).of_images or (alone and loaded.choices.says_images):
        return layout
    command = f"kerasrun-export {loaded.architecture} --input {spec.name}=tensor --out DIR"
    raise ChoiceError(
        f"{loaded.architecture}: expected to be told what the input {spec.name} {spec.shape} is, "
        f"for its shape may be that of grey images and that of anything else, as a sequence of "
        f"rows: --input {spec.name}=tensor (it is served as it is, by predict), or --input "
        f"{spec.name}=image and how images are made (--pipeline, --color grayscale, ...). For "
        f"instance: {command}"
    )


def layout_of(dtype: str, shape: Sequence[int]) -> str | None:
    """How an image would lie in a tensor: NHWC, NCHW or NHW; None: it can be none."""
    if dtype not in ("float32", "float16", "uint8"):
        return None
    if len(shape) == 3:
        return "NHW"
    if len(shape) != 4:
        return None
    if shape[3] in (1, 3, 4):
        return "NHWC"
    return "NCHW" if shape[1] in (1, 3, 4) else None


def _image(spec: TensorSpec, layout: str, loaded: Loaded, confirmed: bool, number: int) -> Input:
    channels = {"NHWC": spec.shape[-1], "NCHW": spec.shape[1], "NHW": 1}[layout]
    height, width = spec.shape[2:4] if layout == "NCHW" else spec.shape[1:3]
    found, choices = loaded.preparation.of(number), loaded.choices
    more = []
    hub = found.converter is not None and choices.pipeline in (None, "keras_hub")
    hub = hub and choices.contract is None
    if -1 in (height, width) and not hub and choices.said_fit != "none":
        text = (
            "the size, which the model leaves free: --image-size HxW, or --fit none for images of "
            "any size as they are"
        )
        more.append(Question(text, "--image-size 224x224"))
    made = decide(choices, found, channels, loaded.architecture, confirmed, more)
    if spec.dtype == "uint8" and made.normalize.steps:
        raise ChoiceError(
            f"{spec.name}: the model takes uint8, whole numbers of 0 to 255: expected --mode none"
        )
    described = Input(
        spec.name,
        "image",
        spec.dtype,
        spec.shape,
        layout,
        made.decode,
        made.resize,
        made.normalize,
    )
    images.check(described)
    return described
