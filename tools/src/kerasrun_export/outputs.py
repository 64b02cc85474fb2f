"""What each output of a model is: found from its graph, or said by the user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from kerasrun_export.contract import OUTPUT_KINDS, Input, Output
from kerasrun_export.errors import ChoiceError
from kerasrun_export.serving import Served

DEFAULT = "serving_default"
ACTIVATIONS = ("softmax", "sigmoid")
CLASSES = ("probabilities", "logits", "binary", "multilabel")
THRESHOLD = 0.5  # as Keras's BinaryAccuracy has it


@dataclass(frozen=True)
class Meaning:
    """What the user says of the outputs.

    kinds: by name of the output, of OUTPUT_KINDS. activation: of outputs without one, which are
    logits then. thresholds: of a binary or multilabel answer. names: of the answer's classes.
    """

    kinds: Mapping[str, str] = field(default_factory=dict)
    activation: str | None = None
    thresholds: tuple[float, ...] | None = None
    names: Sequence[Sequence[str]] | None = None


def check(meaning: Meaning) -> None:
    """Raises ChoiceError where a word is unknown."""
    for name, kind in meaning.kinds.items():
        if kind not in OUTPUT_KINDS:
            raise ChoiceError(
                f"--kind {name}={kind}: expected one of {', '.join(OUTPUT_KINDS)}, got {kind!r}"
            )
    if meaning.activation not in (None, *ACTIVATIONS):
        raise ChoiceError(
            f"--activation: expected {' or '.join(ACTIVATIONS)}, got {meaning.activation!r}"
        )
    for threshold in meaning.thresholds or ():
        if not 0 <= threshold <= 1:
            raise ChoiceError(f"--threshold: expected numbers from 0 to 1, got {threshold}")


def classify(
    served: Served, meaning: Meaning, labels: str, signature: str = DEFAULT
) -> tuple[dict[str, list[Output]], str]:
    """The outputs by signature, as the manifest has them, and the name of the answer ("": none).

    labels: the path of the class names, for the outputs that are of these classes. signature: the
    one that answers images.

    Raises ChoiceError where the graph does not tell and the user has not said, or where the names
    or thresholds do not fit.
    """
    check(meaning)
    names = {output.name for output in served.outputs}
    for name in meaning.kinds:
        if name not in names:
            raise ChoiceError(
                f"--kind {name}: the model has no such output, expected one of "
                f"{', '.join(sorted(names))}"
            )
    probs = next((o for o in served.outputs if o.name == "probs"), None)
    found, open_names = {}, []
    for output in served.outputs:
        if output.name == "logits" and _answers_as(output, probs):
            kind = Output(output.name, "logits", activation=probs.activation)
        else:
            kind = _kind(served, output, meaning)
        if kind is None:
            open_names.append(output)
        else:
            found[output.name] = kind
    if open_names:
        raise ChoiceError(_question(open_names))
    _check_activation(served, found, meaning)
    default = [found[o.name] for o in served.outputs if o.signature == signature]
    answer = _answer(default)
    sizes = {output.name: output.shape[-1] for output in served.outputs if output.shape}
    if meaning.thresholds is not None:
        _set_thresholds(found, answer, sizes, meaning.thresholds)
    if meaning.names is not None:
        _set_labels(found, answer, sizes, len(meaning.names), labels)
    signatures = {
        key: [found[name] for name in names] for key, names in sorted(served.signatures.items())
    }
    return dict(sorted(signatures.items(), key=lambda item: item[0] != signature)), answer


def _answers_as(logits, probs) -> bool:
    """Whether the logits are those of `probs`: of as many classes."""
    return probs is not None and probs.activation in ACTIVATIONS and probs.shape == logits.shape


def _check_activation(served: Served, found: Mapping[str, Output], meaning: Meaning) -> None:
    """Raises ChoiceError where --activation says something of no output, or of one class."""
    if meaning.activation is None:
        return
    for output in served.outputs:
        kind, has = found[output.name].kind, output.activation in ACTIVATIONS
        if kind != "logits" or has or (output.name == "logits" and "probs" in found):
            continue
        if meaning.activation == "softmax" and output.shape[-1] == 1:
            raise ChoiceError(
                f"--activation softmax: {output.name} is one number, whose softmax is always 1: "
                "expected --activation sigmoid"
            )
        return
    have = ", ".join(f"{o.name} ({found[o.name].kind})" for o in served.outputs)
    raise ChoiceError(
        f"--activation {meaning.activation}: expected an output of logits, which has no activation "
        f"in the model, got {have}: leave it away. Where your own code puts another "
        f"{meaning.activation} after the model's, put it into the model"
    )


def _kind(served: Served, output, meaning: Meaning) -> Output | None:
    """An output's kind; None where the graph does not tell."""
    name, rank = output.name, len(output.shape)
    said = meaning.kinds.get(name)
    single = rank == 2 and output.shape[-1] == 1
    activation = output.activation if output.activation in ACTIVATIONS else None
    if said is not None:
        _check_said(output, said)
        if said == "logits":
            if meaning.activation is None:
                raise ChoiceError(f"--kind {name}=logits: expected --activation softmax|sigmoid")
            return Output(name, "logits", activation=meaning.activation)
        return _with_defaults(Output(name, said))
    if not output.dtype.startswith("float"):
        return Output(name, "tensor")
    if name == "features" and rank == 2 and (served.headless or output.signature != DEFAULT):
        return Output(name, "embedding", normalized=False)
    if rank == 4 and not served.headless:  # without a softmax it may be an image, or a depth
        return Output(name, "map") if activation == "softmax" and output.shape[-1] != 1 else None
    if rank != 2:
        return Output(name, "tensor")
    if activation == "softmax":
        return Output(name, "probabilities")
    if activation == "sigmoid":
        return _with_defaults(Output(name, "binary" if single else "multilabel"))
    if output.operation in ("Mean", "Max"):  # pooling is the last of it: no classifier
        return Output(name, "embedding", normalized=False)
    if _is_normalized(served, name):
        return Output(name, "embedding", normalized=True)
    if meaning.activation is not None:
        return Output(name, "logits", activation=meaning.activation)
    return None


