"""One decoded picture: how it is brought upright, and its pixels as they are asked for."""

from dataclasses import dataclass
from fractions import Fraction

import av.error
import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream as VideoTrack

from ....cache.records import Array
from ....errors import VideoError
from .colour import HDR, UNCONVERTED, to_sdr

THUMBNAIL_PX = (32, 24)  # width, height
_SCALING = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
_COLOUR = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


@dataclass(frozen=True, slots=True)
class Shape:
    """How a decoded picture is brought upright: pixels made square, mirrored, then turned."""

    width_px: int  # as decoded, with square pixels
    height_px: int
    rotation_deg: int  # counter-clockwise, 0, 90, 180 or 270
    mirrored: bool

    @classmethod
    def of(cls, picture: VideoFrame, pixel_aspect: float) -> "Shape":
        """The shape of a decoded picture. pixel_aspect: a pixel's width over its height."""
        rotation_deg, mirrored = _orientation(picture)
        return cls(max(1, round(picture.width * pixel_aspect)), picture.height, rotation_deg, mirrored)

    @property
    def upright_px(self) -> tuple[int, int]:
        """Width and height after turning."""
        turned = self.rotation_deg % 180 == 90
        return (self.height_px, self.width_px) if turned else (self.width_px, self.height_px)

    def centre_px(self) -> Array:
        """(4,) float64: the part that `Frame.square` shows, as a box x0 y0 x1 y1 in upright pixels."""
        size = np.array(self.upright_px, float)
        low = (size - size.min()) / 2
        return np.concatenate([low, size - low])


class PixelAspect:
    """Width of a pixel over its height, picture by picture: it may change where recordings are joined."""

    def __init__(self, track: VideoTrack) -> None:
        self._track = track
        self._told: Fraction | None = None  # by the codec, when the value was last taken
        self._value: float | None = None

    def of(self, told: Fraction | None) -> float:
        """That of the next picture. told: by the codec; what the container says counts before, until that changes."""
        if self._value is None:
            self._value, self._told = _usable(self._track.sample_aspect_ratio or told), told
        elif told != self._told:
            self._value, self._told = _usable(told), told
        return self._value


def _usable(aspect: Fraction | None) -> float:
    """1 where it is unknown or absurd."""
    value = float(aspect) if aspect else 1.0
    return value if 0.25 <= value <= 4 else 1.0


class Frame:
    """One decoded frame. Pixels are converted only when asked for, and by the thread that asks."""

    __slots__ = ("_picture", "_reformatter", "damaged", "index", "shape", "time_s")

    def __init__(
        self,
        picture: VideoFrame,
        shape: Shape,
        reformatter: VideoReformatter,
        *,
        index: int,
        time_s: float,
        damaged: bool,
    ) -> None:
        self.index = index  # number among the decoded frames, from 0
        self.time_s = time_s  # presentation time from the first frame
        self.damaged = damaged
        self.shape = shape
        self._picture = picture
        self._reformatter = reformatter

    def rgb(self) -> Array:
        """(H, W, 3) uint8, upright, square pixels."""
        return self._upright(self._colours(self.shape.width_px, self.shape.height_px))

    def square(self, size_px: int) -> Array:
        """(S, S, 3) uint8: the upright frame, its short side scaled to S and its long side cut at the centre."""
        width, height = self.shape.width_px, self.shape.height_px
        ratio = size_px / min(width, height)
        width, height = max(size_px, round(width * ratio)), max(size_px, round(height * ratio))
        left, top = (width - size_px) // 2, (height - size_px) // 2
        image = self._colours(width, height)[top : top + size_px, left : left + size_px]
        return self._upright(image)

    def thumbnail(self) -> Array:
        """(24, 32) uint8 grey, as decoded (not turned): for finding cuts."""
        return self._convert(*THUMBNAIL_PX, "gray")

    def _colours(self, width: int, height: int) -> Array:
        """(height, width, 3) uint8, not turned."""
        picture = self._picture
        if picture.color_trc in HDR:
            return to_sdr(self._convert(width, height, "rgb48le"), picture.color_trc, picture.color_primaries)
        return self._convert(width, height, "rgb24")

    def _convert(self, width: int, height: int, pixel_format: str) -> Array:
        picture = self._picture
        same = (width, height) == (picture.width, picture.height)
        try:
            out = self._reformatter.reformat(
                picture, width, height, pixel_format, interpolation=_COLOUR if same else _SCALING, threads=1
            )
        except av.error.FFmpegError as error:
            if picture.colorspace in UNCONVERTED:
                raise VideoError(
                    f"frame {self.index}: its colours are coded as {UNCONVERTED[picture.colorspace]}, which is not "
                    "converted; expected Y'CbCr or RGB",
                    hint="convert it where it plays, to an ordinary mp4",
                ) from error
            raise VideoError(
                f"frame {self.index}, {picture.width}x{picture.height} {picture.format.name}, cannot be scaled to "
                f"{width}x{height} ({error.strerror}); expected a picture of usual proportions"
            ) from error
        return out.to_ndarray()

    def _upright(self, image: Array) -> Array:
        if self.shape.mirrored:
            image = image[:, ::-1]
        return np.ascontiguousarray(np.rot90(image, self.shape.rotation_deg // 90))


def _orientation(picture: VideoFrame) -> tuple[int, bool]:
    """Counter-clockwise degrees to turn, a multiple of 90, and whether to mirror left and right first."""
    rotation_deg = round(picture.rotation / 90) * 90
    data = picture.side_data.get("DISPLAYMATRIX")
    if not isinstance(data, SideData):
        return rotation_deg % 360, False
    matrix = np.frombuffer(bytes(data), np.int32).astype(float)
    mirrored = bool(matrix[0] * matrix[4] - matrix[1] * matrix[3] < 0)
    if mirrored:
        # The matrix is (turn) x (mirror left and right); without the mirror its first column changes sign: half a turn.
        rotation_deg += 180
    return rotation_deg % 360, mirrored
