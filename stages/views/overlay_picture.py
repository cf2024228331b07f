"""One picture of an overlay: face boxes on the frame; under it a lane with each target's score and running curve."""

import cv2
import numpy as np

from ...cache.predictions import PersonPrediction, VideoPrediction
from ...cache.records import Array, Target
from ...configs.plain_text import shortened, spelled
from .annotations import remark
from .rules import COLOURS, JOINED_WITHIN, OUT_OF_RANGE, rgb

MOST_TEXT = 200  # characters on one line: more than any picture has room for
WINDOW_S = 30.0  # of the running curve
LEAST_WIDTH_PX = 640  # narrower recordings are enlarged, or nobody could read the scores
LEAST_TEXT = 0.55  # of the font's size: smaller, the point of a number disappears
FONT = cv2.FONT_HERSHEY_SIMPLEX
INK, PAPER, RULE, ODD = (235, 238, 242), (20, 23, 27), (60, 66, 74), rgb(OUT_OF_RANGE)
BOXES = ((255, 210, 74), (255, 255, 255), (98, 182, 242), (236, 159, 202))  # person by person


class OverlayPicture:
    """Draws frame after frame; boxes over the picture, a lane of running curve per target under it."""

    def __init__(self, prediction: VideoPrediction, width_px: int, height_px: int) -> None:
        self.prediction = prediction
        self._scale = max(1.0, LEAST_WIDTH_PX / width_px)
        self._width = round(width_px * self._scale / 2) * 2
        self._picture = round(height_px * self._scale / 2) * 2
        self._text = max(LEAST_TEXT, min(1.2, self._width / 1280))
        self._lane = max(60, round(80 * self._text / 2) * 2)
        self._text_px = round(330 * self._text)  # width of what stands before a curve
        self._header = round(36 * self._text / 2) * 2
        self._tracks = [_Track(person) for person in prediction.persons]
        # The panel tells of one person: the one seen most.
        self._told = max(self._tracks, key=lambda track: len(track.person.face_time_s), default=None)
        self._ranges = [_range(self._told, number, target) for number, target in enumerate(prediction.targets)]

    @property
    def width_px(self) -> int:
        return self._width

    @property
    def height_px(self) -> int:
        return self._picture + self._header + self._lane * len(self.prediction.targets)

    def draw(self, image: Array, time_s: float) -> Array:
        """(H, W, 3) uint8 RGB of `width_px` by `height_px`."""
        canvas = np.full((self.height_px, self._width, 3), PAPER, np.uint8)
        cv2.resize(image, (self._width, self._picture), dst=canvas[: self._picture], interpolation=cv2.INTER_AREA)
        ratio = self._width / image.shape[1], self._picture / image.shape[0]
        for number, track in enumerate(self._tracks):
            box = track.box_at(time_s)
            if box is not None:
                self._draw_box(canvas, number, box * np.array([*ratio, *ratio]), track.clip_at(time_s))
        if self._told is not None:
            for number in range(len(self.prediction.targets)):
                self._draw_lane(canvas, self._told, number, time_s)
            self._draw_header(canvas[self._picture : self._picture + self._header], self._told, time_s)
        return canvas

    def _draw_header(self, strip: Array, told: "_Track", time_s: float) -> None:
        """Whose curves these are, in the colour of the box, and whether they may be trusted."""
        words, clip = told.person.label if len(self._tracks) > 1 else "", told.clip_at(time_s)
        colour, line = BOXES[self._tracks.index(told) % len(BOXES)], round(self._header * 0.75)
        _write(strip, words, (8, line), self._text, colour)
        if clip >= 0 and told.person.clips.out_of_range[clip]:
            _write(strip, remark(told.person, clip), (self._text_px, line), self._text, ODD)

    def _draw_box(self, canvas: Array, number: int, box: Array, clip: int) -> None:
        left, top, right, bottom = (int(value) for value in np.rint(box))
        picture = canvas[: self._picture]
        for colour, width in (((0, 0, 0), 4), (BOXES[number % len(BOXES)], 2)):
            cv2.rectangle(picture, (left, top), (right, bottom), colour, width, cv2.LINE_AA)
        person = self._tracks[number].person
        words = [person.label] if len(self._tracks) > 1 else []
        if clip >= 0 and self._tracks[number] is not self._told:
            scores = zip(self.prediction.targets, person.clips.mean[clip], strict=True)
            words += [f"{target.name} {value:z.2f}" for target, value in scores if not np.isnan(value)]
        pitch = round(42 * self._text)
        lowest = max(top - 6, pitch * len(words))  # over the face where there is no room above it
        for line, text in enumerate(words):
            _write(picture, text, (left, lowest - pitch * (len(words) - 1 - line)), self._text, INK)

    def _draw_lane(self, canvas: Array, track: "_Track", number: int, time_s: float) -> None:
        person, clip = track.person, track.clip_at(time_s)
        target = self.prediction.targets[number]
        top = self._picture + self._header + number * self._lane
        lane = canvas[top : top + self._lane]
        bright = tuple(min(255, value + 70) for value in rgb(COLOURS[number % len(COLOURS)]))
        cv2.line(lane, (0, 0), (self._width, 0), RULE, 1)
        _write(lane, target.name, (8, round(self._lane * 0.42)), self._text, bright)
        _write(lane, _score(person, clip, number, target.unit), (8, round(self._lane * 0.86)), self._text, INK)
        if clip >= 0 and person.clips.out_of_range[clip]:
            cv2.rectangle(lane, (0, 2), (4, self._lane - 2), ODD, -1)
        self._draw_curve(lane[:, self._text_px :], track, number, time_s, bright)

    def _draw_curve(self, area: Array, track: "_Track", number: int, time_s: float, colour: tuple[int, ...]) -> None:
        """The curve around now: what was to the left of the cursor, what comes to the right."""
        height, width = area.shape[:2]
        person, middle, (low, high) = track.person, track.middle_s, self._ranges[number]
        begin = time_s - WINDOW_S / 2
        first, last = np.searchsorted(middle, [begin - WINDOW_S / 2, begin + WINDOW_S * 1.5])
        x = (middle[first:last] - begin) / WINDOW_S * width
        scale = (height - 10) / (high - low)
        mean, std = person.clips.mean[first:last, number], np.nan_to_num(person.clips.std[first:last, number])
        line = 5 + (high - mean) * scale
        for start, stop in _runs(mean, middle[first:last], track.clip_step_s):
            part = slice(start, stop)
            points = np.stack([x[part], line[part]], 1)
            above, below = (np.stack([x[part], line[part] + side * std[part] * scale], 1) for side in (-1, 1))
            band = np.concatenate([above, below[::-1]])
            shade = tuple(value // 3 + PAPER[0] for value in colour)
            cv2.fillPoly(area, [np.rint(band).astype(np.int32)], shade, cv2.LINE_AA)
            cv2.polylines(area, [np.rint(points).astype(np.int32)], False, colour, 2, cv2.LINE_AA)
        cv2.line(area, (width // 2, 2), (width // 2, height - 2), INK, 1)


class _Track:
    """A person through the recording: where the face is at any time, and which clip stands for it."""

    def __init__(self, person: PersonPrediction) -> None:
        self.person = person
        self.middle_s = (person.start_s + person.end_s) / 2
        self.clip_step_s = float(np.median(np.diff(self.middle_s))) if len(self.middle_s) > 1 else 1.0
        self._left, self._right = person.edges_s()
        self._time_s, self._box = person.face_time_s, person.face_box_px.astype(np.float64)
        self._step = float(np.median(np.diff(self._time_s))) if len(self._time_s) > 1 else 0.5

    def clip_at(self, time_s: float) -> int:
        """Number of the clip; -1 between clips."""
        clip = int(np.searchsorted(self._left, time_s, side="right")) - 1
        return clip if clip >= 0 and time_s < self._right[clip] else -1

    def box_at(self, time_s: float) -> Array | None:
        after = int(np.searchsorted(self._time_s, time_s, side="right"))
        if after == 0:
            return None
        since = time_s - self._time_s[after - 1]
        if after == len(self._time_s) or self._time_s[after] - self._time_s[after - 1] > self._step * JOINED_WITHIN:
            return self._box[after - 1] if since <= self._step else None
        share = since / max(1e-9, self._time_s[after] - self._time_s[after - 1])
        box: Array = self._box[after - 1] * (1 - share) + self._box[after] * share
        return box


def _range(track: "_Track | None", number: int, target: Target) -> tuple[float, float]:
    """The target's scale, widened to what is outside it: that is shown, not cut off."""
    if track is None:
        return target.low, target.high
    mean, std = track.person.clips.mean[:, number], np.nan_to_num(track.person.clips.std[:, number])
    said = ~np.isnan(mean)
    low, high = (mean - std)[said].min(initial=target.low), (mean + std)[said].max(initial=target.high)
    return float(low), float(high)


def _score(person: PersonPrediction, clip: int, number: int, unit: str) -> str:
    if clip < 0 or np.isnan(person.clips.mean[clip, number]):
        return "nothing to say"
    spread = person.clips.std[clip, number]
    text = f"{person.clips.mean[clip, number]:z.2f}" + ("" if np.isnan(spread) else f" +- {spread:.2f}")
    return f"{text} {unit}".rstrip()


def _runs(mean: Array, middle: Array, step: float) -> list[tuple[int, int]]:
    """Stretches of clips that are joined by a line."""
    known = ~np.isnan(mean)
    joined = known[1:] & known[:-1] & (np.diff(middle) <= JOINED_WITHIN * step)
    starts = np.flatnonzero(known & ~np.append(False, joined)[: len(known)])
    stops = np.flatnonzero(known & ~np.append(joined, False)[: len(known)]) + 1
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def _write(image: Array, text: str, place: tuple[int, int], scale: float, colour: tuple[int, ...]) -> None:
    """Text on a darkened strip: readable on any picture."""
    if not text:
        return
    text = shortened(spelled(text), MOST_TEXT)
    (width, height), below = cv2.getTextSize(text, FONT, scale, 1)
    left, bottom = max(0, place[0] - 3), max(0, place[1] + below)
    strip = image[max(0, place[1] - height - 3) : bottom, left : place[0] + width + 3]
    strip[:] = strip // 3
    cv2.putText(image, text, place, FONT, scale, colour, 1, cv2.LINE_AA)
