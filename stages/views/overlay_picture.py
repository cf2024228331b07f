"""One picture of an overlay: face boxes on the frame; under it a lane with each target's score and running curve."""

import cv2
import numpy as np

from ...cache.predictions import PersonPrediction, VideoPrediction
from ...cache.records import Array, Target
from ...configs.plain_text import shortened, spelled
from .annotations import remark
from .rules import (
    COLOURS_DARK,
    FACE_BOXES,
    JOINED_WITHIN,
    THEME,
    clock_text,
    clock_ticks,
    number_text,
    rgb,
    value_ticks,
)
from .scales import beyond, shown_range, value_text

MOST_TEXT = 200  # characters on one line: more than any picture has room for
MOST_NAME = 18  # of a target's name, before its curve
MOST_LANES = 8  # targets with a curve: more would be larger than the recording
MOST_BESIDE = 3  # targets whose scores are written beside the face of one of several people
WINDOW_S = 30.0  # of the running curve
LEAST_WIDTH_PX = 640  # narrower recordings are enlarged, or nobody could read the scores
SMALL = 0.8  # of the text: numbers of an axis
LEAST_TEXT = 0.55  # of the font's size: smaller, the point of a number disappears
MARGIN_PX = 6  # of a lane, above and below its range
FONT = cv2.FONT_HERSHEY_SIMPLEX
INK, PAPER, RULE, QUIET, ODD = (rgb(THEME[name][1]) for name in ("ink", "page", "rule", "quiet", "odd"))
BOXES = tuple(map(rgb, FACE_BOXES))  # person by person
CURVES = tuple(map(rgb, COLOURS_DARK))  # target by target


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
        self._axis_px = round(64 * self._text)  # of the values beside it
        self._header = round(36 * self._text / 2) * 2
        self._footer = round(40 * self._text / 2) * 2
        self._lanes = min(len(prediction.targets), MOST_LANES)
        self._tracks = [_Track(person) for person in prediction.persons]
        # The panel tells of one person: the one seen most.
        self._told = max(self._tracks, key=lambda track: len(track.person.face_time_s), default=None)
        self._ranges = [_range(self._told, number, target) for number, target in enumerate(prediction.targets)]

    @property
    def width_px(self) -> int:
        return self._width

    @property
    def height_px(self) -> int:
        return self._picture + self._header + self._lane * self._lanes + self._footer

    def draw(self, image: Array, time_s: float) -> Array:
        """(H, W, 3) uint8 RGB of `width_px` by `height_px`."""
        canvas = np.full((self.height_px, self._width, 3), PAPER, np.uint8)
        cv2.resize(image, (self._width, self._picture), dst=canvas[: self._picture], interpolation=cv2.INTER_AREA)
        ratio = self._width / image.shape[1], self._picture / image.shape[0]
        written: list[tuple[int, int, int, int]] = []
        seen = [(number, track.box_at(time_s)) for number, track in enumerate(self._tracks)]
        for number, box in sorted(seen, key=lambda one: self._tracks[one[0]] is not self._told):
            if box is not None:
                self._draw_box(canvas, number, box * np.array([*ratio, *ratio]), time_s, written)
        if self._told is not None:
            for number in range(self._lanes):
                self._draw_lane(canvas, self._told, number, time_s)
            self._draw_header(canvas[self._picture : self._picture + self._header], self._told, time_s)
            self._draw_clock(canvas[-self._footer :], time_s)
        return canvas

    def _window(self, time_s: float) -> tuple[float, float]:
        """The stretch of the recording that is shown around now: at both ends of it no place is left empty."""
        length = max(min(WINDOW_S, self.prediction.duration_s), 1e-3)
        begin = min(max(0.0, time_s - length / 2), max(0.0, self.prediction.duration_s - length))
        return begin, length

    def _across(self, times_s: Array | float, time_s: float) -> Array:
        """Where times lie in the picture, in pixels, when `time_s` is now."""
        begin, length = self._window(time_s)
        left = self._text_px + self._axis_px
        return left + (np.asarray(times_s, np.float64) - begin) / length * (self._width - left - 1)

    def _draw_clock(self, strip: Array, time_s: float) -> None:
        """Times of the recording under the curves, and how long a stretch is shown."""
        begin, length = self._window(time_s)
        cv2.line(strip, (0, 0), (self._width, 0), RULE, 1)
        line, small = round(self._footer * 0.72), self._text * SMALL
        _write(strip, f"window: {length:.0f} s", (8, line), small, QUIET)
        for tick in clock_ticks(begin, begin + length, 5):
            x, words = round(float(self._across(tick, time_s))), clock_text(tick)
            wide = cv2.getTextSize(words, FONT, small, 1)[0][0]
            cv2.line(strip, (x, 0), (x, 4), QUIET, 1)
            if x + wide // 2 < self._width:
                _write(strip, words, (x - wide // 2, line), small, QUIET)

    def _draw_header(self, strip: Array, told: "_Track", time_s: float) -> None:
        """Whose curves these are, in the colour of the box, and whether they may be trusted."""
        words, clip = told.person.label if len(self._tracks) > 1 else "", told.clip_at(time_s)
        colour, line = BOXES[self._tracks.index(told) % len(BOXES)], round(self._header * 0.75)
        _write(strip, words, (8, line), self._text, colour)
        if clip >= 0 and told.person.clips.out_of_range[clip]:
            _write(strip, remark(told.person, clip), (self._text_px, line), self._text, ODD)
        elif self._lanes < len(self.prediction.targets):
            words = f"the first {self._lanes} of {len(self.prediction.targets)}; the viewer has all"
            _write(strip, words, (self._text_px, line), self._text * SMALL, QUIET)

    def _draw_box(
        self, canvas: Array, number: int, box: Array, time_s: float, written: list[tuple[int, int, int, int]]
    ) -> None:
        """A face with its person's name and, where the lanes are another person's, scores. `written`: where words are.

        Words that would cover others are left out.
        """
        left, top, right, bottom = (int(value) for value in np.rint(box))
        picture = canvas[: self._picture]
        for colour, width in (((0, 0, 0), 4), (BOXES[number % len(BOXES)], 2)):
            cv2.rectangle(picture, (left, top), (right, bottom), colour, width, cv2.LINE_AA)
        if len(self._tracks) == 1:
            return
        track = self._tracks[number]
        person, clip = track.person, track.clip_at(time_s)
        scores: list[str] = []
        if clip >= 0 and track is not self._told and len(self.prediction.targets) <= MOST_BESIDE:
            pairs = zip(self.prediction.targets, person.clips.mean[clip], strict=True)
            scores = [f"{target.name} {value_text(target, value)}" for target, value in pairs if not np.isnan(value)]
        pitch = round(42 * self._text)
        for words in ([person.label, *scores], [person.label], [str(person.track)]):
            lowest = max(top - 6, pitch * len(words))  # over the face where there is no room above it
            wide = max(cv2.getTextSize(text, FONT, self._text, 1)[0][0] for text in words) + 6
            place = left - 3, lowest - pitch * len(words), left + wide, lowest + 6
            if all(_apart(place, other) for other in written):
                written.append(place)
                for line, text in enumerate(words):
                    _write(picture, text, (left, lowest - pitch * (len(words) - 1 - line)), self._text, INK)
                return

    def _draw_lane(self, canvas: Array, track: "_Track", number: int, time_s: float) -> None:
        person, clip = track.person, track.clip_at(time_s)
        target = self.prediction.targets[number]
        top = self._picture + self._header + number * self._lane
        lane = canvas[top : top + self._lane]
        colour = CURVES[number % len(CURVES)]
        cv2.line(lane, (0, 0), (self._width, 0), RULE, 1)
        self._draw_values(lane, number)
        self._draw_curve(lane, track, number, time_s, colour)
        words = _score(person, clip, number, target)
        _write(lane, shortened(target.name, MOST_NAME), (8, round(self._lane * 0.42)), self._text, colour)
        _write(lane, words, (8, round(self._lane * 0.86)), self._fitted(words), INK)
        if clip >= 0 and person.clips.out_of_range[clip]:
            cv2.rectangle(lane, (0, 2), (4, self._lane - 2), ODD, -1)

    def _fitted(self, words: str) -> float:
        """A size of text at which words end before the values of the axis."""
        wide = cv2.getTextSize(words, FONT, self._text, 1)[0][0]
        return self._text * min(1.0, self._text_px / (wide + 12))

    def _height(self, values: Array | float, number: int) -> Array:
        """Where values of a target lie in its lane, in pixels from its top."""
        low, high = self._ranges[number]
        return MARGIN_PX + (high - np.asarray(values, np.float64)) / (high - low) * (self._lane - 2 * MARGIN_PX)

    def _draw_values(self, lane: Array, number: int) -> None:
        """Lines at round values and their numbers; zero is brighter."""
        left, small = self._text_px + self._axis_px, self._text * SMALL
        for tick in value_ticks(*self._ranges[number], 3):
            line, words = round(float(self._height(tick, number))), number_text(tick).replace("\N{MINUS SIGN}", "-")
            (wide, tall), _ = cv2.getTextSize(words, FONT, small, 1)
            cv2.line(lane, (left, line), (self._width, line), QUIET if tick == 0 else RULE, 1)
            place = min(max(line + tall // 2, tall + 2), self._lane - 3)
            _write(lane, words, (left - wide - 6, place), small, QUIET)

    def _draw_curve(self, lane: Array, track: "_Track", number: int, time_s: float, colour: tuple[int, ...]) -> None:
        """The curve around now, which is a bright line."""
        person, middle = track.person, track.middle_s
        begin, length = self._window(time_s)
        first, last = np.searchsorted(middle, [begin - length / 2, begin + length * 1.5])
        x = self._across(middle[first:last], time_s)
        mean, std = person.clips.mean[first:last, number], np.nan_to_num(person.clips.std[first:last, number])
        line, under, over = (self._height(mean + side * std, number) for side in (0, -1, 1))
        left = self._text_px + self._axis_px
        area = lane[:, left:]
        for start, stop in _runs(mean, middle[first:last], track.clip_step_s):
            part = slice(start, stop)
            points, above, below = (np.stack([x[part] - left, level[part]], 1) for level in (line, over, under))
            band = np.concatenate([above, below[::-1]])
            shade = tuple(value // 3 + PAPER[0] for value in colour)
            cv2.fillPoly(area, [np.rint(band).astype(np.int32)], shade, cv2.LINE_AA)
            cv2.polylines(area, [np.rint(points).astype(np.int32)], False, colour, 2, cv2.LINE_AA)
        now = round(float(self._across(time_s, time_s)))
        cv2.line(lane, (now, 2), (now, self._lane - 2), INK, 1)


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
        return shown_range(target)
    mean, std = track.person.clips.mean[:, number], np.nan_to_num(track.person.clips.std[:, number])
    return shown_range(target, mean - std, mean + std)


def _score(person: PersonPrediction, clip: int, number: int, target: Target) -> str:
    if clip < 0 or np.isnan(person.clips.mean[clip, number]):
        return "nothing to say"
    value, spread = float(person.clips.mean[clip, number]), float(person.clips.std[clip, number])
    text = value_text(target, value) + ("" if np.isnan(spread) else f" +- {value_text(target, spread)}")
    return " ".join(filter(None, (text, target.unit, beyond(target, value))))


def _apart(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    """Whether two rectangles, left top right bottom, do not overlap."""
    return one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]


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
    text = shortened(spelled(text), MOST_TEXT).replace("\N{HORIZONTAL ELLIPSIS}", "..")  # the font is ASCII
    (width, height), below = cv2.getTextSize(text, FONT, scale, 1)
    left, bottom = max(0, place[0] - 3), max(0, place[1] + below)
    strip = image[max(0, place[1] - height - 3) : bottom, left : place[0] + width + 3]
    strip[:] = strip // 3
    cv2.putText(image, text, place, FONT, scale, colour, 1, cv2.LINE_AA)
