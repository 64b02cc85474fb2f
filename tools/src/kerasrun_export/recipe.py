"""What to export: the choices a user makes, and the Keras model that they give."""

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path

from kerasrun_export import weights
from kerasrun_export.backend import keras
from kerasrun_export.errors import ManifestError, ModelError
from kerasrun_export.manifest import sha256
from kerasrun_export.model import (
    IMAGENET_CLASSES,
    as_functional,
    build,
    has_imagenet_classes,
    is_file,
    native_mode,
    with_size,
)

DEFAULT_WEIGHTS = "synthetic"


@dataclass(frozen=True)
class Loaded:
    """A functional model with its weights, of a known image size.

    architecture: its name, or the path of its file. mode: the preprocessing that its layers expect.
    headless: without its top. weights: {"source", "sha256"}. published: whether it was built by the
    architecture's name, so that a published package's model of that name may be its reference.
    """

    model: keras.Model
    architecture: str
    mode: str
    headless: bool
    weights: weights.WeightsInfo
    imagenet_classes: bool
    published: bool

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the input."""
        return self.model.input_shape[1:3]


def from_model(model: keras.Model, mode: str, size: tuple[int, int] | None) -> Loaded:
    """A live model as it is; size: (height, width), where its own is free. Raises ModelError."""
    model = with_size(as_functional(model, model.name), size, model.name)
    origin: weights.WeightsInfo = {"source": model.name, "sha256": weights.hash_arrays(model)}
    return Loaded(model, model.name, mode, False, origin, False, False)


@dataclass(frozen=True)
class Recipe:
    """The options of kerasrun-export that decide what the model computes; None: the default."""

    architecture: str
    weights: str | None = None
    trained_with: str | None = None
    classes: int | None = None
    no_top: bool = False
    pooling: str | None = None
    image_size: tuple[int, int] | None = None

    def load(self, mirror: str | None = None) -> Loaded:
        """Builds the model; mirror: another base address for the published weights.

        Raises ModelError and WeightsError.
        """
        if is_file(self.architecture):
            return self._load_file()
        spec = self.weights or DEFAULT_WEIGHTS
        mode = self.trained_with or native_mode(self.architecture, spec)
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
        imagenet = has_imagenet_classes(self.architecture, model)
        return Loaded(model, self.architecture, mode, self.no_top, origin, imagenet, True)

    def _load_file(self) -> Loaded:
        for option, value in (
            ("--weights", self.weights),
            ("--classes", self.classes),
            ("--no-top", self.no_top),
            ("--pooling", self.pooling),
        ):
            if value:
                raise ModelError(f"{option}: {self.architecture} comes with its own")
        mode = self.trained_with or native_mode(self.architecture)
        model = as_functional(build(self.architecture), self.architecture)
        model = with_size(model, self.image_size, self.architecture)
        origin: weights.WeightsInfo = {
            "source": self.architecture,
            "sha256": sha256(Path(self.architecture)),
        }
        return Loaded(model, self.architecture, mode, False, origin, False, False)

    def command(self) -> str:
        """The command line of kerasrun-export that makes these choices, without --out."""
        words = ["kerasrun-export", self.architecture]
        for key, value in self.to_manifest().items():
            if key == "architecture":
                continue
            words.append(f"--{key.replace('_', '-')}")
            if value is not True:
                words.append("x".join(map(str, value)) if isinstance(value, tuple) else str(value))
        return shlex.join(words)

    def to_manifest(self) -> dict[str, object]:
        """As the manifest keeps it."""
        return {key: value for key, value in asdict(self).items() if value not in (None, False)}


def from_manifest(stored: dict) -> Recipe:
    """The recipe that a directory was made by; ManifestError where it does not say."""
    options = dict(stored["recipe"])
    if not options:
        raise ManifestError(
            f"exported from a live model, {stored['architecture']}: save it as a .keras file "
            "and give that"
        )
    unknown = options.keys() - Recipe.__dataclass_fields__.keys()
    if unknown:
        raise ManifestError(
            f"made by another version: its recipe has {', '.join(unknown)}; export it again"
        )
    if "image_size" in options:
        options["image_size"] = tuple(options["image_size"])
    return Recipe(**options)
