"""The demo's data set: videos of one photograph's face moving by known amounts, filmed as several "subjects"."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.manifest import Manifest, write_manifest
from ...cache.records import Array, Target
from ...stages.views.moved_face import EYE_DISTANCE_PX, FACE_CENTRE, Face, load_face

TARGETS = ("valence", "arousal")
SIZES_PX = ((320, 240), (352, 264), (288, 288))
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


@dataclass(frozen=True, slots=True)
class Situation:
    """What one subject's recording is like, apart from the expression."""

    size_px: tuple[int, int]
    eye_distance_px: float
    stretch: float  # of the face's width, so that heads differ in shape
    mirrored: bool
    roll_deg: float
    centre_px: tuple[float, float]
    gamma: float
    light: Array  # (H, W, 3) float32, multiplies the picture: a cast, and a fall-off to one side
    noise: Array  # (4, H, W, 3) float32, cycled
    gain: tuple[float, float]  # how strongly this subject shows (valence, arousal)
    sway: "Waves"  # x, y, roll, scale in -1 .. 1


@dataclass(frozen=True, slots=True)
class Waves:
    """Smooth random curves: sums of sines, squashed into (-1, 1)."""

    frequency_hz: Array  # (C, S)
    phase: Array  # (C, S)
    strength: float

    @classmethod
    def draw(cls, random: np.random.Generator, curves: int, periods_s: tuple[float, float], strength: float) -> "Waves":
        """`curves` curves of three sines each, their periods within `periods_s`."""
        period_s = np.exp(random.uniform(np.log(periods_s[0]), np.log(periods_s[1]), (curves, 3)))
        return cls(1 / period_s, random.uniform(0, 2 * np.pi, (curves, 3)), strength)

    def at(self, time_s: Array) -> Array:
        """Values at the times (N,), (N, C)."""
        angle = 2 * np.pi * self.frequency_hz * np.asarray(time_s)[:, None, None] + self.phase
        return np.asarray(np.tanh(self.strength * np.sin(angle).sum(axis=-1)))


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


def draw_situation(random: np.random.Generator) -> Situation:
    """A random recording situation: framing, head, light, camera."""
    width, height = SIZES_PX[random.integers(len(SIZES_PX))]
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    towards = random.uniform(0, 2 * np.pi)
    fall_off = 1 + random.uniform(0, 0.22) * (np.cos(towards) * x + np.sin(towards) * y)
    cast = random.uniform(0.88, 1.12, 3) * random.uniform(0.8, 1.1)
    return Situation(
        size_px=(width, height),
        eye_distance_px=height * random.uniform(0.17, 0.25),
        stretch=random.uniform(0.94, 1.06),
        mirrored=bool(random.integers(2)),
        roll_deg=random.uniform(-9, 9),
        centre_px=(width * random.uniform(0.4, 0.6), height * random.uniform(0.46, 0.56)),
        gamma=float(np.exp(random.uniform(-0.3, 0.3))),
        light=(fall_off[..., None] * cast).astype(np.float32),
        noise=(random.standard_normal((4, height, width, 3)) * random.uniform(1, 5)).astype(np.float32),
        gain=(random.uniform(0.85, 1.15), random.uniform(0.85, 1.15)),
        sway=Waves.draw(random, 4, (2.0, 9.0), 0.5),
    )


def film(face: Face, situation: Situation, affect: Array, sway: Array, number: int) -> Array:
    """One frame, (H, W, 3) uint8 RGB, for `affect` (2,) and `sway` (4,) in -1 .. 1."""
    import cv2

    picture = face.express(affect[0] * situation.gain[0], affect[1] * situation.gain[1])
    scale = situation.eye_distance_px / EYE_DISTANCE_PX * (1 + 0.03 * sway[3])
    roll = np.deg2rad(situation.roll_deg + 2.5 * sway[2])
    across = scale * situation.stretch * (-1 if situation.mirrored else 1)
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]]) @ np.diag([across, scale])
    centre = np.array(situation.centre_px) + sway[:2] * 0.02 * situation.size_px[1]
    matrix = np.column_stack([turn, centre - turn @ FACE_CENTRE])
    frame = cv2.warpAffine(picture, matrix, situation.size_px, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    bent = (255 * (np.arange(256) / 255) ** situation.gamma).astype(np.float32)
    lit = bent[frame] * situation.light + situation.noise[number % len(situation.noise)]
    return np.asarray(np.clip(lit, 0, 255).astype(np.uint8))


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
