"""Predictions to draw, `predict` with all its outputs in one call, and a short recording of a real face."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from affect.cache.predictions import ClipScores, PersonPrediction, VideoPrediction
from affect.cache.records import Target
from affect.configs.schema import Method
from affect.pipeline.predict.inputs import PredictOptions
from affect.pipeline.predict.outputs import Outputs, PredictSummary
from affect.pipeline.predict.predict import predict


def write_predictions(
    videos: Sequence[str | Path],
    run: Path,
    output: Path,
    store: str | Path | None = None,
    options: PredictOptions | None = None,
) -> PredictSummary:
    """As `affect predict` does it, without its bars."""
    with Outputs(output, options) as outputs:
        for event in predict(videos, run, output, store, options=options):
            outputs.add(event)
    return outputs.summary


def predicted_video(video: str, run: Path, store: Path, method: Method | None = None) -> VideoPrediction:
    """Scores of one stored video, as arrays."""
    options = PredictOptions(method=method, device="cpu")
    events = predict([video], run, store / "nowhere", store, options=options)
    return next(event for event in events if isinstance(event, VideoPrediction))


def made_person(track: int = 1, *, duration_s: float = 60.0, hop_s: float = 5.0, models: int = 3) -> PersonPrediction:
    """A person with a gap from 30 to 40 s and a stretch out of range from 45 to 50 s; clips of five seconds."""
    start = np.arange(0, duration_s - 5 + 1e-9, hop_s)
    middle = start + 2.5
    mean = np.stack([np.sin(middle / 7 + track) * 0.8, 4 + 2 * np.cos(middle / 9)], 1).astype(np.float32)
    silent = (middle > 30) & (middle < 40)
    mean[silent] = np.nan
    std = np.where(np.isnan(mean) | (models < 2), np.nan, 0.1).astype(np.float32)
    attention = np.tile(np.array([[0.25, 0.6, 0.15]], np.float32), (len(start), 1))
    attention[0, 0] = np.nan
    time_s = np.arange(0, duration_s, 0.32)
    clips = ClipScores(
        numbers=np.arange(len(start)), mean=mean, std=std, attention=attention,
        coverage=np.where(silent, 0, 0.9).astype(np.float32), reason=silent.astype(np.uint8),
        distance=np.where(silent, np.nan, 0.5).astype(np.float32), out_of_range=(middle > 45) & (middle < 50),
    )  # fmt: skip
    box_px = np.tile(np.array([[60, 40, 120, 120]], np.float32) + 40 * track, (len(time_s), 1))
    return PersonPrediction(track, start, start + 5, clips, time_s, box_px)


def made_prediction(
    *persons: PersonPrediction, source: Path | None = None, duration_s: float = 60.0
) -> VideoPrediction:
    targets = (Target("valence", -1, 1), Target("PANSS N1", 1, 7, "points"))
    return VideoPrediction(
        "clinic/interview.mp4", source, duration_s, 240, 180, targets, (0.05, 3.0), persons, models=3
    )


def pictures_of(video: Path, folder: Path, name: str = "{:05d}.png", without: frozenset[int] = frozenset()) -> Path:
    """The frames of a video, numbered from 1."""
    folder.mkdir(parents=True)
    with av.open(str(video)) as file:
        for number, frame in enumerate(file.decode(video=0), 1):
            if number not in without:
                Image.fromarray(frame.to_ndarray(format="rgb24")).save(folder / name.format(number))
    return folder


def write_face_video(path: Path, *, seconds: float = 2.0, fps: int = 25) -> Path:
    """A face that wanders, and a tone."""
    from skimage.data import astronaut

    picture = astronaut()[0:260, 60:380]
    with av.open(str(path), "w") as out:
        track: Any = out.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        track.width, track.height, track.pix_fmt = 240, 180, "yuv420p"
        sound: Any = out.add_stream("aac", rate=16000)
        sound.layout = "mono"
        for number in range(round(seconds * fps)):
            shift = round(20 * np.sin(number / 9))
            frame = np.ascontiguousarray(picture[40:220, 40 + shift : 280 + shift])
            out.mux(track.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        tone = (np.sin(np.arange(round(seconds * 16000)) * 0.2) * 9000).astype(np.int16)
        for start in range(0, len(tone), 1024):
            piece = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], "s16", "mono")
            piece.sample_rate, piece.pts = 16000, start
            out.mux(sound.encode(piece))
        out.mux(sound.encode(None))
        out.mux(track.encode(None))
    return path
