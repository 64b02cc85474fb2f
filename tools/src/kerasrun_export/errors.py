"""What can go wrong, as exceptions whose message is one paragraph for the user."""


class ExportError(ValueError):
    """The model cannot be exported. The base of the others here."""


class ModelError(ExportError):
    """What was asked for cannot be built or loaded, or is not a model of images."""


class ChoiceError(ExportError):
    """The options contradict each other or the model, or leave something open."""


class WeightsError(ExportError):
    """The weights cannot be had or do not fit the model."""


class UnreachableError(WeightsError):
    """A server did not answer, refused, or broke off for good."""


class FileError(ExportError):
    """A file is none that can be read, or is larger than such a file may be."""


class GraphError(ExportError):
    """The model's graph cannot be frozen."""


class ManifestError(ExportError):
    """The directory has no manifest that can be read."""


class QuantizationError(ExportError):
    """The model cannot be quantized, or answers too many images otherwise when it is."""


class GoldenError(ExportError):
    """The golden pack cannot be made."""


class ImageError(ExportError):
    """The image cannot be read, or not made a tensor as the contract says."""


class FindError(ExportError):
    """No contract makes the tensors that a function feeds its model, or more than one does."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


LONGEST = 600  # characters of a message that are given; Keras puts whole configurations into some


def paragraph(error: BaseException) -> str:
    """An exception's message in one paragraph, or its type where it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = text.partition(" Full object config:")[0]
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
