"""Tables of images in, tables of answers out."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.types as types

from kerasrun_batch import process
from kerasrun_batch.process import IMAGES, ScoreError

# Images with their places.
_NUMBERED = IMAGES.append(pa.field("index", pa.int64()))


@dataclasses.dataclass(frozen=True)
class Scorer:
    """Answers images by `kerasrun score`, whose columns and errors the answers have.

    model: the model's directory, which has to be there on each worker.
    column: of the images: their paths, their bytes, or structs of both, {bytes, path}.
    path: where the column holds bytes, a column with their paths, which the answers then have.
    index: a column of integers, the images' places in the whole: the index of the answers, which
        have none without it. Images run together as in `kerasrun score`, those of the indices 0 to
        batch - 1, batch to 2 * batch - 1 and so on, where they follow each other.
    keep: columns to carry through to the answers, of any type.
    batch: images that run together.
    flags: of `kerasrun score`, such as ["--outputs=probs", "--device=gpu"].
    isolate: run the model in a process of its own: an image that kills it is a row with its error.
    program: kerasrun.

    A failed image is a row with its error. What cannot be answered at all is a ScoreError.
    """

    model: str
    column: str = "path"
    path: str | None = None
    index: str | None = None
    keep: Sequence[str] = ()
    batch: int = 32
    flags: Sequence[str] = ()
    isolate: bool = False
    program: str = "kerasrun"

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"batch: expected 1 or more, got {self.batch}")
        for name in ("keep", "flags"):
            if isinstance(getattr(self, name), str):
                raise TypeError(f"{name}: expected a list of texts, got one text")

    def predict(self, images: Iterable[str | os.PathLike | bytes]) -> pa.Table:
        """Answers paths and images' bytes, of a list or a column of pandas, in their order."""
        one = dataclasses.replace(self, column="image", path=None, index="index", keep=())
        if isinstance(images, (str, bytes)):
            raise TypeError("images: expected a list of paths or bytes, got a single one")
        return one._table(one.map(_batches_of(images, self.batch)), _NUMBERED)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Answers the rows of a table: for Ray's map_batches, with batch_format="pyarrow"."""
        return self._table(self.map(table.to_batches()), table.schema)

    def map(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Answers record batches: for Spark's mapInArrow.

        The rows are as many and in the same order, in batches of their own.
        """
        cut = self._cut(batches)
        first = next(cut, None)
        if first is None:  # an empty partition needs no process
            return
        work = process.take(self._command(), self.isolate)
        waiting: deque[pa.Table] = deque()

        def images() -> Iterator[pa.RecordBatch]:
            for rows in itertools.chain([first], cut):
                waiting.append(rows)
                yield self._images(rows)

        try:
            for answer in work.answers(images()):
                yield from self._join(waiting.popleft(), answer)
        except BaseException:  # also where the caller wants no more
            work.kill()
            raise
        process.give_back(work)

    def schema(self, rows: pa.Schema) -> pa.Schema:
        """Returns the columns that the answers to such rows have: it opens the model."""
        self._images(rows.empty_table())
        return self._join_schema(rows, process.Process(self._command(), self.isolate).schema())

    def close(self) -> None:
        """Ends the processes that wait for more images. This program's end does so too."""
        process.end(self._command())

    def __enter__(self) -> Scorer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _command(self) -> tuple[str, ...]:
        own = [f"--model={self.model}", "--column=image", f"--batch={self.batch}", "--quiet"]
        if self.isolate:
            own.append("--isolate")
        return (self.program, "score", "--arrow-stream", *self.flags, *own)

    def _table(self, answers: Iterable[pa.RecordBatch], rows: pa.Schema) -> pa.Table:
        found = list(answers)
        return pa.Table.from_batches(found) if found else self.schema(rows).empty_table()

    def _cut(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
        """Yields the rows that run together, over the ends of record batches."""
        rest: pa.Table | None = None
        for batch in batches:
            rest = _concat(rest, pa.Table.from_batches([batch]))
            while (n := self._together(rest)) and (n == self.batch or n < rest.num_rows):
                yield rest.slice(0, n)
                rest = rest.slice(n)
        if rest is not None and rest.num_rows:
            yield rest

    def _together(self, rows: pa.Table) -> int:
        """Returns how many of the first rows run together, as far as they are there."""
        head = rows.slice(0, self.batch)
        if self.index is None or not head.num_rows:
            return head.num_rows
        places = self._indices(head).to_pylist()
        batches = [place // self.batch for place in places]
        return next((i for i, n in enumerate(batches) if n != batches[0]), len(batches))

    def _indices(self, rows: pa.Table) -> pa.ChunkedArray:
        column = self._column(rows, self.index)
        if not types.is_integer(column.type) or column.null_count:
            raise ScoreError(
                f"index: expected a column {self.index!r} of integers without null, got "
                f"{column.type} with {column.null_count} null"
            )
        return column.cast(pa.int64())

    def _column(self, rows: pa.Table, name: str) -> pa.ChunkedArray:
        if rows.column_names.count(name) != 1:
            raise ScoreError(f"expected one column {name!r}, got {rows.column_names}")
        return rows.column(name)

    def _images(self, rows: pa.Table) -> pa.RecordBatch:
        """Returns the images of rows as the process reads them."""
        column = _plain(self._column(rows, self.column))
        data = paths = pa.chunked_array([pa.nulls(rows.num_rows)])
        if types.is_struct(column.type) and {f.name for f in column.type} == {"bytes", "path"}:
            whole = column.combine_chunks()
            # Unlike field, flatten has a part null where its struct is.
            parts = dict(zip([f.name for f in column.type], whole.flatten(), strict=True))
            data, paths = parts["bytes"], parts["path"]
        elif _is_text(column.type):
            paths = column
        elif _is_bytes(column.type):
            data = column
            if self.path is not None:
                paths = _plain(self._column(rows, self.path))
        else:
            raise ScoreError(
                f"expected a column {self.column!r} of paths, of images' bytes or of "
                f"{{bytes, path}}, got {column.type}: images that are decoded already are not taken"
            )
        if self.path is not None and not _is_bytes(column.type):
            raise ScoreError(
                f"path: expected images' bytes in the column {self.column!r}, got {column.type}"
            )
        parts = [_whole(data, pa.large_binary()), _whole(paths, pa.large_string())]
        image = pa.StructArray.from_arrays(parts, fields=list(IMAGES.field("image").type))
        return pa.record_batch([image], schema=IMAGES)

    def _join(self, rows: pa.Table, answer: pa.RecordBatch) -> list[pa.RecordBatch]:
        """Returns an answer with what is kept of its rows."""
        schema = self._join_schema(rows.schema, answer.schema)
        columns = []
        for field in schema:
            if field.name == "index":
                columns.append(self._indices(rows))
            elif field.name in self.keep:
                columns.append(rows.column(field.name))
            else:
                columns.append(pa.chunked_array([answer.column(field.name)]))
        return pa.table(columns, schema=schema).combine_chunks().to_batches()

    def _join_schema(self, rows: pa.Schema, answer: pa.Schema) -> pa.Schema:
        kept = []
        for name in self.keep:
            if rows.names.count(name) != 1:
                raise ScoreError(f"keep: expected one column {name!r}, got {rows.names}")
            if name in answer.names:
                raise ScoreError(
                    f"keep: expected names other than those of the answer's own columns, got "
                    f"{name!r}: give the column another name"
                )
            kept.append(rows.field(name))
        own = {field.name: field for field in answer}
        first = [own.pop("index")] if self.index is not None else []
        own.pop("index", None)
        return pa.schema([*first, own.pop("path"), *kept, *own.values()], answer.metadata)


def _batches_of(images: Iterable[str | os.PathLike | bytes], size: int) -> Iterator[pa.RecordBatch]:
    rows: list[dict] = []
    first = 0
    for image in images:
        if isinstance(image, (bytes, bytearray, memoryview)):
            rows.append({"bytes": bytes(image), "path": None})
        elif isinstance(image, (str, os.PathLike)) and isinstance(os.fspath(image), str):
            rows.append({"bytes": None, "path": os.fspath(image)})
        else:
            raise TypeError(
                f"image {first + len(rows)}: expected a path or bytes, got {type(image).__name__}"
            )
        if len(rows) == size:
            yield _numbered(rows, first)
            first, rows = first + size, []
    if rows:
        yield _numbered(rows, first)


def _numbered(rows: list[dict], first: int) -> pa.RecordBatch:
    image = pa.array(rows, _NUMBERED.field("image").type)
    places = pa.array(range(first, first + len(rows)), pa.int64())
    return pa.record_batch([image, places], schema=_NUMBERED)


def _concat(rest: pa.Table | None, more: pa.Table) -> pa.Table:
    return more if rest is None else pa.concat_tables([rest, more])


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column


def _is_text(of: pa.DataType) -> bool:
    return types.is_string(of) or types.is_large_string(of) or types.is_string_view(of)


def _is_bytes(of: pa.DataType) -> bool:
    return types.is_binary(of) or types.is_large_binary(of) or types.is_binary_view(of)


def _whole(column: pa.ChunkedArray | pa.Array, of: pa.DataType) -> pa.Array:
    column = column.cast(of)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
