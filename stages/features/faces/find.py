"""How closely a picture is looked at: at one width, or, where faces may be small, a second time in more detail.

`input_width_px: auto` looks at every picture at 320 pixels. That finds faces of a sixteenth of the picture's width for
sure, and most of a twentieth. Now and then, and wherever something small shows, it looks in detail as well, and goes on
to do so as long as that finds something. Large faces are always those of the first look, so that a recording of one
person has the same rows as at 320.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....cache.records import Array
from ....configs.schema import FacesConfig
from .detect import CenterFace, Detections, input_size
from .track import iou

USUAL_PX = 320  # width of every look under `auto`
_DETAIL_PX = 640  # width of a look in detail, at least...
_DETAIL_SHARE = 0.5  # ...and of the picture's own width...
MOST_DETAIL_PX = 1280  # ...but no side over this: .4 s and 200 MB a picture on one CPU core, .08 s at 640
_WORTH = 1.5  # as wide as the usual look, at least, or it is left out
# Width of a face at the detector's input: of 66 pictures of eleven people in others, all were found at 20 pixels
# and more, at 18 98 %, at 16 91 %, at 14 77 %, at 12 33 %.
SURE_PX = 20
_LIMIT_PX = 16
DETAIL_EVERY_S = 5.0  # where nothing asks for it
_DETAIL_SOON_S = 1.0  # where something small shows, or nobody
_DETAIL_LASTS_S = 2.0  # behind the last small face; a track bridges as much
_SAME_IOU = 0.3
_GAIN = 1.5  # times as wide an input: less is not worth a word
_PARTS = ("box_px", "score", "landmarks_px")
_LIMIT_SHARE = 0.2  # of the faces found; as many at the limit are worth a word


@dataclass(frozen=True, slots=True)
class Glance:
    """A picture in which faces are sought."""

    image: Array  # (H, W, 3) uint8
    time_s: float
    cut: bool = False  # a shot begins here


class Finder:
    """The faces of one video's looks, in time order."""

    def __init__(self, detector: CenterFace, config: FacesConfig) -> None:
        self._detector = detector
        self._start_score, self._continue_score = config.start_score, config.continue_score
        self._setting = config.input_width_px
        self._faces = 0  # that were sure enough to be followed
        self._at_limit = 0  # of these, how many are hardly large enough to be found
        self._size_px: tuple[int, int] | None = None  # of the last picture: width, height
        self._detailed_s: float | None = None  # time of the last look in detail
        self._small_s: float | None = None  # and of the last that found a small face

    def usual(self, glances: Sequence[Glance]) -> list[Detections]:
        """What the usual look finds in each, as one batch; it needs nothing of those before, nor changes anything."""
        return self._detector.detect([glance.image for glance in glances], usual_width(self._setting))

    def find(self, glance: Glance, usual: Detections) -> Detections:
        """The faces of the next picture, in which `usual` found these."""
        height, width = glance.image.shape[:2]
        scale = input_scale(width, height, usual_width(self._setting))
        detail_px = detail_width(width, height) if self._setting == "auto" else 0
        self._size_px = width, height
        found, closest = usual, not detail_px
        if detail_px and self._is_due(glance, widths_px(usual, scale), usual.score):
            close = self._detector.detect([glance.image], detail_px, MOST_DETAIL_PX)[0]
            found, added = merge(usual, close, scale)
            scale, closest = detail_px / width, True
            self._detailed_s = glance.time_s
            if np.any(added >= self._start_score):
                self._small_s = glance.time_s
        if closest:  # what a look misses that is not the closest, one of the next may well find
            followed = widths_px(found, scale)[found.score >= self._continue_score]
            self._faces += len(followed)
            self._at_limit += int((followed < _LIMIT_PX).sum())
        return found

    def _is_due(self, glance: Glance, width_px: Array, score: Array) -> bool:
        """Whether to look in detail. width_px, score: (n,) of what the usual look found, at its input."""
        if glance.cut or self._detailed_s is None:
            return True
        if self._small_s is not None and glance.time_s - self._small_s <= _DETAIL_LASTS_S:
            return True
        soon = not np.any(score >= self._start_score) or bool(np.any(width_px < SURE_PX))
        return glance.time_s - self._detailed_s >= (_DETAIL_SOON_S if soon else DETAIL_EVERY_S) - 1e-6

    def advice(self) -> str:
        """What would find smaller faces than these settings do; empty where nothing would."""
        return "" if self._size_px is None else advice(self._setting, *self._size_px)

    def problems(self) -> list[str]:
        """A sentence where faces were often too small to be found surely, and something can be done about it."""
        said = self.advice()
        if not said or self._at_limit < _LIMIT_SHARE * max(1, self._faces):
            return []
        return [f"small faces: {self._at_limit} of {self._faces} found are so small that others may be missed; {said}"]

    def state(self) -> list[Any]:
        """Everything `from_state` needs, as JSON values."""
        return [self._faces, self._at_limit, self._size_px, self._detailed_s, self._small_s]

    @classmethod
    def from_state(cls, detector: CenterFace, config: FacesConfig, state: Sequence[Any]) -> "Finder":
        """The finder that gave this state."""
        finder = cls(detector, config)
        finder._faces, finder._at_limit, size_px, finder._detailed_s, finder._small_s = state
        finder._size_px = None if size_px is None else (int(size_px[0]), int(size_px[1]))
        return finder


