"""Reads the tensors of a PyTorch weights file without PyTorch: the format before PyTorch 1.6.

Such a file is four pickles (a magic number, a version, what machine wrote it, and a dict of tensors
whose storages are named by persistent ids), a fifth with the names of the storages, and then for
each storage its length (int64) and its numbers, little-endian. Source: torch/serialization.py,
`_legacy_save`.

A pickle is a program. This runs only what such a file needs: it makes numbers, text, containers and
arrays, calls nothing, and takes no more memory than the file's own size allows.
"""

import io
import math
import pickletools
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short

import numpy as np

from kerasrun_export import files
from kerasrun_export.errors import WeightsError

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
}
MOST_DIMENSIONS = 32
ORDERED_DICT, REBUILD_TENSOR = "collections.OrderedDict", "torch._utils._rebuild_tensor_v2"
MARK = object()  # on the stack, where a run of items begins


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The file's tensors by name, in its order; read-only, those of one storage share its memory.

    Raises WeightsError for anything but such a file, whole.
    """
    try:
        return _read(files.read(path, files.GRAPH))
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from error
    except _FileError as error:
        raise WeightsError(
            f"{path}: expected tensors as PyTorch's torch.save wrote them before version 1.6, got "
            f"{error}"
        ) from error


class _FileError(Exception):
    """What the file has in place of what it should have."""


@dataclass(frozen=True)
class _Global:
    """A name that a pickle imports; it stays a name."""

    name: str


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype
    length: int


@dataclass(frozen=True)
class _Tensor:
    """A tensor whose numbers have not been read; offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _read(content: bytes) -> dict[str, np.ndarray]:
    file = io.BytesIO(content)
    magic, version, machine = (_Pickle(file, len(content)).load() for _ in range(3))
    if magic != MAGIC or version != VERSION:
        raise _FileError(f"magic number {short(magic)} and version {short(version)}")
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise _FileError(f"a machine that is not little-endian: {short(machine)}")
    pickled = _Pickle(file, len(content))
    tensors = pickled.load()
    if not isinstance(tensors, dict):
        raise _FileError(f"{short(tensors)} in place of a dict of tensors")
    for name, tensor in tensors.items():
        if not isinstance(tensor, _Tensor):
            raise _FileError(f"{short(tensor)} in place of tensor {short(name)}")
    keys = _Pickle(file, len(content)).load()
    named = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    if not named or sorted(keys) != sorted(pickled.storages):
        raise _FileError("other storages than its tensors name")
    position = file.tell()
    arrays = {}
    for key in keys:
        storage = pickled.storages[key]
        length = int.from_bytes(content[position : position + 8], "little")
        position += 8
        end = position + storage.length * storage.dtype.itemsize
        if length != storage.length or end > len(content):
            raise _FileError(f"storage {short(key)} cut off, or of another length")
        arrays[key] = np.frombuffer(content, storage.dtype, length, position)
        position = end
    if position != len(content):
        raise _FileError(f"{len(content) - position} bytes after its end")
    return {name: _view(arrays[tensor.storage.key], tensor) for name, tensor in tensors.items()}


def _view(numbers: np.ndarray, tensor: _Tensor) -> np.ndarray:
    """The tensor within its storage, whose bounds `_tensor` has checked."""
    strides = [
        stride * numbers.itemsize if side > 1 else 0
        for side, stride in zip(tensor.shape, tensor.strides, strict=True)
    ]
    return np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :], tensor.shape, strides, writeable=False
    )


