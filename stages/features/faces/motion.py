"""Which faces live: what changes of a face's own pixels, and how it moves in a picture that keeps still.

A face on a poster, a slide or a frozen tile is the same at every look, once it is laid over itself, whatever the camera
does. A person's is not for long: lids, gaze and mouth move, and the head turns and sways. Measured at 5 looks a second
on twelve people, and on stills of them, from 45 to 330 px at CRF 23 to 36: of 4 seconds of a person at least two looks
show a change, of as many of a photograph at most one. Photographs of 45 px are taken for people under camera shake at
CRF 33, or under strong noise. Nobody is taken for a photograph who blinks at two looks.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ....cache.people import TrackFacts
from ....cache.records import Array
from .array_text import array_from_text, array_to_text
from .crop import PORTRAIT_PX, Portrait

# A change is told by the residual of two portraits laid over one another: of its means over 5 x 5 pixels, each in units
# of what noise and a slip of a quarter of a pixel would make of it, the one that a hundredth exceed.
_BLURS = 3.0, 1.2  # standard deviations, pixels: coarse first, and at last only what is finer than compression left out
_STEPS = 3  # of the alignment, at each
_WINDOW = 5
_PART = slice(4, PORTRAIT_PX - 4), slice(4, PORTRAIT_PX - 4)  # of a portrait; its edge may lie outside the other's
_CENTRE = np.full(2, (PORTRAIT_PX - 1) / 2)
_NOISE_LEVELS = 2.0
_SLIP_PX = 0.25
_PERCENTILE = 99
_LEAST_CHANGE = 1.0  # where nothing else changes: a lid that closes makes 2.2 and more
_CHANGE_BY_NOISE = 1.5  # more for each level by which half of the pixels differ; a moving camera is coded with noise
_MOST_CHANGE = 4.0  # a turned head differs everywhere
_COUNTS = 0.7  # of that counts as a change...
_COUNTS_STILL = 0.6  # ...and less where the camera keeps still: a photograph is then coded once, and copied

_DRIFT = 0.03  # of the face's side: further than that a face has moved...
_DRIFT_SHARE = 1 / 400  # ...if it is this share of the picture's width as well; less might be the camera's

_THUMBNAIL_PX = (96, 54)  # width, height
_BLOCK_PX = 6
_BLOCKS = _THUMBNAIL_PX[0] // _BLOCK_PX, _THUMBNAIL_PX[1] // _BLOCK_PX
_MARGIN = 0.6  # of a face's size on each side of it; hair and shoulders go with it
_TEXTURE = 0.5  # least eigenvalue of a block's mean structure tensor, levels squared: any shift would show
_FEWEST_BLOCKS = 3
_STILL_PX = 0.15  # of a thumbnail: less than a face may drift
_STILL_BLOCKS = 0.6  # of the blocks; the others may be people
_SHIFT_PX = 1.0  # of a face; less comes of noise


@dataclass(eq=False, slots=True)
class _Anchor:
    """A track's portrait that later ones are laid over, until one has changed."""

    grey: Array  # (64, 64) uint8
    place_px: Array  # (2,) float64, of its centre at the last look
    drift_px: Array  # (2,) float64, how far that has moved while the camera kept still
    camera: int  # which of the camera's positions it was seen from at the last look

    @classmethod
    def of(cls, portrait: Portrait, camera: int) -> "_Anchor":
        return cls(portrait.grey(), _in_frame(portrait, _CENTRE), np.zeros(2), camera)


@dataclass(slots=True)
class _Sums:
    """Of one track."""

    looks: int = 0
    sides_px: float = 0.0
    compared: int = 0
    changed: int = 0
    rows: int = 0


