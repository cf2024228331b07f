"""Where a recording pauses, and how long a frame lasts: no clip reaches across a pause or ends behind the recording."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ...cache.records import Array

LONGEST_PAUSE_S = 2.0  # as long as a face may be lost and still be followed; what is longer is a pause
PAUSE_STEPS = 4.0  # and at least as many of the video's usual steps: at one frame in two seconds, 2 s are no pause
CLIP_LENGTHS = (0.8, 1.25)  # of the seconds that clips had in training: what is outside is said


@dataclass(frozen=True, slots=True)
class Pauses:
    """The pauses of V videos, whose F kept frames lie one after another."""

    step_s: Array  # (V,) float64: mean interval of the kept frames, pauses left out; 0 for fewer than two frames
    at: Array  # (P,) int64, ascending: the first frame behind each pause, by its number in the table

    @classmethod
    def of(cls, time_s: Array, first: Array) -> "Pauses":
        """The pauses in times (F,), of which video v has [first[v], first[v + 1]); first: (V + 1,) int64."""
        steps, behind = np.zeros(len(first) - 1), [np.zeros(0, np.int64)]
        for video, (begin, end) in enumerate(pairwise(first.tolist())):
            gaps = np.diff(time_s[begin:end])
            if not len(gaps):
                continue
            long = gaps > LONGEST_PAUSE_S
            if long.any():
                long &= gaps > PAUSE_STEPS * np.median(gaps)
                behind.append(begin + 1 + np.flatnonzero(long))
            usual = gaps[~long]
            steps[video] = usual.mean() if len(usual) else 0.0
        return cls(steps, np.concatenate(behind))

    def follow(self, frame: Array) -> Array:
        """Whether a pause lies right before each frame, by its number in the table; F, behind the last, has none."""
        found: Array = self._before(frame + 1) > self._before(frame)
        return found

    def inside(self, frame: Array, length: Array) -> Array:
        """How many pauses lie between the frames [frame, frame + length), by their numbers in the table."""
        found: Array = self._before(frame + length) - self._before(np.minimum(frame + 1, frame + length))
        return found

    def parts(self, low: Array, high: Array) -> tuple[Array, Array, Array]:
        """The pieces without a pause of runs of frames [low, high), (S,): which run (P,), its low and high.

        A run without frames has one piece without frames. Pieces are in the order of their runs and in time.
        """
        count = np.where(high > low, self.inside(low, np.maximum(high - low, 0)), 0)
        run = np.repeat(np.arange(len(low)), count + 1)
        number = np.arange(len(run)) - np.repeat(np.cumsum(count + 1) - count - 1, count + 1)
        earliest = self._before(low + 1)[run]  # of the pauses inside the run
        cut = np.concatenate([self.at, [0]])
        begin = np.where(number == 0, low[run], cut[np.minimum(earliest + number - 1, len(self.at))])
        end = np.where(number == count[run], high[run], cut[np.minimum(earliest + number, len(self.at))])
        return run, begin, end

    def _before(self, frame: Array) -> Array:
        """How many pauses have ended before each frame, by its number in the table."""
        found: Array = np.searchsorted(self.at, frame)
        return found


def usual_step_s(time_s: Array) -> float:
    """Mean interval of the kept frames of one video, pauses left out; 0 for fewer than two."""
    return float(Pauses.of(time_s, np.array([0, len(time_s)])).step_s[0])


def recording_s(time_s: Array, announced_s: float | None = None) -> float:
    """The end of a recording: one usual interval behind its last kept frame, or what its container says, if earlier."""
    if not len(time_s):
        return 0.0
    end = float(time_s[-1]) + usual_step_s(time_s)
    return announced_s if announced_s is not None and time_s[-1] < announced_s < end else end


def other_length(step_s: float, frames: int, usual_fps: object) -> str:
    """That a video's clips are not as long as those in training, in seconds; empty where they are, or it is not known.

    step_s: the video's usual interval; usual_fps: the frames a second that were kept in training, if it is a number.
    """
    if not isinstance(usual_fps, int | float) or isinstance(usual_fps, bool) or usual_fps <= 0 or step_s <= 0:
        return ""
    here, usual = frames * step_s, frames / usual_fps
    if CLIP_LENGTHS[0] <= here / usual <= CLIP_LENGTHS[1]:
        return ""
    return (
        f"its clips of {frames} frames last {here:.3g} s, those in training {usual:.3g} s: this video has "
        f"{1 / step_s:.3g} kept frames a second, not {usual_fps:g}; the scores may mean nothing"
    )


def mixed_lengths(step_s: Array, frames: int, usual_fps: object) -> tuple[str, ...]:
    """That some of V videos have clips of another length in seconds than the rest; nothing where none has.

    step_s: (V,) usual intervals.
    """
    odd = sum(bool(other_length(step, frames, usual_fps)) for step in step_s.tolist())
    if not odd:
        return ()
    assert isinstance(usual_fps, int | float), "another length is told from a rate"
    return (
        f"{odd} of {len(step_s)} videos do not have {usual_fps:g} kept frames a second: their clips of {frames} frames "
        "last longer or shorter than those of the others",
    )