class _Pickle:
    """The stack machine of one pickle. limit: bytes that all storages together may have."""

    def __init__(self, file: io.BytesIO, limit: int) -> None:
        self.file, self.limit = file, limit
        self.stack: list = []
        self.memo: dict[int, object] = {}
        self.storages: dict[str, _Storage] = {}

    def load(self) -> object:
        """The object; the file's position is then after its pickle."""
        try:
            for opcode, argument, _ in pickletools.genops(self.file):
                self._step(opcode.name, argument)
            (value,) = self.stack
        except _FileError:
            raise
        except Exception as error:  # pickletools' own, an empty stack, a key that has no hash
            raise _FileError(f"a damaged pickle: {short(str(error))}") from error
        return value

    def _step(self, name: str, argument) -> None:
        stack = self.stack
        match name:
            case "PROTO" | "STOP":
                pass
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINUNICODE":
                stack.append(argument)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "MARK":
                stack.append(MARK)
            case "TUPLE":
                stack.append(tuple(self._after_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(name[-1])
                items = [stack.pop() for _ in range(count)]
                stack.append(tuple(reversed(items)))
            case "APPEND" | "APPENDS":
                items = [stack.pop()] if name == "APPEND" else self._after_mark()
                _expect(stack[-1], list).extend(items)
            case "SETITEM" | "SETITEMS":
                items = [stack.pop(-2), stack.pop()] if name == "SETITEM" else self._after_mark()
                keys = [_expect(key, str) for key in items[::2]]
                _expect(stack[-1], dict).update(zip(keys, items[1::2], strict=True))
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "GLOBAL":
                stack.append(_Global(argument.replace(" ", ".", 1)))
            case "BINPERSID":
                stack.append(self._storage(stack.pop()))
            case "REDUCE":
                arguments = stack.pop()
                stack.append(_call(stack.pop(), arguments))
            case "BUILD":  # of the dict of tensors: the versions of PyTorch's modules
                stack.pop()
                _expect(stack[-1], dict)
            case _:
                raise _FileError(f"a pickle with the operation {name}")

    def _after_mark(self) -> list:
        start = len(self.stack) - 1
        while self.stack[start] is not MARK:
            start -= 1
        items = self.stack[start + 1 :]
        del self.stack[start:]
        return items

    def _storage(self, identity: object) -> _Storage:
        """("storage", type, key, device, elements, None)."""
        match identity:
            case ("storage", _Global(name), str(key), str(), int(length), None):
                kind = name.removeprefix("torch.")
            case _:
                raise _FileError(f"a persistent id {short(identity)}")
        if kind not in STORAGES:
            raise _FileError(f"a storage of type {short(name)}")
        storage = _Storage(key, np.dtype(STORAGES[kind]), length)
        known = self.storages.setdefault(key, storage)
        if known != storage:
            raise _FileError(f"a storage {short(key)} of two kinds")
        if known is storage:
            self.limit -= length * storage.dtype.itemsize
        if length < 1 or self.limit < 0:
            raise _FileError(f"a storage {short(key)} of {short(length)} elements in this file")
        return storage


def _expect(value: object, kind: type):
    if not isinstance(value, kind):
        raise _FileError(f"a {type(value).__name__} where a {kind.__name__} belongs")
    return value


def _call(function: object, arguments: object) -> object:
    """What the two functions that such a file calls would give."""
    match function, arguments:
        case _Global(name), () if name == ORDERED_DICT:
            return {}
        case _Global(name), tuple() if name == REBUILD_TENSOR:
            return _tensor(arguments)
    name = function.name if isinstance(function, _Global) else function
    raise _FileError(f"a call of {short(name)}")


def _tensor(arguments: tuple) -> _Tensor:
    """(storage, offset, shape, strides, requires_grad, backward_hooks), within its storage."""
    match arguments:
        case (_Storage() as storage, int(offset), tuple(shape), tuple(strides), bool(), dict()):
            pass
        case _:
            raise _FileError(f"a tensor of {short(arguments)}")
    numbers = (offset, *shape, *strides)
    if (
        len(shape) != len(strides)
        or len(shape) > MOST_DIMENSIONS
        or not all(isinstance(number, int) and number >= 0 for number in numbers)
        or not all(1 <= side <= storage.length for side in shape)
        or math.prod(shape) > storage.length
    ):
        raise _FileError(f"a tensor of shape {short(shape)} and strides {short(strides)}")
    reach = sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
    if offset + reach >= storage.length:
        raise _FileError(f"a tensor that leaves its storage of {storage.length} elements")
    return _Tensor(storage, offset, shape, strides)