class Motions:
    """How the faces of one video move, track by track; the facts of every track at the end."""

    def __init__(self) -> None:
        self._anchors: dict[int, _Anchor] = {}  # of the tracks that still go on
        self._sums: dict[int, _Sums] = {}
        self._camera = Camera()

    def look(self, image: Array, faces: Mapping[int, tuple[Portrait, Array]], going_on: Iterable[int]) -> None:
        """One look: the picture, portrait and box (4,) of each track seen in it, and which tracks have not ended."""
        if not faces:
            return
        known = {
            number: change(self._anchors[number].grey, portrait.grey())
            for number, (portrait, _) in faces.items()
            if number in self._anchors
        }
        places = {
            number: _in_frame(faces[number][0], warp[:2, :2] @ _CENTRE + warp[:2, 2])
            for number, (_, warp) in known.items()
        }
        shifts = [place - self._anchors[number].place_px for number, place in places.items()]
        camera = self._camera.position(image, np.array([box_px for _, box_px in faces.values()]), shifts)
        for number, (portrait, box_px) in faces.items():
            sums = self._sums.setdefault(number, _Sums())
            side_px = float(np.sqrt(np.prod(np.maximum(box_px[2:] - box_px[:2], 0))))
            sums.looks += 1
            sums.sides_px += side_px
            if number in known:
                least = _COUNTS_STILL if camera == self._anchors[number].camera else _COUNTS
                drift_px = self._moved(number, places[number], camera)
                sums.compared += 1
                if known[number][0] < least and drift_px < max(_DRIFT * side_px, _DRIFT_SHARE * image.shape[1]):
                    continue
                sums.changed += 1
            self._anchors[number] = _Anchor.of(portrait, camera)
        kept = set(going_on)
        self._anchors = {number: anchor for number, anchor in self._anchors.items() if number in kept}

    def _moved(self, number: int, place_px: Array, camera: int) -> float:
        """How far a face has moved from its anchor's place, pixels, while the camera kept still."""
        anchor = self._anchors[number]
        anchor.drift_px = anchor.drift_px + place_px - anchor.place_px if camera == anchor.camera else np.zeros(2)
        anchor.place_px, anchor.camera = place_px, camera
        return float(np.linalg.norm(anchor.drift_px))

    def count(self, tracks: Iterable[int]) -> None:
        """A kept frame with a row of each of these tracks."""
        for number in tracks:
            self._sums.setdefault(number, _Sums()).rows += 1

    def facts(self) -> dict[int, TrackFacts]:
        """Of every track that has a row."""
        return {
            number: TrackFacts(sums.rows, round(sums.sides_px / max(1, sums.looks), 1), sums.compared, sums.changed)
            for number, sums in sorted(self._sums.items())
            if sums.rows
        }

    def state(self) -> dict[str, Any]:
        """Everything `from_state` needs, as JSON values; exact."""
        anchors = [
            [number, array_to_text(a.grey, "u1"), a.place_px.tolist(), a.drift_px.tolist(), a.camera]
            for number, a in self._anchors.items()
        ]
        sums = [[number, s.looks, s.sides_px, s.compared, s.changed, s.rows] for number, s in self._sums.items()]
        return {"anchors": anchors, "sums": sums, "camera": self._camera.state()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Motions":
        """Those that gave this state."""
        motions = cls()
        motions._anchors = {
            number: _Anchor(_portrait_from(grey), np.array(place, float), np.array(drift, float), camera)
            for number, grey, place, drift, camera in state["anchors"]
        }
        motions._sums = {number: _Sums(*sums) for number, *sums in state["sums"]}
        motions._camera = Camera.from_state(state["camera"])
        return motions


class Camera:
    """Whether the camera keeps still, as far as what lies around the faces tells, or else the faces together."""

    def __init__(self) -> None:
        self._number = 0
        self._reference: Array | None = None  # (54, 96) uint8, the first picture from this position
        self._around: Array | None = None  # (9, 16) uint8, 1 in its blocks that show no face

    def position(self, image: Array, boxes_px: Array, shifts_px: Sequence[Array]) -> int:
        """A number that is the same as long as the camera keeps still, and another one after it has moved.

        boxes_px: (n, 4), of the faces; shifts_px: how far (2,) each that was seen before is from where it was then.
        Where nothing around the faces would show it, the camera may have moved if all of several faces have.
        """
        step = max(1, min(image.shape[1] // (4 * _THUMBNAIL_PX[0]), image.shape[0] // (4 * _THUMBNAIL_PX[1])))
        small = cv2.resize(np.ascontiguousarray(image[::step, ::step]), _THUMBNAIL_PX, interpolation=cv2.INTER_AREA)
        seen, around = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)), _around(boxes_px, image.shape)
        if self._reference is None or self._around is None:
            still: bool | None = False
        else:
            still = _kept_still(self._reference, seen, (self._around & around).astype(bool))
        if still is None:
            still = not _together(shifts_px)
        if not still:
            self._number += 1
            self._reference, self._around = seen, around
        return self._number

    def state(self) -> list[Any]:
        """Everything `from_state` needs, as JSON values."""
        arrays = (self._reference, self._around)
        return [self._number, *(None if array is None else array_to_text(array, "u1") for array in arrays)]

    @classmethod
    def from_state(cls, state: list[Any]) -> "Camera":
        """The camera that gave this state."""
        camera = cls()
        camera._number, reference, around = state
        if reference is not None:
            camera._reference = array_from_text(reference, "u1").reshape(_THUMBNAIL_PX[::-1])
            camera._around = array_from_text(around, "u1").reshape(_BLOCKS[::-1])
        return camera


def change(before: Array, after: Array) -> tuple[float, Array]:
    """How much of a portrait has changed, in units that noise does not reach; (3, 3) from its pixels to `after`'s.

    before, after: (64, 64) uint8; they are laid over one another first.
    """
    inside = np.zeros(before.shape, np.float32)
    inside[_PART] = 1
    warp, residual, gradient = _aligned(before, after, inside)
    window = (_WINDOW, _WINDOW)
    expected = _NOISE_LEVELS + _SLIP_PX * cv2.blur(gradient, window)
    largest = float(np.percentile((np.abs(cv2.blur(residual * inside, window)) / expected)[_PART], _PERCENTILE))
    everywhere = float(np.median(np.abs(residual)[_PART]))
    return largest / min(_MOST_CHANGE, _LEAST_CHANGE + _CHANGE_BY_NOISE * everywhere), warp


def _aligned(before: Array, after: Array, inside: Array) -> tuple[Array, Array, Array]:
    """(3, 3) affine map from pixels of `before` to those of `after`; what differs then (H, W); the gradient (H, W).

    inside: (H, W) float32, 1 where they are compared. Gauss-Newton steps, coarse and then fine, find the map, with a
    gain and an offset of the light; what differs anyway has little weight.
    Source: Baker & Matthews, "Lucas-Kanade 20 Years On", IJCV 2004; the weights are Geman and McClure's.
    """
    height, width = before.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    centre = np.array([width - 1, height - 1]) / 2
    across_by, down_by = (columns.ravel() - centre[0]) / (width / 2), (rows.ravel() - centre[1]) / (height / 2)
    inside = inside.ravel()
    warp, weights = np.eye(3), inside
    for blur in _BLURS:
        one, other = (cv2.GaussianBlur(grey.astype(np.float32), (0, 0), blur) for grey in (before, after))
        across, down = (cv2.Sobel(one, cv2.CV_32F, x, y, ksize=3, scale=1 / 8) for x, y in ((1, 0), (0, 1)))
        shift = [side.ravel() * by for side in (across, down) for by in (1.0, across_by, down_by)]
        slopes = np.stack([*shift, one.ravel() / 64, np.ones(one.size, np.float32)], axis=1)
        for _ in range(_STEPS):
            difference = (_warped(other, warp) - one).ravel()
            found = _solve(slopes, weights, difference)
            weights = _weights(difference - slopes @ found, inside)
            turned = found[[[1, 2], [4, 5]]] / (np.array([width, height]) / 2)
            back = np.eye(3)
            back[:2, :2] -= turned
            back[:2, 2] = turned @ centre - found[[0, 3]]
            warp = warp @ back
    difference, light = (_warped(other, warp) - one).ravel(), slopes[:, 6:]
    residual = difference - light @ _solve(light, weights, difference)
    return warp, residual.reshape(before.shape), np.hypot(across, down)


def _kept_still(reference: Array, seen: Array, around: Array) -> bool | None:
    """Whether enough blocks of a thumbnail are where they were; None where too few would show a shift.

    The shift of a block is found in one step of Lucas and Kanade's; only whether it is small matters.
    """
    one, other = (cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _BLURS[-1]) for grey in (reference, seen))
    across, down = (cv2.Sobel(one, cv2.CV_32F, x, y, ksize=3, scale=1 / 8) for x, y in ((1, 0), (0, 1)))
    difference = other - one
    difference -= np.kron(_by_block(difference), np.ones((_BLOCK_PX, _BLOCK_PX), np.float32))  # other light
    xx, yy, xy, x, y = map(
        _by_block, (across * across, down * down, across * down, across * difference, down * difference)
    )
    least = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    shown = around & (least >= _TEXTURE)
    if int(shown.sum()) < _FEWEST_BLOCKS:
        return None
    inverse = np.maximum(xx * yy - xy**2, 1e-6)
    shift_px = np.hypot(yy * x - xy * y, xx * y - xy * x) / inverse
    return float((shift_px[shown] <= _STILL_PX).mean()) >= _STILL_BLOCKS


