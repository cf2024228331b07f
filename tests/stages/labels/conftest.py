from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

MakeVideo = Callable[..., Path]


@pytest.fixture(scope="session")
def make_video() -> MakeVideo:
    """A real, tiny video of so many frames; `gap_s` is left out before the last frame, `start_s` before the first."""

    def make(path: Path, frames: int, fps: float = 1.0, gap_s: float = 0.0, start_s: float = 0.0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream("mpeg4", rate=Fraction(fps).limit_denominator(1001))
            stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            for number in range(frames):
                frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
                late_s = start_s + (gap_s if number == frames - 1 else 0.0)
                frame.pts, frame.time_base = round(1000 * (number / fps + late_s)), Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make
