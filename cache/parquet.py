"""A Parquet file as a table: every cell as the text that it would have in a CSV; no more than its size explains."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import ManifestError, first_line, shown
from .regular import open_regular
from .tables import MOST_COLUMNS, MOST_NAME, Keep, Table

MAGIC = b"PAR1"  # at both ends
SUFFIXES = (".parquet", ".pq")
MOST_BYTES = 1 << 31  # of a file, unpacked
MOST_CELLS = 1 << 26  # that are wanted of a file
FEWEST_CELLS = 1 << 20  # that any file may hold...
CELLS_A_BYTE = 64  # ...and more for each of its bytes: a column of one value throughout takes next to none
MOST_FOOTER = 1 << 24  # bytes of a text, or members of a list, in what describes the file
BATCH_CELLS = 1 << 21
MOST_TEXT = 1 << 26  # bytes of one column's words in a batch
COPY_AGAIN = "copy or download it again, or save the table as CSV UTF-8"


def is_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet does, or has its name. Errors: ManifestError for a file that cannot be read."""
    try:
        with open_regular(path) as file:
            return file.read(len(MAGIC)) == MAGIC or path.suffix.lower() in SUFFIXES
    except OSError as error:
        raise ManifestError(f"table {path} cannot be read: {error.strerror}") from error


def read_parquet(path: Path, keep: Keep | None = None, *, rows: int | None = None) -> Table:
    """The columns of numbers and of words in a Parquet file; its other columns (dates, lists, bytes) are left out.

    keep: the columns that are wanted, all unless said; rows: the first so many.
    Errors: ManifestError for what is no whole Parquet file, or holds more than its size explains.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - len(MAGIC)))
            if size < 3 * len(MAGIC) or file.read() != MAGIC:
                raise ManifestError(f"{path} is no whole Parquet file: its end is missing", hint=COPY_AGAIN)
            file.seek(0)
            return _read(path, _opened(file), size, keep, rows)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ManifestError(f"{path} cannot be read as Parquet: {first_line(error)}", hint=COPY_AGAIN) from error


def _opened(file: Any) -> pq.ParquetFile:
    limits = {"thrift_string_size_limit": MOST_FOOTER, "thrift_container_size_limit": MOST_FOOTER}
    words = [name.path for name in pq.ParquetFile(file, **limits).schema if name.physical_type == "BYTE_ARRAY"]
    file.seek(0)
    # As a dictionary, a long word that stands in many rows is held once.
    return pq.ParquetFile(file, read_dictionary=words, page_checksum_verification=True, **limits)


def _read(path: Path, book: pq.ParquetFile, size: int, keep: Keep | None, rows: int | None) -> Table:
    names = [str(name) for name in book.schema_arrow.names]
    if len(names) > MOST_COLUMNS or max(map(len, names), default=0) > MOST_NAME:
        raise ManifestError(
            f"{path}: {len(names)} columns; expected at most {MOST_COLUMNS}, with names of up to {MOST_NAME} characters"
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ManifestError(f"{path}: column {shown(twice)} stands twice", hint="give each column its own name")
    fields = {name: book.schema_arrow.field(name).type for name in names}
    other = [name for name in names if not _is_plain(fields[name])]
    kept = [name for name in names if name not in other and (keep is None or keep(name))]
    count = book.metadata.num_rows if rows is None else min(rows, book.metadata.num_rows)
    most = min(MOST_CELLS, FEWEST_CELLS + CELLS_A_BYTE * size)
    if count * max(1, len(kept)) > most:
        raise ManifestError(
            f"{path}: {count} rows of {len(kept)} columns in {size} bytes; expected at most {most} cells",
            hint="--columns takes fewer of them, or save it as several tables",
        )
    unpacked = sum(book.metadata.row_group(number).total_byte_size for number in range(book.metadata.num_row_groups))
    if unpacked > MOST_BYTES:
        raise ManifestError(f"{path} unpacks to {unpacked >> 20} MiB; expected at most {MOST_BYTES >> 20} MiB")
    blocks: dict[str, list[pa.Array]] = {name: [] for name in kept}
    found = 0
    for read in _batches(book, kept, max(1, BATCH_CELLS // max(1, len(kept)))):
        batch = read.slice(0, count - found)
        found += len(batch)
        for name in kept:
            blocks[name].append(_texts(batch.column(name)))
        if found >= count:
            break
    cells = {name: pa.chunked_array(parts, pa.string()).combine_chunks() for name, parts in blocks.items()}
    words = ["Parquet"]
    if other:
        words.append(f"{len(other)} column{'s' if len(other) > 1 else ''} left out that hold no numbers and no words")
    return Table(path, "", tuple(kept), cells, np.arange(1, found + 1), 0, True, tuple(words), "row")


def _batches(book: pq.ParquetFile, names: list[str], rows: int) -> Iterator[pa.RecordBatch]:
    if names:
        yield from book.iter_batches(batch_size=rows, columns=names, use_threads=False)


def _is_plain(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = ("is_integer", "is_floating", "is_boolean", "is_decimal", "is_null", "is_string", "is_large_string")
    return any(getattr(pa.types, test)(kind) for test in tests)


def _texts(column: Any) -> pa.Array:
    """A column as (n,) text, empty where it is null."""
    if pa.types.is_dictionary(column.type):
        column.validate(full=True)
        lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
        if (pc.sum(lengths).as_py() or 0) > MOST_TEXT:
            raise ValueError(f"the words of a column have more than {MOST_TEXT} bytes")
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif pa.types.is_float16(kind):
        column = column.cast(pa.float32())
    texts = column.cast(pa.string())
    texts.validate(full=True)
    return pc.utf8_trim_whitespace(pc.fill_null(texts, ""))
