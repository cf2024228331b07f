"""Progress of one video as small atomic blocks, so that a killed run goes on where it was.

A block is a magic line, a JSON header, opaque state bytes, the arrays, and a sha256 of all that. Each names the digest
of the block before it: one that is torn, or that another writer left, ends the journal there.
"""

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from . import checked
from .blobs import Blobs, DamageError
from .layout import MOST_ROWS, ROW_SHAPES
from .records import ALL_DTYPES, DTYPES, FRAME_ARRAYS, OPTIONAL, FrameFeatures, Json
from .sealed import DIGEST_BYTES, is_sealed, sealed

MAGIC = b"affect-journal-1\n"
MOST_BLOCK_BYTES = 1 << 30  # far more than a block of an extraction has
MOST_HEADER_BYTES = 1 << 16
COMMITTED = "committed"  # holds the seal of the entry that the blocks became


@dataclass
class Journal:
    """The blocks of one entry, all of one recipe and one video, computed by one device."""

    blobs: Blobs
    key: str
    recipe_digest: str
    fingerprint: str
    device: str = "cpu"
    state: bytes = b""
    frames: int = 0
    rows: int = 0
    size: int = 0  # D; 0 before the first block
    optional: tuple[str, ...] = ()  # arrays that the blocks have and need not
    last_frame: int = 0  # of the last row
    digests: list[bytes] = field(default_factory=list)

    def load(self) -> None:
        """Take up the blocks that hold together from the first on; remove everything else."""
        names = [name for name in self.blobs.names(self.key) if name.startswith("block-")]
        good: set[str] = set()
        while (name := _name(len(self.digests))) in names:
            try:
                block, state, digest = self._read(name, self._previous())
                self._check_follows(block)
            except (DamageError, FileNotFoundError):
                break
            self._count(block, state, digest)
            good.add(name)
        for name in sorted(set(names) - good, reverse=True):
            self.blobs.remove(f"{self.key}/{name}")

    def append(self, block: FrameFeatures, state: bytes) -> None:
        """Add a block; it is durable when this returns."""
        assert not self.digests or block.size == self.size, f"a block of {block.size} features after {self.size}"
        assert not self.digests or block.optional == self.optional, f"a block with {block.optional} after others"
        check_order(block, self.last_frame, self.frames)
        data = self._encode(block, state)
        self.blobs.put(f"{self.key}/{_name(len(self.digests))}", data)
        self._count(block, state, data[-DIGEST_BYTES:])

    def blocks(self) -> Iterator[FrameFeatures]:
        """Every block, one at a time. Errors: DamageError when one is not what this journal wrote or took up."""
        for number, digest in enumerate(self.digests):
            block, _, found = self._read(_name(number), self.digests[number - 1] if number else b"")
            if found != digest:
                raise DamageError(f"{_name(number)} was replaced by another process")
            yield block

    def clear(self) -> None:
        """Remove everything but the claim; the mark of the commit goes last, and says until then what the rest is."""
        names = {name.split("/")[0] for name in self.blobs.names(self.key)} - {"claim"}
        for name in sorted(names, key=lambda name: (name != COMMITTED, name), reverse=True):
            self.blobs.remove(f"{self.key}/{name}")

    def _previous(self) -> bytes:
        return self.digests[-1] if self.digests else b""

    def _count(self, block: FrameFeatures, state: bytes, digest: bytes) -> None:
        self.digests.append(digest)
        self.state = state
        self.frames += len(block.time_s)
        self.rows += len(block.frame)
        self.size = block.size
        self.optional = block.optional
        if len(block.frame):
            self.last_frame = int(block.frame[-1])

    def _encode(self, block: FrameFeatures, state: bytes) -> bytes:
        header = {
            "recipe": self.recipe_digest, "fingerprint": self.fingerprint, "previous": self._previous().hex(),
            "device": self.device, "state": len(state),
            "shapes": {name: array.shape for name, array in block.arrays().items()},
        }  # fmt: skip
        text = json.dumps(header).encode()
        arrays = [np.ascontiguousarray(array).tobytes() for array in block.arrays().values()]
        return sealed(b"".join([MAGIC, struct.pack("<I", len(text)), text, state, *arrays]))

    def _read(self, name: str, previous: bytes) -> tuple[FrameFeatures, bytes, bytes]:
        try:
            data = self.blobs.get(f"{self.key}/{name}", MOST_BLOCK_BYTES)
        except FileNotFoundError:
            raise DamageError(f"{name} is gone") from None
        body, digest = memoryview(data)[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
        if not data.startswith(MAGIC) or not is_sealed(data):
            raise DamageError(f"{name} is torn")
        try:
            header, start = _header(body)
            mine = (self.recipe_digest, self.fingerprint, self.device, previous.hex())
            if tuple(header.get(name) for name in ("recipe", "fingerprint", "device", "previous")) != mine:
                raise DamageError(f"{name} belongs to another run")
            offset = start + checked.whole(header.get("state"), "state", 0, len(body))
            shapes = _shapes(header.get("shapes"), len(body) - offset)
        except ValueError as error:
            raise DamageError(f"{name} cannot be: {error}") from None
        state = bytes(body[start:offset])
        arrays = {}
        for field_name, shape in shapes.items():
            dtype, count = ALL_DTYPES[field_name], math.prod(shape)
            # A copy: one small array kept would keep the whole block in memory.
            arrays[field_name] = np.frombuffer(body, dtype, count, offset).reshape(shape).copy()
            offset += count * dtype.itemsize
        return FrameFeatures(**arrays), state, digest

    def _check_follows(self, block: FrameFeatures) -> None:
        """Errors: DamageError for a block that `append` would not have taken."""
        if self.digests and block.size != self.size:
            raise DamageError(f"it has {block.size} features after {self.size}")
        if self.digests and block.optional != self.optional:
            raise DamageError("it has other arrays than the blocks before it")
        if not _in_order(block, self.last_frame, self.frames):
            raise DamageError("its rows are out of order")


def _header(body: memoryview) -> tuple[dict[str, Json], int]:
    """A block's header, and where its state begins. Errors: ValueError."""
    start = len(MAGIC) + 4
    if len(body) < start:
        raise ValueError("it is cut short")
    (length,) = struct.unpack("<I", body[len(MAGIC) : start])
    checked.whole(length, "the length of the header", 2, min(MOST_HEADER_BYTES, len(body) - start))
    return checked.parsed(bytes(body[start : start + length])), start + length


def _shapes(said: Json, room: int) -> dict[str, tuple[int, ...]]:
    """The shape of each array, of `room` bytes in all. Errors: ValueError."""
    lengths = checked.mapping(said, "shapes")
    values, frames = lengths.get("values"), lengths.get("time_s")
    if not (isinstance(values, list) and len(values) == 2 and isinstance(frames, list) and len(frames) == 1):
        raise ValueError("its shapes are not those of features")
    rows, size, count = (checked.whole(length, "a shape", 0, MOST_ROWS) for length in (*values, *frames))
    shapes = {
        name: (count,)
        if name in FRAME_ARRAYS
        else (rows, size)
        if name == "values"
        else (rows, *ROW_SHAPES.get(name, ()))
        for name in (*DTYPES, *(name for name in OPTIONAL if name in lengths))
    }
    if any(lengths.get(name) != list(shape) for name, shape in shapes.items()):
        raise ValueError("its shapes do not agree")
    if sum(math.prod(shape) * ALL_DTYPES[name].itemsize for name, shape in shapes.items()) != room:
        raise ValueError("its arrays are not as long as it says")
    return shapes


def _in_order(block: FrameFeatures, last_frame: int, frames: int) -> bool:
    numbers = np.concatenate([[last_frame], block.frame, [frames + len(block.time_s) - 1]])
    return len(block.frame) == 0 or bool(np.all(np.diff(numbers) >= 0))


def check_order(block: FrameFeatures, last_frame: int, frames: int) -> None:
    """Assert that a block may follow `frames` kept frames whose last row is of frame `last_frame`."""
    ordered = _in_order(block, last_frame, frames)
    assert ordered, "rows are out of order, or of frames that did not come yet"


def _name(number: int) -> str:
    return f"block-{number:05d}"