# Of what rank, with the batch, and how many numbers an output of a kind is.
RANKS = {"map": 4, "probabilities": 2, "logits": 2, "binary": 2, "multilabel": 2}


def _check_said(output, said: str) -> None:
    """Raises ChoiceError where an output cannot be of the kind."""
    name, shape = output.name, output.shape
    if not shape:
        return
    words = f"--kind {name}={said}: expected"
    if said in RANKS and len(shape) != RANKS[said]:
        form = "(batch, height, width, classes)" if said == "map" else "(batch, classes)"
        raise ChoiceError(f"{words} an output of shape {form}, got {shape}")
    if said == "probabilities" and shape[-1] == 1:
        raise ChoiceError(f"{words} several classes, got one number: binary, of one sigmoid?")
    if said == "binary" and shape[-1] not in (-1, 1):
        raise ChoiceError(f"{words} one number, got {shape[-1]}: probabilities or multilabel?")


def check_maps(
    inputs: Sequence[Input], outputs: Sequence, signatures: Mapping[str, Sequence[Output]]
) -> None:
    """Raises ChoiceError where a map has its classes before its height, as its images have their
    channels."""
    sizes = [one.size for one in inputs if one.layout == "NCHW"]
    maps = {one.name for found in signatures.values() for one in found if one.kind == "map"}
    for output in outputs:
        if output.name not in maps or not sizes or len(output.shape) != 4:
            continue
        height, width = output.shape[1:3]
        if height == width == -1:
            continue
        if all(height * size[1] != width * size[0] for size in sizes):
            raise ChoiceError(
                f"--kind {output.name}=map: expected (batch, height, width, classes), got "
                f"{output.shape} of images that have their channels first: end the model with "
                f"Permute((2, 3, 1)), or say --kind {output.name}=tensor"
            )


def _with_defaults(output: Output) -> Output:
    if output.kind in ("binary", "multilabel"):
        return replace(output, thresholds=(THRESHOLD,))
    if output.kind == "embedding":
        return replace(output, normalized=False)
    return output


def _is_normalized(served: Served, name: str) -> bool:
    layers = getattr(served.model, "layers", [])
    last = [layer for layer in layers if type(layer).__name__ == "UnitNormalization"]
    return bool(last) and last[-1] is layers[-1]


def _question(outputs: Sequence) -> str:
    words = ", ".join(f"{o.name} {tuple(o.shape)}" for o in outputs)
    first = outputs[0].name
    if all(len(o.shape) == 4 for o in outputs):
        return (
            f"the model does not say what the numbers of each place of an image are ({words}): "
            f"expected --kind {first}=map for classes of pixels (the largest is it; of one value, "
            f"a sigmoid's, class 1 is over 0.5), or --kind {first}=tensor for an image, features "
            "or anything else"
        )
    return (
        f"the model's last layer has no activation ({words}), so it does not say what its numbers "
        "are: expected --activation softmax or --activation sigmoid for logits of classes "
        f"(from_logits=True in training), or --kind {first}=probabilities|binary|multilabel for "
        f"what is a probability already, or --kind {first}=regression|embedding|map|tensor"
    )


def _answer(default: Sequence[Output]) -> str:
    """The output that answers an image: the only one, but for logits beside their probs."""
    names = [output.name for output in default]
    if "probs" in names and set(names) <= {"probs", "logits"}:
        return "probs"
    if len(default) == 1:
        return "" if default[0].kind == "tensor" else names[0]
    classes = [output.name for output in default if output.kind in CLASSES]
    return classes[0] if len(classes) == 1 else ""


def _set_thresholds(
    found: dict[str, Output], answer: str, sizes: Mapping[str, int], thresholds: tuple[float, ...]
) -> None:
    kind = found[answer].kind if answer else "none"
    if kind not in ("binary", "multilabel"):
        raise ChoiceError(
            f"--threshold: expected a model that answers by sigmoid, got one of kind {kind}"
        )
    if len(thresholds) not in (1, sizes[answer]):
        raise ChoiceError(
            f"--threshold: expected 1 or {sizes[answer]}, one a class, got {len(thresholds)}"
        )
    found[answer] = replace(found[answer], thresholds=thresholds)


def _set_labels(
    found: dict[str, Output], answer: str, sizes: Mapping[str, int], count: int, labels: str
) -> None:
    """Gives the answer, and the logits beside it, the class names. Raises ChoiceError."""
    kind = found[answer].kind if answer else "none"
    if kind not in (*CLASSES, "map"):
        raise ChoiceError(
            "class names: expected an output of classes that answers an image, got "
            + (f"{answer}, {kind}" if answer else "several outputs or none")
        )
    size = sizes[answer]
    wanted = (
        2 if size == 1 and (kind == "binary" or found[answer].activation == "sigmoid") else size
    )
    if count != wanted:
        two = ": of what it answers near 0, and near 1" if wanted == 2 and size == 1 else ""
        raise ChoiceError(f"class names: expected {wanted}, one for each class{two}, got {count}")
    for name, output in found.items():
        if name == answer or (output.kind == "logits" and answer == "probs"):
            found[name] = replace(output, labels=labels)
