"""Writes this folder's arrays with NumPy: .venv/bin/python tensor/npy/testdata/generate.py

Every array holds 0, 1, 2, ... in the order of its indices; its name says its type and its layout.
"""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
TYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]


def arrays():
    for code in TYPES:
        yield f"{code}", np.arange(6).reshape(2, 3).astype("<" + code)
        yield f"{code}-big-endian", np.arange(6).reshape(2, 3).astype(">" + code)
    yield "b1", np.array([[False, True]])
    yield "fortran", np.asfortranarray(np.arange(24, dtype="<f4").reshape(2, 3, 4))
    yield "fortran-big-endian", np.asfortranarray(np.arange(24).reshape(2, 3, 4).astype(">i2"))
    yield "fortran-empty", np.zeros((0, 3), "<f4", order="F")
    yield "scalar", np.array(0, "<f4")
    yield "vector", np.arange(5, dtype="<f4")
    yield "empty", np.zeros((0, 3), "<f4")
    yield "32-dimensions", np.arange(2, dtype="<f4").reshape((1,) * 31 + (2,))
    strings = np.array([[b"ab", b""], [b"a\0c", b"\xff\xd8"]])
    yield "bytes", strings
    yield "bytes-fortran", np.asfortranarray(strings)
    yield "text", np.array(["ab", "\u00fc\u20ac\U0001f600", ""])
    yield "text-big-endian", np.array(["ab", "\u00fc\u20ac\U0001f600", ""], ">U3")
    yield "unsupported-complex", np.zeros(2, "c8")
    yield "unsupported-object", np.array([None])
    yield "unsupported-time", np.array([0], "M8[s]")
    yield "unsupported-struct", np.zeros(2, [("a", "<f4")])


for name, array in arrays():
    np.save(HERE / f"{name}.npy", array)
for version in (2, 3):
    with open(HERE / f"version{version}.npy", "wb") as file:
        np.lib.format.write_array(file, np.arange(3, dtype="<f4"), version=(version, 0))
np.savez(
    HERE / "stored.npz", images=np.arange(6, dtype="<f4").reshape(2, 3), **{"a/b": np.arange(2)}
)
np.savez_compressed(HERE / "deflated.npz", images=np.arange(6, dtype="<f4").reshape(2, 3))
