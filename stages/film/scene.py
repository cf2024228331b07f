"""A scene in which a photograph's face moves by known amounts: who it is, light and camera, and every picture of it."""

from dataclasses import dataclass

import numpy as np

from ...cache.records import Array
from .moved_face import EYE_DISTANCE_PX, FACE_CENTRE, Face

SIZES_PX = ((320, 240), (352, 264), (288, 288))


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