def _together(shifts_px: Sequence[Array]) -> bool:
    """Whether all of several faces have moved, so that it may have been the camera."""
    return len(shifts_px) > 1 and all(np.linalg.norm(shift) >= _SHIFT_PX for shift in shifts_px)


def _around(boxes_px: Array, shape: Sequence[int]) -> Array:
    """(9, 16) uint8: 1 in the blocks of a thumbnail that show no face, and nothing within a face's size of one."""
    around = np.ones(_BLOCKS[::-1], np.uint8)
    scale = np.array(_BLOCKS) / (shape[1], shape[0])
    for box in boxes_px:
        margin = _MARGIN * (box[2:] - box[:2])
        x0, y0 = np.maximum(np.floor((box[:2] - margin) * scale), 0).astype(int)
        x1, y1 = np.maximum(np.ceil((box[2:] + margin) * scale), 0).astype(int)
        around[y0:y1, x0:x1] = 0
    return around


def _portrait_from(text: str) -> Array:
    return array_from_text(text, "u1").reshape(PORTRAIT_PX, PORTRAIT_PX)


def _by_block(values: Array) -> Array:
    """(9, 16): the mean of each block of a thumbnail."""
    rows, columns = values.shape[0] // _BLOCK_PX, values.shape[1] // _BLOCK_PX
    return np.asarray(values.reshape(rows, _BLOCK_PX, columns, _BLOCK_PX).mean(axis=(1, 3)))


def _warped(grey: Array, warp: Array) -> Array:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(grey, warp[:2], grey.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE))


def _solve(slopes: Array, weights: Array, difference: Array) -> Array:
    """Weighted least squares, float64; a little weight on zero, for a portrait without any texture."""
    weighted = (slopes * weights[:, None]).T.astype(np.float64)
    return np.asarray(np.linalg.solve(weighted @ slopes + 1e-2 * np.eye(slopes.shape[1]), weighted @ difference))


def _weights(residual: Array, inside: Array) -> Array:
    """Less for pixels whose residual is far above the usual one (Geman and McClure's)."""
    usual = 1.5 * float(np.median(np.abs(residual)[inside > 0])) + 0.5
    return np.asarray((inside / (1 + (residual / (2 * usual)) ** 2)).astype(np.float32))


def _in_frame(portrait: Portrait, point: Array) -> Array:
    """(2,) a point of the portrait, in pixels of the frame."""
    back = cv2.invertAffineTransform(portrait.matrix)
    return np.asarray(back[:, :2] @ point + back[:, 2])
