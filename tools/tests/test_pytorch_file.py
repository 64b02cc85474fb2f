"""PyTorch's format: what it holds is read, and nothing else is ever built or run."""

import collections
import io
import pickle
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from kerasrun_export import efficientnet_lite0, pytorch_file
from kerasrun_export.errors import WeightsError

# Files are made as torch/serialization.py's _legacy_save makes them: the same pickles by the same
# pickler. Against PyTorch 2.9.0's own torch.save and torch.load, 2026-11-30: every type, views and
# shared storages, and all 296 tensors of the trained weights were equal.


class Global:
    """Pickled as the import of a name, which need not be there."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Call:
    """Pickled as a call of a Global."""

    def __init__(self, function: Global, *arguments) -> None:
        self.function, self.arguments = function, arguments


class Storage:
    def __init__(self, kind: str, key: str, length: int, numbers: bytes = b"") -> None:
        self.kind, self.key, self.length, self.numbers = kind, key, length, numbers


class Pickler(pickle._Pickler):
    """Python's own, at protocol 2, with the three kinds above."""

    def __init__(self, file) -> None:
        super().__init__(file, protocol=2)

    def save(self, value, save_persistent_id=True):
        if isinstance(value, Global):
            self.write(f"c{value.module}\n{value.name}\n".encode())
        elif isinstance(value, Call):
            self.save(value.function)
            self.save(value.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(value, save_persistent_id)

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        return "storage", Global("torch", value.kind), value.key, "cpu", value.length, None


def pickled(value) -> bytes:
    file = io.BytesIO()
    Pickler(file).dump(value)
    return file.getvalue()


def tensor(storage: Storage, offset: int, shape: tuple, strides: tuple) -> Call:
    function = Global("torch._utils", "_rebuild_tensor_v2")
    hooks = Call(Global("collections", "OrderedDict"))
    return Call(function, storage, offset, shape, strides, False, hooks)


def store(key: str, array: np.ndarray) -> Storage:
    kinds = {np.dtype(value): kind for kind, value in pytorch_file.STORAGES.items()}
    return Storage(kinds[array.dtype], key, array.size, array.tobytes())


HEAD = [pytorch_file.MAGIC, 1001, {"protocol_version": 1001, "little_endian": True}]


def content(tensors, storages: list[Storage], head=HEAD) -> bytes:
    """A whole file. tensors: an object to pickle, or bytes that are a pickle."""
    body = tensors if isinstance(tensors, bytes) else pickled(tensors)
    parts = [*map(pickled, head), body, pickled([storage.key for storage in storages])]
    parts += [struct.pack("<q", storage.length) + storage.numbers for storage in storages]
    return b"".join(parts)


def read(tmp_path: Path, data: bytes) -> dict[str, np.ndarray]:
    (tmp_path / "x.pth").write_bytes(data)
    return pytorch_file.read_tensors(tmp_path / "x.pth")


@pytest.mark.parametrize("kind", pytorch_file.STORAGES.values())
def test_tensors_of_every_type(kind, tmp_path):
    numbers = np.arange(24, dtype=kind)
    storage, other = store("1", numbers), store("2", numbers[:1])
    tensors = collections.OrderedDict(
        whole=tensor(storage, 0, (2, 3, 4), (12, 4, 1)),
        transposed=tensor(storage, 3, (4, 3), (1, 4)),
        every_second=tensor(storage, 0, (12,), (2,)),
        repeated=tensor(storage, 5, (3, 4), (0, 1)),
        scalar=tensor(other, 0, (), ()),
    )
    got = read(tmp_path, content(tensors, [storage, other]))
    assert list(got) == list(tensors)
    np.testing.assert_array_equal(got["whole"], numbers.reshape(2, 3, 4))
    np.testing.assert_array_equal(got["transposed"], numbers[3:15].reshape(3, 4).T)
    np.testing.assert_array_equal(got["every_second"], numbers[::2])
    np.testing.assert_array_equal(got["repeated"], np.tile(numbers[5:9], (3, 1)))
    assert got["scalar"].shape == ()
    assert all(array.dtype == kind and not array.flags.writeable for array in got.values())


def four() -> Storage:
    return store("1", np.arange(4, dtype="<f4"))


def one(shape=(4,), strides=(1,), offset=0, storage=None) -> dict:
    return {"a": tensor(storage or four(), offset, shape, strides)}


def opcodes(*parts: bytes) -> bytes:
    return b"\x80\x02" + b"".join(parts) + b"."


SYSTEM = b"cposix\nsystem\n"
HOSTILE = {
    "a call of the system": (Call(Global("posix", "system"), "id"), "a call of 'posix.system'"),
    "a call of eval": (Call(Global("builtins", "eval"), "1"), "a call of 'builtins.eval'"),
    "a call of a class": (Call(Global("torch", "FloatStorage"), 9), "a call of 'torch.FloatS"),
    "a call of numpy": (Call(Global("numpy", "zeros"), 1 << 40), "a call of 'numpy.zeros'"),
    "getattr through a dict": (
        Call(Global("collections", "OrderedDict"), [["a", 1]]),
        "a call of 'collections.OrderedDict'",
    ),
    "a call of text": (opcodes(b"X\x02\0\0\0os", b")R"), "a call of 'os'"),
    "an import alone": ({"a": Global("os", "system")}, "_Global(name='os.system') in place of"),
    "an object": (opcodes(SYSTEM, b")\x81"), "a pickle with the operation NEWOBJ"),
    "an instance": (opcodes(b"(iposix\nsystem\n"), "a pickle with the operation INST"),
    "an import by text": (
        opcodes(b"X\x05\0\0\0posixX\x06\0\0\0system\x93"),
        "a pickle with the operation STACK_GLOBAL",
    ),
    "an extension": (opcodes(b"\x82\x01"), "a pickle with the operation EXT1"),
    "state for a name": (opcodes(SYSTEM, b"}b"), "a _Global where a dict belongs"),
    "items for a name": (opcodes(SYSTEM, b"X\x01\0\0\0aNs"), "a _Global where a dict belongs"),
    "text for a list": (opcodes(b"X\x01\0\0\0aNa"), "a str where a list belongs"),
    "a key that is a tuple": (opcodes(b"})Ns"), "a tuple where a str belongs"),
    "a deep key": (opcodes(b"}", b")", b"\x85" * 10**5, b"Ns"), "a tuple where a str belongs"),
    "a deep value": (opcodes(b")", b"\x85" * 10**5), "in place of a dict of tensors"),
    "a memo of 2^32": (opcodes(b"Nr\xff\xff\xff\xff"), "None in place of a dict"),
    "text of 2^32 bytes": (opcodes(b"X\xff\xff\xff\xff"), "a damaged pickle"),
    "bytes of 2^63": (opcodes(b"\x8e" + b"\xff" * 7 + b"\x7f"), "a damaged pickle"),
    "a number of 2^31 bytes": (opcodes(b"\x8b\xff\xff\xff\x7f"), "a damaged pickle"),
    "nothing on the stack": (opcodes(b"R"), "a damaged pickle"),
    "no mark": (opcodes(b"t"), "a damaged pickle"),
    "two objects": (opcodes(b"NN"), "a damaged pickle"),
    "a memo of nothing": (opcodes(b"h\x05"), "a damaged pickle"),
    "no end": (b"\x80\x02}", "a damaged pickle"),
    "a list": ([], "[] in place of a dict of tensors"),
    "a number": ({"a": 1}, "1 in place of tensor 'a'"),
    "a module": (opcodes(b"(X\x06\0\0\0moduleNtQ"), "a persistent id ('module', None)"),
    "a storage of another type": (
        one(storage=Storage("ComplexFloatStorage", "1", 2, bytes(16))),
        "a storage of type 'torch.ComplexFloatStorage'",
    ),
    "a storage without a type": (
        opcodes(b"(X\x07\0\0\0storageNX\x01\0\0\x001X\x03\0\0\0cpuK\x01NtQ"),
        "a persistent id ('storage', None, '1', 'cpu', 1, None)",
    ),
    "a storage larger than the file": (
        one(storage=Storage("FloatStorage", "1", 1 << 40)),
        "a storage '1' of 1099511627776 elements in this file",
    ),
    "a storage of less than nothing": (
        one(storage=Storage("FloatStorage", "1", -4)),
        "a storage '1' of -4 elements in this file",
    ),
    "storages that are large together": (
        {
            str(i): tensor(Storage("FloatStorage", str(i), 100), 0, (100,), (1,))
            for i in range(1000)
        },
        "elements in this file",
    ),
    "a storage of two kinds": (
        one() | {"b": tensor(Storage("IntStorage", "1", 4), 0, (4,), (1,))},
        "a storage '1' of two kinds",
    ),
    "a tensor beyond its storage": (one((4,), (1,), 1), "leaves its storage of 4 elements"),
    "strides beyond it": (one((2, 2), (3, 1)), "leaves its storage of 4 elements"),
    "an offset before it": (one((4,), (1,), -1), "a tensor of shape (4,) and strides (1,)"),
    "strides before it": (one((4,), (-1,), 3), "a tensor of shape (4,) and strides (-1,)"),
    "more elements than it has": (one((4, 4), (0, 1)), "a tensor of shape (4, 4)"),
    "an endless tensor": (one((1 << 62,), (0,)), "a tensor of shape (4611686018427387904,)"),
    "a tensor of nothing": (one((0,), (1,)), "a tensor of shape (0,)"),
    "a shape of text": (one(("4",), (1,)), "a tensor of shape ('4',)"),
    "two strides": (one((4,), (1, 1)), "a tensor of shape (4,) and strides (1, 1)"),
    "too many dimensions": (one((1,) * 33, (1,) * 33), "a tensor of shape (1, 1, 1,"),
    "large numbers": (one((1 << 2000,) * 30, (1 << 2000,) * 30), "a tensor of shape ("),
    "a tensor of no storage": (one(storage=5), "a tensor of (5, 0, (4,)"),
    "hooks": (
        {
            "a": Call(
                Global("torch._utils", "_rebuild_tensor_v2"), four(), 0, (4,), (1,), False, [1]
            )
        },
        "a tensor of (_Storage(",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_pickles(case, tmp_path):
    """Each is an error of one line, and takes memory in the order of the file."""
    body, message = HOSTILE[case]
    data = content(body, [four()])
    tracemalloc.start()
    with pytest.raises(WeightsError) as caught:
        read(tmp_path, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert peak < 2**20 + 100 * len(data)


def whole() -> bytes:
    storages = [store("1", np.arange(6, dtype="<f4")), store("2", np.arange(3))]
    tensors = {
        "a": tensor(storages[0], 0, (2, 3), (3, 1)),
        "b": tensor(storages[1], 0, (3,), (1,)),
    }
    return content(tensors, storages)


def test_a_file_cut_off_anywhere_or_longer(tmp_path):
    data = whole()
    assert read(tmp_path, data)["b"].tolist() == [0, 1, 2]
    for end in range(len(data)):
        with pytest.raises(WeightsError):
            read(tmp_path, data[:end])
    with pytest.raises(WeightsError, match="1 bytes after its end"):
        read(tmp_path, data + b"\0")


def test_damaged_bytes(tmp_path, seed):
    """Read, as other numbers, or an error; nothing else."""
    random = np.random.default_rng(seed)
    data = np.frombuffer(whole(), np.uint8)
    for _ in range(2000):
        damaged = data.copy()
        places = random.integers(len(data), size=random.integers(1, 4))
        damaged[places] = random.integers(256, size=len(places))
        try:
            tensors = read(tmp_path, damaged.tobytes())
        except WeightsError:
            continue
        assert sum(array.nbytes for array in tensors.values()) <= len(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "a damaged pickle"),
        (b"PK\x03\x04" + bytes(100), "a damaged pickle"),
        (content({}, [], head=[7, 1001, HEAD[2]]), "magic number 7 and version 1001"),
        (content({}, [], head=[HEAD[0], 1002, HEAD[2]]), "and version 1002"),
        (content({}, [], head=[*HEAD[:2], {"little_endian": False}]), "not little-endian"),
        (content({}, [], head=[*HEAD[:2], []]), "not little-endian: []"),
        (content({}, [four()]), "other storages than its tensors name"),
        (content(one(), []), "other storages than its tensors name"),
        (
            content(one(), [Storage("FloatStorage", "1", 3, bytes(12))]),
            "storage '1' cut off, or of another length",
        ),
    ],
)
def test_files_of_another_kind(data, message, tmp_path):
    with pytest.raises(WeightsError) as caught:
        read(tmp_path, data)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'x.pth'}: expected tensors as PyTorch's")


def test_no_file(tmp_path):
    with pytest.raises(WeightsError, match="No such file"):
        pytorch_file.read_tensors(tmp_path / "missing.pth")


def test_the_trained_weights():
    tensors = pytorch_file.read_tensors(efficientnet_lite0._installed())
    assert len(tensors) == 296
    assert tensors["_blocks.0._depthwise_conv.weight"].shape == (32, 1, 3, 3)
    assert tensors["_fc.weight"].shape == (1000, 1280)
    assert tensors["_bn0.num_batches_tracked"].dtype == np.int64
