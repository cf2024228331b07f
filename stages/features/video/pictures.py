"""A recording that is given as pictures: numbered files, a table of them, or an animated WebP, as frames in order."""

import struct
import warnings
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from PIL import Image

from ....cache.foreign import foreign
from ....cache.pictures import is_animated_webp, is_list
from ....cache.records import Array
from ....cache.regular import regular_size
from ....errors import VideoError, listed
from .choice import Candidate
from .frame import Frame, Shape
from .picture_list import PictureList, picture_list

MOST_PIXELS = 1 << 27  # of a picture: 16,000 by 8,000
_KINDS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")  # what some phones write under the name of JPEG, MPO, is the second
_NAMED = 3
# What Pillow says of bytes that are no picture of their kind: each was met, or is raised somewhere in its readers.
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, ArithmeticError, LookupError, TypeError, AttributeError,
               RuntimeError, struct.error, zlib.error, VideoError)  # fmt: skip
_TURNS = {  # EXIF's orientation -> what brings a picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_ORIENTATION = 0x0112
warnings.filterwarnings("ignore", module="PIL")  # of large pictures, at a lower bound than ours; of damaged ones
_DEEP = ("I;16", "I;16B", "I;16L", "I")  # modes of Pillow, of 16 bits a pixel


class Pictures:
    """As `decode.Video`: `frames()` may be read once; the counts are final when it has ended.

    A frame whose picture is missing or cannot be read is a damaged one, so that time goes on.
    """

    stream = 0
    others: tuple[Candidate, ...] = ()
    bad_packets = 0
    cut_short = False
    pixel_aspect = 1.0

    def __init__(self, path: Path, fps: float | None = None) -> None:
        """The pictures at `path`, the first that can be read already decoded; fps: as for `picture_list`.

        Errors: VideoError.
        """
        self.path = path
        self.decoded_frames = self.damaged_frames = 0
        self.finished = False
        self.last_time_s = 0.0
        self.header_frames: int | None = None
        self.duration_s: float | None = None
        self.average_fps: float | None = None
        self.pixel_format = "rgb24"
        self._reformatter = VideoReformatter()
        self._sizes: set[tuple[int, int]] = set()
        self._notes: tuple[str, ...] = ()
        self._unread = 0
        self._first_unread = ""  # when, and why; no file's name, which may be a person's
        self._missing = 0
        if is_animated_webp(path):
            self.codec = "animated webp"
            self._pictures = self._read_animation(path)
        else:
            found = picture_list(path, fps)
            self.codec = "pictures"
            self._notes, self._missing = found.notes, found.missing
            self.average_fps = found.fps if is_list(path) else fps
            if found.fps is not None:
                self.duration_s = float(found.time_s[-1] + 1 / found.fps)
            self._pictures = self._read_files(found)
        self._waiting: list[tuple[float, Array | None]] = []  # read ahead: up to the first that can be read
        for time_s, picture in self._pictures:
            self._waiting.append((time_s, picture))
            if picture is not None:
                self.shape = self._shape_of(picture)
                break
        else:
            why = f"; the first is {self._first_unread}" if self._unread else ""
            raise VideoError(f"{path}: none of its pictures can be read{why}; expected BMP, JPEG, PNG, TIFF or WebP")

    def frames(self) -> Iterator[Frame]:
        """Every frame, those without a picture too, with non-decreasing times."""
        for time_s, picture in self._all():
            damaged = picture is None
            image = np.zeros((2, 2, 3), np.uint8) if picture is None else picture
            shape = self.shape if damaged else self._shape_of(image)
            frame = VideoFrame.from_ndarray(image, "rgb24")
            yield Frame(frame, shape, self._reformatter, index=self.decoded_frames, time_s=time_s, damaged=damaged)
            self.decoded_frames += 1
            self.damaged_frames += damaged
            self.last_time_s = time_s
        self.finished = True

    def close(self) -> None:
        """Close what is open; call it from the thread that reads."""
        self._pictures.close()

    def problems(self) -> list[str]:
        """What is lost, in sentences; complete once `frames()` has ended."""
        if not self._unread:
            return []
        many = f"{self._unread} pictures" if self._unread > 1 else "a picture"
        return [f"damaged: {many} could not be read, the first {self._first_unread}; marked as decode errors"]

    def notes(self) -> list[str]:
        """What is unusual but does no harm, in sentences; complete once `frames()` has ended."""
        found = list(self._notes)
        if self._missing:
            found.append(f"{self._missing} numbers have no picture; their frames are marked as decode errors")
        if len(self._sizes) > 1:
            sizes = [f"{width}x{height}" for width, height in sorted(self._sizes)]
            found.append(f"the pictures have {len(sizes)} sizes: {listed(sizes, _NAMED)}")
        return found

    def _all(self) -> Iterator[tuple[float, Array | None]]:
        yield from self._waiting
        self._waiting = []
        yield from self._pictures

    def _shape_of(self, picture: Array) -> Shape:
        height, width = picture.shape[:2]
        self._sizes.add((width, height))
        return Shape(width, height, 0, mirrored=False)

    def _read_files(self, found: PictureList) -> Generator[tuple[float, Array | None], None, None]:
        for file, time_s in zip(found.files, found.time_s.tolist(), strict=True):
            yield time_s, None if file is None else self._read(file, time_s)

    def _read(self, file: Path, time_s: float) -> Array | None:
        """(H, W, 3) uint8, upright; None where it cannot be read, which is kept to be said."""
        try:
            return _decoded(file)
        except _UNREADABLE as error:
            self._note_unread(time_s, _reason(file, error))
            return None

    def _note_unread(self, time_s: float, reason: str) -> None:
        self._first_unread = self._first_unread or f"at {time_s:.2f} s: {reason}"
        self._unread += 1

    def _read_animation(self, path: Path) -> Generator[tuple[float, Array | None], None, None]:
        """The pictures as they are shown, one over the other, and their times."""
        time_s = 0.0
        try:
            image = _opened(path)
        except _UNREADABLE as error:
            self._note_unread(0, _reason(path, error))
            return
        with image:
            for number in range(getattr(image, "n_frames", 1)):
                try:
                    image.seek(number)
                    picture = np.asarray(image.convert("RGB"))
                except _UNREADABLE as error:
                    self._note_unread(time_s, str(error))
                    yield time_s, None
                    return  # each is drawn over the one before it
                yield time_s, picture
                time_s += image.info.get("duration", 100) / 1000


def _decoded(file: Path) -> Array:
    """(H, W, 3) uint8, upright. Errors: those of _UNREADABLE."""
    with _opened(file) as image:
        image.load()
        if image.mode in _DEEP:
            return np.repeat((np.asarray(image, np.uint32) >> 8).astype(np.uint8)[:, :, None], 3, 2)
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
        return np.asarray((image if turn is None else image.transpose(turn)).convert("RGB"))


def _opened(file: Path) -> Image.Image:
    """The picture, none of it decoded. Errors: OSError, ValueError; VideoError for one too large."""
    regular_size(file)  # a pipe would never end
    try:
        image = Image.open(file, formats=_KINDS)
    except Image.DecompressionBombError as error:
        raise VideoError(f"more pixels than a picture has ({MOST_PIXELS:,} at most)") from error
    if image.width * image.height > MOST_PIXELS:
        size = f"{image.width}x{image.height}"
        image.close()
        raise VideoError(f"{size} pixels; expected at most {MOST_PIXELS:,}")
    return image


def _reason(file: Path, error: Exception) -> str:
    """Why a picture cannot be read: what it is instead, if its first bytes tell."""
    try:
        strange = foreign(file)
    except OSError:
        strange = None
    if strange is not None:
        return strange.what
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return error.message if isinstance(error, VideoError) else "it is damaged, or no picture"
