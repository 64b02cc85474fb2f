"""Writes what inputs_test.go reads into a folder, with the libraries that people use.

The "images" that no decoder sees are short texts.
"""

import bz2
import datetime
import decimal
import gzip
import io
import lzma
import os
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf

out = Path(sys.argv[1])


def tables():
    """One table of paths, in every encoding and with every separator that pandas writes."""
    frame = pd.DataFrame(
        {
            "id": [7, 8, 9, 10],
            "file": ["a, b.jpg", "sub/é€😀.jpg", None, "ftp://example.com//c;d.jpg"],
            "note": ['says "no"', "tab\there", "two\nlines", "semi;colon"],
        }
    )
    for name, separator in {"comma": ",", "tab": "\t", "semicolon": ";", "bar": "|"}.items():
        for encoding in "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be":
            text = frame.to_csv(index=False, sep=separator)
            mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
            (out / f"{name}-{encoding}.csv").write_bytes((mark + text).encode(encoding))
    frame.to_csv(out / "tab.tsv", index=False, sep="\t")
    frame.to_parquet(out / "table.parquet")
    frame[["file"]].dropna().to_csv(out / "one.csv", index=False)
    (out / "unmarked.csv").write_bytes(frame.to_csv(index=False).encode("utf-16-le"))
    for encoding in "utf-8", "utf-8-sig", "utf-16", "utf-16-be":
        mark = "\ufeff" if encoding == "utf-16-be" else ""
        text = mark + "".join(f"{out}/{name}\r\n" for name in ("a, b.jpg", "sub/é€😀.jpg"))
        (out / f"list-{encoding}.txt").write_bytes(text.encode(encoding))


def kept():
    """Tables with columns of every type that is carried through, and of some that are not."""
    moments = [None, "1969-12-31T23:59:59.123", "2024-02-29T12:00:00", "2024-01-01", None]
    frame = pd.DataFrame({"file": ["0.png", "1.png", None, "none.png", "4.png"]})
    frame["text"] = ['é, "q"\n', "", None, "a", "7"]
    for name, dtype in {"i8": "Int8", "i64": "Int64", "u8": "UInt8", "u64": "UInt64"}.items():
        info = np.iinfo(dtype.lower())
        frame[name] = pd.array([info.min, info.max, None, 0, 5], dtype=dtype)
    frame["f32"] = np.array([0.1, -0.0, None, 1e30, 16777217], "float32")
    frame["f64"] = np.array([0.1, -0.0, None, 1e300, 5e-324])
    frame["truth"] = pd.array([True, False, None, False, True], dtype="boolean")
    for unit in "ms", "us", "ns":
        frame[unit] = pd.to_datetime(moments, utc=unit == "us", format="ISO8601").as_unit(unit)
    frame["label"] = ["cat", "dog", "cat", None, "dog"]
    frame["kind"] = pd.Categorical(["x", "y", "x", "y", None])
    frame.to_csv(out / "kept.csv", index=False)
    whole = frame.copy()
    for name in frame.columns[2:8]:
        whole[name] = whole[name].fillna(1)
    whole["truth"] = whole["truth"].fillna(True)
    whole.to_parquet(out / "whole.parquet", row_group_size=2)
    frame["day"] = [datetime.date(2024, 1, 1)] * 5
    frame["list"] = [[1]] * 5
    frame["price"] = [decimal.Decimal("1.50")] * 5
    frame["raw"] = [b"raw"] * 5
    frame["crlf"] = "a\r\nb"
    table = pa.Table.from_pandas(frame)
    table = table.append_column("nan", pa.array([float("nan")] * 5))
    far = pa.array([1 << 60] * 5, pa.timestamp("us"))
    pq.write_table(table.append_column("far", far), out / "kept.parquet", row_group_size=2)
    (out / "latin.csv").write_bytes("file,note\na,café\n".encode("latin-1"))
    for number in 0, 1, 4:
        pixels = np.full((2, 2, 3), 40 * number + 3, "uint8")
        PIL.Image.fromarray(pixels).save(out / f"{number}.png")


