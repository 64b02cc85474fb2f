"""What each input of a model is, and how an image becomes its tensor."""

from collections.abc import Sequence

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
    for number, spec in enumerate(specs):
        layout = _layout(spec, alone=len(specs) == 1)
        if spec.dtype == "string":
            made.append(Input(spec.name, "encoded", spec.dtype, spec.shape))
        elif layout is None:
            made.append(Input(spec.name, "tensor", spec.dtype, spec.shape))
        else:
            made.append(_image(spec, layout, loaded, confirmed, number))
    if loaded.choices.to_manifest() and not any(each.kind == "image" for each in made):
        raise ChoiceError(
            f"{loaded.architecture}: takes no image of 1, 3 or 4 channels, so expected no flags of "
            f"how images are made, got {', '.join(loaded.choices.to_manifest())}; it takes "
            + ", ".join(f"{spec.name} {spec.shape}" for spec in specs)
        )
    return made


def _layout(spec: TensorSpec, alone: bool) -> str | None:
    """How an image lies in the tensor; None: it is none."""
    if spec.dtype not in ("float32", "float16", "uint8"):
        return None
    if len(spec.shape) == 3 and alone:
        return "NHW"
    if len(spec.shape) != 4:
        return None
    if spec.shape[3] in (1, 3, 4):
        return "NHWC"
    return "NCHW" if spec.shape[1] in (1, 3, 4) else None


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
    return Input(
        spec.name,
        "image",
        spec.dtype,
        spec.shape,
        layout,
        made.decode,
        made.resize,
        made.normalize,
    )