def usual_width(setting: int | str) -> int:
    """Width of every look, pixels."""
    return setting if isinstance(setting, int) else USUAL_PX


def detail_width(width: int, height: int) -> int:
    """Width of a look in detail at a picture, pixels; 0 where it would see little more than the usual one."""
    scale = min(1.0, max(_DETAIL_PX / width, _DETAIL_SHARE), MOST_DETAIL_PX / max(width, height))
    return round(width * scale) if scale >= _WORTH * input_scale(width, height, USUAL_PX) else 0


def input_scale(width: int, height: int, input_width_px: int) -> float:
    """Pixels of the detector's input for one of the picture."""
    return input_size(width, height, input_width_px)[0][0] / width


def widths_px(found: Detections, scale: float) -> Array:
    """(n,) widths of faces as they are at the detector's input."""
    return np.asarray((found.box_px[:, 2] - found.box_px[:, 0]) * scale)


def look_closely(detector: CenterFace, image: Array, usual: Detections) -> Detections:
    """What a usual look found of a picture, with what a look in detail adds to it."""
    height, width = image.shape[:2]
    detail_px = detail_width(width, height)
    if not detail_px:
        return usual
    close = detector.detect([image], detail_px, MOST_DETAIL_PX)[0]
    return merge(usual, close, input_scale(width, height, USUAL_PX))[0]


def merge(usual: Detections, close: Detections, scale: float) -> tuple[Detections, Array]:
    """What both looks found of one picture, best first, and the scores of what was taken from the one in detail.

    Large faces are those of the usual look, which misses none; small ones are those of the look in detail.
    scale: pixels of the usual input for one of the picture.
    """
    large, small = widths_px(usual, scale) >= SURE_PX, widths_px(close, scale) < SURE_PX
    overlap = iou(usual.box_px.astype(float), close.box_px.astype(float)) >= _SAME_IOU
    centre = (close.box_px[:, :2] + close.box_px[:, 2:]) / 2
    low, high = usual.box_px[large, None, :2], usual.box_px[large, None, 2:]
    within = np.all((centre >= low) & (centre <= high), axis=2).any(axis=0)
    taken = small & ~within & ~overlap[large].any(axis=0)
    replaced = ~large & overlap[:, taken].any(axis=1)
    parts = [(getattr(usual, name)[~replaced], getattr(close, name)[taken]) for name in _PARTS]
    box_px, score, landmarks_px = (np.concatenate(pair) for pair in parts)
    order = np.argsort(-score, kind="stable")
    return Detections(box_px[order], score[order], landmarks_px[order]), close.score[taken]


def advice(setting: int | str, width: int, height: int) -> str:
    """The setting that finds smaller faces in pictures of this size than `setting` does; empty where there is none."""
    now_px = input_size(width, height, usual_width(setting))[0][0]
    detail_px = detail_width(width, height)
    if setting == "auto":
        now_px = max(now_px, detail_px)
    closer_px = min(2 * now_px, width, MOST_DETAIL_PX)
    better, then_px = ("auto", detail_px) if setting != "auto" and detail_px > now_px else (str(closer_px), closer_px)
    if then_px < _GAIN * now_px:
        return ""
    least_px, now_least_px = (round(SURE_PX * width / pixels) for pixels in (then_px, now_px))
    return (
        f"--set features.faces.input_width_px={better} finds faces that are {least_px} px wide, {setting} those of "
        f"{now_least_px} px"
    )
