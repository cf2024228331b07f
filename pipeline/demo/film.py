"""The demo's data set: videos of one photograph's face moving by known amounts, filmed as several "subjects"."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.manifest import Manifest, write_manifest
from ...cache.records import Array, Target
from ...stages.film.moved_face import Face, load_face
from ...stages.film.scene import Situation, Waves, draw_situation, film

TARGETS = ("valence", "arousal")
PERIODS_S = (4.0, 11.0)  # of the labels' waves: slow beside a span, several in a video


@dataclass(frozen=True, slots=True)
class DemoDataConfig:
    """How much is made. The defaults are what `affect demo` uses."""

    splits: tuple[tuple[str, int], ...] = (("train", 6), ("validation", 2), ("test", 2))
    seconds: float = 20.8
    fps: float = 12.5
    span_s: float = 1.6

    @property
    def subjects(self) -> list[tuple[str, str]]:
        """(subject, split) of every video, in order."""
        splits = [split for split, count in self.splits for _ in range(count)]
        return [(f"S{number:02d}", split) for number, split in enumerate(splits, 1)]

    @property
    def held_out(self) -> str:
        """The last subject that tests."""
        return next(subject for subject, split in reversed(self.subjects) if split == "test")


def make_demo_data(folder: Path, seed: int = 0, config: DemoDataConfig | None = None) -> Path:
    """The manifest of videos newly made under `folder`; the same files for the same seed.

    Each subject's video shows valence as lifted or dropped mouth corners, arousal as opened mouth and eyes.
    """
    config = config or DemoDataConfig()
    face = load_face()
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, str, str, float, float, Array]] = []
    for number, (subject, split) in enumerate(config.subjects):
        random = np.random.default_rng([seed, number])
        situation = draw_situation(random)
        affect = Waves.draw(random, len(TARGETS), PERIODS_S, 0.75)
        name = f"videos/{subject}.mp4"
        write_video(folder / name, face, situation, affect, config)
        rows += [(name, subject, split, *span) for span in label_spans(affect, config)]
    manifest = Manifest(
        videos=[row[0] for row in rows],
        subjects=[row[1] for row in rows],
        splits=[row[2] for row in rows],
        start_s=np.array([row[3] for row in rows]),
        end_s=np.array([row[4] for row in rows]),
        targets=tuple(Target(name, -1.0, 1.0) for name in TARGETS),
        labels=np.stack([row[5] for row in rows]),
    )
    write_manifest(manifest, folder / "labels.csv")
    return folder / "labels.csv"


def label_spans(affect: Waves, config: DemoDataConfig) -> list[tuple[float, float, Array]]:
    """(start_s, end_s, mean of the curves over the frames inside) of each whole span of a video."""
    count = int(config.seconds / config.span_s + 1e-9)
    inside = int(config.span_s * config.fps)
    spans = []
    for number in range(count):
        start_s, end_s = round(number * config.span_s, 3), round((number + 1) * config.span_s, 3)
        values = affect.at(start_s + np.arange(inside) / config.fps).mean(axis=0)
        spans.append((start_s, end_s, values.round(4)))
    return spans


def write_video(path: Path, face: Face, situation: Situation, affect: Waves, config: DemoDataConfig) -> None:
    """Film one subject into an mp4: H.264 where this build of FFmpeg has it, MPEG-4 part 2 where not."""
    import av

    time_s = np.arange(round(config.seconds * config.fps)) / config.fps
    moods, sways = affect.at(time_s), situation.sway.at(time_s)
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "crf": "22"} if codec == "libx264" else {}
        stream: Any = container.add_stream(codec, rate=Fraction(config.fps).limit_denominator(1001), options=options)
        stream.width, stream.height = situation.size_px
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        if codec == "mpeg4":
            stream.bit_rate = 900_000
        for number in range(len(time_s)):
            frame = av.VideoFrame.from_ndarray(
                film(face, situation, moods[number], sways[number], number), format="rgb24"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
