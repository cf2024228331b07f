"""Tables as OpenFace 2, py-feat and other tools write them, with the numbers that stand in them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from affect.cache.records import Array

AUS = ("01", "02", "04", "05", "06", "07", "09", "10", "12", "14", "15", "17", "20", "23", "25", "26", "45")
OPENFACE = (
    *(f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz"),
    *("gaze_angle_x", "gaze_angle_y"),
    *(f"pose_{part}{axis}" for part in "TR" for axis in "xyz"),
    *(f"AU{number}_r" for number in AUS),
    *(f"AU{number}_c" for number in AUS),
)
PYFEAT = (
    *(f"AU{number}" for number in AUS),
    *("Pitch", "Roll", "Yaw"),
    *("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"),
)
POINTS = (*(f"x_{number}" for number in range(68)), *(f"y_{number}" for number in range(68)))


@dataclass(frozen=True)
class Made:
    """What stands in a table: n frames at a rate, and the features of each."""

    values: Array  # (n, D), as they are written
    fps: float = 25.0
    lost: Sequence[int] = ()  # frames without a face
    unsure: Sequence[int] = ()  # frames with a confidence of 0.2
    points: bool = False
    faces: int = 1  # rows of each frame; another face's features are 1 more
    left_out: bool = False  # whether lost frames have no row at all
    extra: Mapping[str, str] = field(default_factory=dict)  # more columns, of one cell throughout

    def __len__(self) -> int:
        return len(self.values)


def drawn(frames: int, columns: int, seed: int = 0, digits: int = 2) -> Array:
    """(n, D): smooth numbers of 0 to 5, as they are written."""
    random = np.random.default_rng(seed)
    steps = np.cumsum(random.standard_normal((frames, columns)), axis=0) / 4
    return np.round(2.5 + 2.4 * np.sin(steps + random.uniform(0, 6, columns)), digits)


def openface(path: Path, made: Made) -> None:
    """As `FeatureExtraction` writes it, or `FaceLandmarkVidMulti` for several faces: blanks behind the commas."""
    names = OPENFACE[: made.values.shape[1]]
    more = POINTS if made.points else ()
    lines = [", ".join(["frame", "face_id", "timestamp", "confidence", "success", *names, *more, *made.extra])]
    for frame, row in enumerate(made.values):
        for face in range(made.faces):
            lost = frame in made.lost
            if lost and made.left_out:
                continue
            confidence, success = ("0.02", "0") if lost else ("0.2", "1") if frame in made.unsure else ("0.98", "1")
            cells = [f"{0 if lost else value + face:g}" for value in row]
            cells += [f"{100 + face * 50 + number % 17:.1f}" for number in range(len(more))]
            lines.append(
                ", ".join([str(frame + 1), str(face), f"{frame / made.fps:.3f}", confidence, success, *cells,
                           *made.extra.values()])
            )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def pyfeat(path: Path, made: Made, *, identity: bool = True, index: bool = False, video: str = "/data/S01.mp4") -> None:
    """As `Fex.to_csv` writes it: empty cells where there is no face."""
    names = PYFEAT[: made.values.shape[1]]
    box = ("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore")
    who = ("Identity",) if identity else ()
    lines = [",".join([*(["frame"] if index else []), *box, *POINTS, *names, *who, "input", "frame", "approx_time"])]
    for frame, row in enumerate(made.values):
        for face in range(made.faces):
            lost = frame in made.lost
            score = 0.2 if frame in made.unsure else 0.99
            cells = [f"{10 + face}", "20", "30", "40", f"{score}", *["50"] * 136, *(f"{v + face:g}" for v in row)]
            cells = [""] * len(cells) if lost else cells
            seconds = int(frame / made.fps)
            clock = f"{seconds // 60:02d}:{seconds % 60:02d}"
            person = ["" if lost else f"Person_{face}"] if identity else []
            lines.append(",".join([*([str(frame)] if index else []), *cells, *person, video, str(frame), clock]))
            if lost:
                break
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def plain(path: Path, columns: Mapping[str, Iterable[object]], separator: str = ",", encoding: str = "utf-8") -> None:
    """A table of these columns."""
    rows = [separator.join(columns), *(separator.join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding)
