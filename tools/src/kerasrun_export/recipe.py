"""What to export: the choices a user makes, and the Keras model that they give."""

import shlex
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from kerasrun_export import choices as choosing
from kerasrun_export import efficientnet_lite0, own_predict, preparation, training, weights
from kerasrun_export.backend import keras
from kerasrun_export.choices import Choices
from kerasrun_export.errors import ChoiceError, ManifestError, ModelError
from kerasrun_export.manifest import sha256
from kerasrun_export.model import (
    IMAGENET_CLASSES,
    build,
    has_imagenet_classes,
    is_file,
    native_mode,
)
from kerasrun_export.preparation import Preparation
from kerasrun_export.resnet import DESIGNS

DEFAULT_WEIGHTS = "synthetic"


@dataclass(frozen=True)
class Loaded:
    """A Keras model with its weights.

    architecture: its name, or the path of its file. choices: of the user, and for an architecture
    that is known its own. preparation: what the model does to images itself. caffe: for a design
    whose SavedModel takes caffe-style images whatever its weights were trained with: that mode.
    image_size: (height, width) where the model's own is free. headless: without its top. weights:
    {"source", "sha256"}. published: whether it was built by the architecture's name, so that a
    published package's model of that name may be its reference.
    """

    model: keras.Model
    architecture: str
    choices: Choices
    preparation: Preparation
    headless: bool
    weights: weights.WeightsInfo
    imagenet_classes: bool
    published: bool
    caffe: str | None = None
    image_size: tuple[int, int] | None = None


def from_model(model: keras.Model, choices: Choices, size: tuple[int, int] | None) -> Loaded:
    """A live model as it is; size: (height, width), where its own is free. Raises ModelError."""
    return _own(model, model.name, weights.hash_arrays(model), choices, size)


def _own(
    model: keras.Model, source: str, sha256: str, choices: Choices, size: tuple[int, int] | None
) -> Loaded:
    """A user's model with its weights. source: its name, or its file, whose SHA-256 it is."""
    own_predict.check(model, source)
    training.check(model, source)
    origin: weights.WeightsInfo = {"source": source, "sha256": sha256}
    found = preparation.read(model)
    size = _image_size(size, found, choices, source)
    return Loaded(model, source, choices, found, False, origin, False, False, image_size=size)


def native_choices(architecture: str, spec: str) -> Choices:
    """How images become tensors for a known architecture, unless the user says otherwise."""
    if architecture == efficientnet_lite0.NAME:
        # As the weights were trained, but stretched: their authors' evaluation takes the middle
        # 7/8, and what lies outside of it would not be seen.
        return Choices("pillow", mean=(127.0,), std=(128.0,))
    return Choices("load_img", mode=native_mode(architecture, spec))


def _with_native(said: Choices, native: Choices) -> Choices:
    """What was said, and where it says nothing of loading, or of values, the architecture's own."""
    if not said.says_loading:
        said = replace(said, pipeline=native.pipeline)
    if not said.says_values and said.pipeline != "teachable_machine":
        said = replace(said, mode=native.mode, mean=native.mean, std=native.std)
    return said


def _image_size(
    size: tuple[int, int] | None, found: Preparation, choices: Choices, what: str
) -> tuple[int, int] | None:
    """The user's, or what the KerasHub preprocessor that is used makes. Raises ChoiceError."""
    other = choices.contract is not None or choices.pipeline not in (None, choosing.KERAS_HUB)
    if found.converter_size is None or other:
        return size
    own = tuple(found.converter_size)
    if size is not None and tuple(size) != own:
        raise ChoiceError(
            f"--image-size: the preprocessor of {what} makes {own[0]}x{own[1]}, got "
            f"{size[0]}x{size[1]}; leave it away"
        )
    return own


@dataclass(frozen=True)
class Recipe:
    """The options of kerasrun-export that decide what the model computes and how images become its
    tensors; None: the default.
    """

    architecture: str
    weights: str | None = None
    classes: int | None = None
    no_top: bool = False
    pooling: str | None = None
    image_size: tuple[int, int] | None = None
    custom_objects: str | None = None
    unsafe_lambda: bool = False
    choices: Choices = field(default_factory=Choices)

    def load(self, mirror: str | None = None) -> Loaded:
        """Builds the model; mirror: another base address for the published weights.

        Raises ModelError and WeightsError, and ChoiceError where the choices contradict each other.
        """
        choosing.check(self.choices)
        if is_file(self.architecture):
            return self._load_file()
        spec = self.weights or DEFAULT_WEIGHTS
        native = native_choices(self.architecture, spec)
        # Synthetic weights are calibrated on images of a mode.
        mode = self.choices.mode or native.mode or "tf"
        shape = (*self.image_size, 3) if self.image_size else None
        classes = self.classes or IMAGENET_CLASSES
        if spec == "imagenet" and not self.no_top and classes != IMAGENET_CLASSES:
            raise ModelError(
                f"the imagenet weights have a top of {IMAGENET_CLASSES} classes, not {classes}: "
                "leave out the top"
            )
        model = build(
            self.architecture,
            input_shape=shape,
            data_format="channels_last",
            include_top=not self.no_top,
            pooling=self.pooling,
            classes=classes,
        )
        origin = weights.load(model, spec, architecture=self.architecture, mode=mode, mirror=mirror)
        known, caffe = _with_native(self.choices, native), None
        if self.architecture in DESIGNS and known.mode == "torch":
            caffe, known = "torch", replace(known, mode="caffe")
        return Loaded(
            model,
            self.architecture,
            known,
            preparation.read(model),
            self.no_top,
            origin,
            has_imagenet_classes(self.architecture, model),
            True,
            caffe,
        )

    def _load_file(self) -> Loaded:
        for option, value in (
            ("--weights", self.weights),
            ("--classes", self.classes),
            ("--no-top", self.no_top),
            ("--pooling", self.pooling),
        ):
            if value:
                raise ModelError(f"{option}: {self.architecture} comes with its own")
        model = build(
            self.architecture,
            custom_objects=self.custom_objects,
            unsafe_lambda=self.unsafe_lambda,
        )
        digest = sha256(Path(self.architecture))
        return _own(model, self.architecture, digest, self.choices, self.image_size)

    def command(self) -> str:
        """The command line of kerasrun-export that makes these choices, without --out."""
        said = {key: value for key, value in self.to_manifest().items() if key != "architecture"}
        return shlex.join(["kerasrun-export", self.architecture, *choosing.flags(said)])

    def to_manifest(self) -> dict[str, object]:
        """As the manifest keeps it: the choices beside the others."""
        own = asdict(self)
        own.pop("choices")
        kept = {key: value for key, value in own.items() if value not in (None, False)}
        return kept | self.choices.to_manifest()


def from_manifest(stored: dict) -> Recipe:
    """The recipe that a directory was made by; ManifestError where it does not say."""
    options = dict(stored["recipe"])
    if not options:
        raise ManifestError(
            f"exported from a live model, {stored['architecture']}: save it as a .keras file "
            "and give that"
        )
    unknown = options.keys() - Recipe.__dataclass_fields__.keys() - set(choosing.NAMES)
    if unknown:
        raise ManifestError(
            f"made by another version: its recipe has {', '.join(unknown)}; export it again"
        )
    options = {
        key: tuple(value) if isinstance(value, list) else value for key, value in options.items()
    }
    said = {key: options.pop(key) for key in choosing.NAMES if key in options}
    return Recipe(**options, choices=Choices(**said))
