"""What to export: the choices a user makes, and the Keras model that they give."""

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path

from tools import weights
from tools.backend import keras
from tools.graph import GraphError
from tools.manifest import sha256
from tools.model import ModelError, build, has_imagenet_classes, is_file, native_mode
from tools.weights import WeightsError

ERRORS = (GraphError, ModelError, WeightsError)
DEFAULT_WEIGHTS = "seeded"


@dataclass(frozen=True)
class Loaded:
    """A model with its weights; `mode`: what its layers expect; `weights`: {"source", "sha256"}."""

    model: keras.Model
    mode: str
    headless: bool
    weights: dict[str, str]
    imagenet_classes: bool

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the input."""
        return self.model.input_shape[1:3]


@dataclass(frozen=True)
class Recipe:
    """The options of `python -m tools.export` that decide what the model computes; None: the default."""

    architecture: str = "resnext50"
    weights: str | None = None
    trained_with: str | None = None
    classes: int | None = None
    no_top: bool = False
    pooling: str | None = None
    input_shape: tuple[int, int] | None = None

    def load(self, mirror: str | None = None) -> Loaded:
        """Builds the model; mirror: another base address for the published weights. Raises one of ERRORS."""
        if is_file(self.architecture):
            return self._load_file()
        spec = self.weights or DEFAULT_WEIGHTS
        mode = self.trained_with or native_mode(self.architecture, spec)
        shape = (*self.input_shape, 3) if self.input_shape else None
        options = {"include_top": not self.no_top, "pooling": self.pooling, "classes": self.classes or 1000}
        if spec == "imagenet" and not self.no_top and options["classes"] != 1000:
            raise ModelError(f"the imagenet weights have a top of 1000 classes, not {self.classes}: leave out the top")
        model = build(self.architecture, input_shape=shape, data_format="channels_last", **options)
        origin = weights.load(model, spec, architecture=self.architecture, mode=mode, mirror=mirror)
        return Loaded(model, mode, self.no_top, origin, has_imagenet_classes(self.architecture, model))

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
        model = build(self.architecture)
        model = _with_size(model, self.input_shape, self.architecture)
        origin = {"source": self.architecture, "sha256": sha256(Path(self.architecture))}
        return Loaded(model, mode, False, origin, False)

    def flags(self) -> str:
        """The choices as they are written on the command line of tools.export."""
        flags = []
        for key, value in self.to_manifest().items():
            flags.append(f"--{key.replace('_', '-')}")
            if value is not True:
                flags.append("x".join(map(str, value)) if isinstance(value, tuple) else str(value))
        return shlex.join(flags)

    def to_manifest(self) -> dict:
        """As the manifest keeps it."""
        return {key: value for key, value in asdict(self).items() if value not in (None, False)}


def from_manifest(stored: dict) -> Recipe:
    """The recipe that a directory was made by."""
    options = dict(stored["recipe"])
    if "input_shape" in options:
        options["input_shape"] = tuple(options["input_shape"])
    return Recipe(**options)


def _with_size(model: keras.Model, size: tuple[int, int] | None, path: str) -> keras.Model:
    """The model with its height and width fixed: pictures are resized to what the SavedModel takes."""
    own = model.input_shape[1:3]
    if None not in own:
        if size and tuple(size) != tuple(own):
            raise ModelError(f"--input-shape: {path} takes {own[0]}x{own[1]}, not {size[0]}x{size[1]}")
        return model
    if size is None:
        raise ModelError(f"{path}: takes pictures of any size; name one with --input-shape HxW")
    images = keras.Input((*size, 3), name="images")
    return keras.Model(images, model(images), name=model.name)
