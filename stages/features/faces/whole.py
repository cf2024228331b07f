"""Kept frames as rows of their own, in the place of the faces in them."""

from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np

from ....cache.people import TrackFacts
from ....cache.records import Array, FrameStatus
from ..video.frame import Frame, Shape
from .follow import Face, FollowedFrame, KeptFrame


class WholeFrame:
    """A follower that seeks no faces: the centre square of every undamaged frame is its one row, of track 0."""

    def __init__(self, shape: Shape, size_px: int) -> None:
        """`size_px`: S, the side of a crop."""
        self._size_px = size_px
        self._row = Face(0, shape.centre_px(), np.full((5, 2), np.nan), 1.0)

    def picture(self, frame: Frame) -> Array:
        """(S, S, 3) uint8: what it needs of a decoded frame, scaled already."""
        return frame.square(self._size_px)

    def crop(self, image: Array, face: Face) -> Array:
        """(S, S, 3) uint8: that picture."""
        return image

    def begin(self, frames: Sequence[KeptFrame], pool: Executor) -> Sequence[KeptFrame]:
        """The frames themselves: nothing is sought in them."""
        return frames

    def follow(self, frames: Sequence[KeptFrame]) -> list[FollowedFrame]:
        """The frames at once, each with its row unless it is damaged."""
        return [
            FollowedFrame(frame, FrameStatus.DECODE_ERROR)
            if frame.damaged
            else FollowedFrame(frame, FrameStatus.OK, [self._row])
            for frame in frames
        ]

    def finish(self) -> list[FollowedFrame]:
        """No frames: none wait."""
        return []

    def persons(self) -> dict[int, int]:
        """No tracks were joined."""
        return {}

    def facts(self) -> dict[int, TrackFacts]:
        """No faces were seen."""
        return {}

    def problems(self, with_face: int, frames: int) -> list[str]:
        """None: no faces were sought."""
        return []

    def state(self) -> None:
        """Nothing: a frame says nothing about the next."""