def embedded():
    """The same images in every kind of column, in Parquet and in Arrow's formats."""
    names = ["0.png", None, "dir/1.png", None, "4.png"]
    data = [(out / "0.png").read_bytes(), b"raw", b"", None, None]
    both = [{"bytes": b, "path": n} for b, n in zip(data, names, strict=True)]
    columns = {"id": pa.array(range(5)), "kind": pa.array(list("xyxyx")).dictionary_encode()}
    columns["at"] = pa.array([0, -1, 2, None, 4], pa.timestamp("s"))
    images = {
        "image": pa.array(both, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
        "raw": pa.array(data, pa.binary()),
        "large": pa.array(data, pa.large_binary()),
        "view": pa.array(data, pa.binary_view()),
    }
    shards = pa.table(columns | images)
    for k, rows in enumerate((shards.slice(0, 2), shards.slice(2, 1), shards.slice(3))):
        pq.write_table(rows, out / f"train-{k:05}-of-00003.parquet", row_group_size=1)
    stored = shards.drop_columns("view")
    kinds = ["none", "gzip", "zstd", "snappy", "brotli", "lz4"]
    for k, kind in enumerate(kinds):
        name = out / f"images-{kind}.parquet"
        version = ["1.0", "2.0"][k % 2]
        pq.write_table(stored, name, compression=kind, data_page_version=version)
    for kind in None, "lz4", "zstd":
        options = pa.ipc.IpcWriteOptions(compression=kind)
        for name, new in ("feather", pa.ipc.new_file), ("arrow", pa.ipc.new_stream):
            with new(out / f"images-{kind}.{name}", shards.schema, options=options) as writer:
                writer.write_table(shards, max_chunksize=2)
    whole = (out / "images-None.arrow").read_bytes()
    (out / "cut.arrow").write_bytes(whole[:-8])
    big = pa.table({"raw": pa.array([b"x" * 2000] * 10)})
    with pa.ipc.new_file(out / "deep.feather", big.schema) as writer:
        writer.write_table(big)


def records():
    """TFRecords in each compression, and shards; the images are named by what they are."""

    def feature(value):
        values = value if isinstance(value, list) else [value]
        if isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if isinstance(values[0], float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def example(name, **features):
        values = {k: feature(v) for k, v in {**features, "image/class/label": 7}.items()}
        return tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString()

    def write(name, compression, rows):
        with tf.io.TFRecordWriter(str(out / name), compression) as writer:
            for row in rows:
                writer.write(example(name, **row))

    rows = [{"image_raw": b"first", "other": b"x"}, {"image_raw": b"second" * 100}]
    for kind in "", "GZIP", "ZLIB":
        write(f"raw-{kind.lower() or 'none'}.tfrecord", kind, rows)
    (out / "raw-more.tfrecord").write_bytes((out / "raw-zlib.tfrecord").read_bytes() + b"more")
    kept = [
        {"image": b"0", "text": "é".encode(), "label": 1 << 40, "score": 0.1, "pair": [1, 2]},
        {"image": b"1", "label": -7, "score": float("inf")},
        {"image": b"2", "text": b"\xff", "label": 3, "score": 2.0},
        {"image": b"3", "text": b"b", "label": [4, 5], "score": 2.0},
        {"image": b"4", "text": b"b", "label": b"six", "score": 2.0},
    ]
    write("kept.tfrecord", "", kept)
    for folder in "shards", "torn":
        (out / folder).mkdir()
        for k in range(3 if folder == "shards" else 2):
            kind = ["", "GZIP", "ZLIB"][k]
            write(f"{folder}/x-{k:05}-of-00003", kind, [{"image/encoded": b"%d" % k}])
    (out / "shards/dataset_info.json").write_text("{}")
    shutil.copytree(out / "shards", out / "both")
    (out / "both/image.jpg").write_text("image")


def archives():
    """A tar of WebDataset in each compression, and some that would take much memory to read."""
    members = {
        "a/0001.jpg": b"first",
        "a/0001.cls": b"7",
        "a/0001.json": b'{"a": 1}',
        "a/0001.txt": b"x",
        "a/0002.json": '{"é": 2}'.encode(),
        "a/0002.PNG": b"second",
        "a/0002.seg.png": b"third",
        "0001.jpg": b"fourth",
        "0001.cls": b"9\n",
        "0003.cls": b"8",
        "0003.txt": b"no image",
        "0004.jpg": b"fifth",
        "0004.json": b"\xff",
    }
    for mode in "", "gz", "bz2", "xz", "zst":
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w:" + mode.replace("zst", "")) as archive:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        data = raw.getvalue()
        if mode == "zst":
            data = pa.compress(data, "zstd", asbytes=True)
        (out / f"web.tar{'.' * bool(mode)}{mode}").write_bytes(data)
    with zipfile.ZipFile(out / "web.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    # a frame of zstd whose header says a window of 256 MiB, and a raw last block
    (out / "wide.tar.zst").write_bytes(bytes.fromhex("28b52ffd 00 90 090000 61"))
    lzma2 = {"id": lzma.FILTER_LZMA2, "dict_size": 256 << 20}
    for name, filters in ("wide", [lzma2]), ("x86", [{"id": lzma.FILTER_X86}, lzma2]):
        whole = lzma.compress(bytes(10240), filters=filters)
        (out / f"{name}.tar.xz").write_bytes(whole)
    # the same in a second frame, stream and block, behind a first that has an image
    first = io.BytesIO()
    with tarfile.open(fileobj=first, mode="w") as archive:
        info = tarfile.TarInfo("1.jpg")
        info.size = 5
        archive.addfile(info, io.BytesIO(b"first"))
    begin = first.getvalue()[:1024]
    (out / "wide-second.tar.zst").write_bytes(
        pa.compress(begin, "zstd", asbytes=True) + (out / "wide.tar.zst").read_bytes()
    )
    stream, wide = lzma.compress(begin), (out / "wide.tar.xz").read_bytes()
    (out / "wide-stream.tar.xz").write_bytes(stream + wide)
    index = (int.from_bytes(stream[-8:-4], "little") + 1) * 4
    (out / "wide-block.tar.xz").write_bytes(stream[: -12 - index] + wide[12:])
    # what only the checksum at the very end tells
    for ending, pack, back in (
        ("gz", gzip.compress, 7),
        ("bz2", bz2.compress, 3),
        ("xz", lzma.compress, 15),
    ):
        data = bytearray(pack(first.getvalue()))
        data[-back] ^= 1
        (out / f"sum.tar.{ending}").write_bytes(data)
    (out / "cut.tar").write_bytes(begin)
    (out / "twice.tar").write_bytes(first.getvalue() * 2)
    (out / "twice.tar.gz").write_bytes(gzip.compress(first.getvalue()) * 2)
    for ending in "xz", "bz2", "zst":
        (out / f"bad.tar.{ending}").write_bytes(b"no such thing " * 10)


(out / "sub").mkdir()
(out / "a, b.jpg").write_text("first")
(out / "sub/é€😀.jpg").write_text("second")
tables()
kept()
embedded()
records()
archives()
