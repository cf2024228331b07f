"""Kept frames in, frames with their faces out: when to look, whom a face belongs to, and where it was in between.

At low rates every kept frame is looked at. At high rates about every 0.15 s, at both sides of a cut and at the end;
between two looks that found the same track, its box and landmarks are interpolated. A frame that was looked at and
showed nobody is never filled.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....cache.people import TrackFacts, people, pictures, rivals
from ....cache.records import Array, FrameStatus
from ....configs.schema import FacesConfig
from ..video.frame import Frame
from .array_text import array_from_text, array_to_text
from .crop import Portrait, crop_matrix, cut_out
from .detect import CenterFace, Detections, few_faces
from .find import Finder, Glance
from .motion import Motions
from .track import Sighting, Tracker

LOOK_EVERY_S = 0.15  # faces that cross were told apart at 0.16 s and confused at 0.32 s by their boxes alone
_LOOK_EVERY_FRAMES = 8  # at most, whatever the rate: this many frames wait in memory
_TOLERANCE_S = 0.0005


@dataclass(slots=True)
class KeptFrame:
    """One kept frame on its way through."""

    number: int  # among kept frames
    index: int  # among decoded frames
    time_s: float
    image: Array | None  # (H, W, 3) uint8; None where damaged, and once its faces are cut out
    damaged: bool = False
    cut: bool = False  # a shot begins here

    def __repr__(self) -> str:
        shown = "no image" if self.image is None else f"image {self.image.shape}"
        return f"KeptFrame({self.number}, index={self.index}, time_s={self.time_s:.3f}, {shown})"


@dataclass(frozen=True, slots=True)
class Face:
    """A row to be: whose face, where."""

    track: int
    box_px: Array  # (4,) float64
    landmarks_px: Array  # (5, 2) float64
    score: float

    def __repr__(self) -> str:
        return f"Face(track={self.track}, box_px={self.box_px.round(1).tolist()}, score={self.score:.3f})"


@dataclass(frozen=True, slots=True)
class FollowedFrame:
    """A kept frame with its faces in order of their tracks."""

    kept: KeptFrame
    status: FrameStatus
    faces: list[Face] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Look:
    """A kept frame in which faces were sought, and what was found."""

    number: int
    time_s: float
    status: FrameStatus
    faces: dict[int, Face]


@dataclass(frozen=True, slots=True)
class Begun:
    """Frames on their way, those of them that are looked at, and what the usual look will have found in these."""

    frames: Sequence[KeptFrame]
    planned: Sequence[KeptFrame]
    usual: Future[list[Detections]]


class Follower:
    """Follows the faces of one video. Hands frames back in order, once nothing later can change them.

    What the usual look finds depends on the pictures alone, so it is sought ahead, in other threads, and the tracks
    are made of it here, in order.
    """

    def __init__(self, config: FacesConfig, detector: CenterFace, size_px: int) -> None:
        """`size_px`: S, the side of a crop."""
        self._config = config
        self._size_px = size_px
        self._finder = Finder(detector, config)
        self._tracker = Tracker(config)
        self._motions = Motions()
        self._waiting: list[KeptFrame] = []
        self._last: _Look | None = None
        # Of the frames that were begun: number and time of the last that is looked at, and the last behind it
        self._planned: tuple[int, float] | None = None
        self._unseen: KeptFrame | None = None

    def picture(self, frame: Frame) -> Array:
        """(H, W, 3) uint8: what it needs of a decoded frame."""
        return frame.rgb()

    def crop(self, image: Array, face: Face) -> Array:
        """(S, S, 3) uint8: the face cut out of that picture."""
        matrix = crop_matrix(self._config.crop, face.box_px, face.landmarks_px, self._size_px)
        return cut_out(image, matrix, self._size_px)

    def begin(self, frames: Sequence[KeptFrame], pool: Executor) -> Begun:
        """Have faces sought in the next frames, as one batch, while the ones before are still followed."""
        planned = self._plan(frames)
        return Begun(frames, planned, pool.submit(self._finder.usual, [_glance(frame) for frame in planned]))

    def follow(self, begun: Begun) -> list[FollowedFrame]:
        """Frames that are complete now; what was begun first comes first."""
        self._waiting.extend(begun.frames)
        return self._counted(self._look_at(begun.planned, begun.usual.result()))

    def finish(self) -> list[FollowedFrame]:
        """The frames still waiting, the last of them looked at."""
        last = [frame for frame in self._waiting if not frame.damaged][-1:]
        done = self._counted(self._look_at(last, self._finder.usual([_glance(frame) for frame in last])))
        self._tracker.finish()
        return done

    def persons(self) -> dict[int, int]:
        """track -> the lowest track of its person, for the tracks that were joined; complete after `finish`."""
        return self._tracker.persons()

    def facts(self) -> dict[int, TrackFacts]:
        """What was seen of every track with a row; complete after `finish`."""
        return self._motions.facts()

    def problems(self, with_face: int, frames: int) -> list[str]:
        """What is to be said of the faces in so many kept frames: few, small, pictures of faces, rivals, two in one."""
        few = few_faces(with_face, frames, "kept", self._finder.advice())
        found = people({track: facts.frames for track, facts in self.facts().items()}, self.persons(), self.facts())
        return [*(few or self._finder.problems()), *pictures(found), *rivals(found), *self._tracker.doubts()]

    def _counted(self, frames: list[FollowedFrame]) -> list[FollowedFrame]:
        for frame in frames:
            self._motions.count(face.track for face in frame.faces)
        return frames

    def _plan(self, frames: Sequence[KeptFrame]) -> list[KeptFrame]:
        planned = []
        for frame in frames:
            if frame.damaged:
                continue
            if (
                self._planned is None
                or frame.cut
                or frame.time_s - self._planned[1] >= LOOK_EVERY_S - _TOLERANCE_S
                or frame.number - self._planned[0] >= _LOOK_EVERY_FRAMES
            ):
                if frame.cut and self._unseen is not None:
                    planned.append(self._unseen)
                planned.append(frame)
                self._planned, self._unseen = (frame.number, frame.time_s), None
            else:
                self._unseen = frame
        return planned

    def _look_at(self, planned: Sequence[KeptFrame], usual: Sequence[Detections]) -> list[FollowedFrame]:
        done: list[FollowedFrame] = []
        for frame, found in zip(planned, usual, strict=True):
            look = self._look(frame, self._finder.find(_glance(frame), found))
            done += self._complete(look)
            self._last = look
        while self._waiting and self._waiting[0].damaged:
            done.append(FollowedFrame(self._waiting.pop(0), FrameStatus.DECODE_ERROR))
        return done

    def _look(self, frame: KeptFrame, found: Detections) -> _Look:
        assert frame.image is not None
        size = (found.box_px[:, 2:] - found.box_px[:, :2]).min(axis=1) if len(found) else np.zeros(0)
        large = size >= self._config.min_face_px
        boxes, landmarks = found.box_px[large].astype(float), found.landmarks_px[large].astype(float)
        portraits = [Portrait.of(frame.image, box, marks) for box, marks in zip(boxes, landmarks, strict=True)]
        seen = [
            Sighting(box, marks, float(score), portrait.describe())
            for box, marks, score, portrait in zip(boxes, landmarks, found.score[large], portraits, strict=True)
        ]
        owners = self._tracker.update(frame.number, frame.time_s, seen, cut=frame.cut)
        owned = {
            owner: (portrait, box)
            for owner, portrait, box in zip(owners, portraits, boxes, strict=True)
            if owner is not None
        }
        self._motions.look(frame.image, owned, self._tracker.going_on)
        faces = {
            owner: Face(owner, face.box_px, face.landmarks_px, face.score)
            for owner, face in zip(owners, seen, strict=True)
            if owner is not None
        }
        return _Look(frame.number, frame.time_s, self._status(bool(faces), found, large), faces)

    def _status(self, any_faces: bool, found: Detections, large: Array) -> FrameStatus:
        if any_faces:
            return FrameStatus.OK
        if np.any(~large & (found.score >= self._config.start_score)):
            return FrameStatus.TOO_SMALL
        return FrameStatus.LOW_CONFIDENCE if len(found) else FrameStatus.NO_FACE

    def _complete(self, look: _Look) -> list[FollowedFrame]:
        """The waiting frames up to the one just looked at."""
        done = []
        while self._waiting and self._waiting[0].number <= look.number:
            frame = self._waiting.pop(0)
            if frame.damaged:
                done.append(FollowedFrame(frame, FrameStatus.DECODE_ERROR))
            elif frame.number == look.number:
                done.append(FollowedFrame(frame, look.status, [look.faces[track] for track in sorted(look.faces)]))
            else:
                done.append(self._between(frame, look))
        return done

    def _between(self, frame: KeptFrame, after: _Look) -> FollowedFrame:
        before = self._last
        assert before is not None, "the first undamaged frame is always looked at"
        share = (frame.time_s - before.time_s) / max(after.time_s - before.time_s, 1e-9)
        faces = [
            _mix(before.faces[track], after.faces[track], share)
            for track in sorted(before.faces.keys() & after.faces.keys())
        ]
        if faces:
            return FollowedFrame(frame, FrameStatus.OK, faces)
        unsure = [look.status for look in (before, after) if look.status != FrameStatus.OK]
        return FollowedFrame(frame, unsure[0] if unsure else FrameStatus.NO_FACE)

    def state(self) -> dict[str, Any]:
        """Everything `from_state` needs besides the waiting frames, which come again; JSON values, exact."""
        last = self._last
        return {
            "tracker": self._tracker.state(),
            "finder": self._finder.state(),
            "motions": self._motions.state(),
            "last": last
            and {
                "number": last.number,
                "time_s": last.time_s,
                "status": int(last.status),
                "faces": [
                    [face.track, array_to_text(face.box_px), array_to_text(face.landmarks_px), face.score]
                    for face in last.faces.values()
                ],
            },
        }

    @classmethod
    def from_state(
        cls, config: FacesConfig, detector: CenterFace, size_px: int, state: Mapping[str, Any]
    ) -> "Follower":
        """The follower that gave this state, waiting for the first frame it had not handed back."""
        follower = cls(config, detector, size_px)
        follower._tracker = Tracker.from_state(config, state["tracker"])
        if "motions" in state:  # a journal from before there were any goes on, and counts from here
            follower._finder = Finder.from_state(detector, config, state["finder"])
            follower._motions = Motions.from_state(state["motions"])
        last = state["last"]
        if last is not None:
            faces = {
                track: Face(track, array_from_text(box), array_from_text(marks).reshape(5, 2), score)
                for track, box, marks, score in last["faces"]
            }
            follower._last = _Look(last["number"], last["time_s"], FrameStatus(last["status"]), faces)
            follower._planned = last["number"], last["time_s"]
        return follower


def _glance(frame: KeptFrame) -> Glance:
    assert frame.image is not None
    return Glance(frame.image, frame.time_s, frame.cut)


def _mix(one: Face, other: Face, share: float) -> Face:
    return Face(
        one.track,
        one.box_px + share * (other.box_px - one.box_px),
        one.landmarks_px + share * (other.landmarks_px - one.landmarks_px),
        one.score + share * (other.score - one.score),
    )
