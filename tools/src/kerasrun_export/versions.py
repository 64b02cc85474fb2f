"""The versions of TensorFlow and Keras that are supported, which the tests run at both ends."""

TENSORFLOW = ((2, 17), (2, 21))
KERAS = ((3, 5), (3, 15))
INSTALL = "pip install 'kerasrun-export[cpu]', or [tensorflow], or [gpu]"


def check_tensorflow(version: str | None, cause: BaseException | None = None) -> None:
    """Raises ImportError unless TensorFlow is installed in a version that is supported."""
    if version is None or not _within(version, TENSORFLOW):
        found = version or "none"
        raise ImportError(
            f"tensorflow: expected {_text(TENSORFLOW)}, found {found}: {INSTALL}"
        ) from cause


def check_keras(version: str, backend: str) -> None:
    """Raises ImportError unless Keras is a version that is supported and runs on TensorFlow."""
    if not _within(version, KERAS):
        raise ImportError(f"keras: expected {_text(KERAS)}, found {version}")
    if backend != "tensorflow":
        raise ImportError(
            f"keras: expected the backend tensorflow (KERAS_BACKEND), found {backend}"
        )


def _within(version: str, limits: tuple[tuple[int, int], tuple[int, int]]) -> bool:
    first, second = version.split(".")[:2]
    return limits[0] <= (int(first), int(second)) <= limits[1]


def _text(limits: tuple[tuple[int, int], tuple[int, int]]) -> str:
    oldest, newest = (".".join(map(str, limit)) for limit in limits)
    return f"{oldest} to {newest}"
