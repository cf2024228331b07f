"""In which unit a label table has its times: said, told by the videos, or asked for."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from affect.cache.manifest import read_manifest
from affect.configs.load import load_config
from affect.configs.schema import Config
from affect.errors import ManifestError
from affect.pipeline.events import FoldsPlanned
from affect.pipeline.terminal.bars import bars
from affect.pipeline.train.train import train
from affect.pipeline.train.training_set import TrainingSet, build_training_set
from affect.tests.generated import GeneratedData, generated_features

from .conftest import Data


def rewritten(data: Data, path: Path, written: Callable[[float], str], *, separator: str = ",") -> Path:
    """The label table with its times written in another way."""
    manifest = data.manifest
    lines = [separator.join(("video", "subject", "start_s", "end_s", *manifest.target_names))]
    for row in range(len(manifest)):
        times = written(manifest.start_s[row]), written(manifest.end_s[row])
        values = [f"{value:.4f}" for value in manifest.labels[row]]
        cells = [manifest.videos[row], manifest.subjects[row], *times, *values]
        lines.append(separator.join(cell if separator == "," else cell.replace(".", ",") for cell in cells))
    path.write_text("\n".join([*lines, ""]))
    return path


def clock(time_s: float) -> str:
    return f"{int(time_s // 3600):02d}:{int(time_s // 60) % 60:02d}:{time_s % 60:06.3f}"


def read(data: Data, labels: Path, *words: str) -> TrainingSet:
    return build_training_set(data.store, labels, load_config(None, list(words)), "cpu")


@pytest.mark.parametrize(
    ("written", "separator", "said"),
    [
        (str, ",", "times seconds"),
        (str, ";", "';' separated; decimal comma; times seconds"),
        (clock, ",", "times hh:mm:ss"),
        (
            lambda time_s: str(round(1000 * time_s)),
            ",",
            "milliseconds, the only unit in which they fit the videos",
        ),
    ],
)
def test_a_table_trains_on_the_same_clips_in_any_unit(
    data: Data, tmp_path: Path, written: Callable[[float], str], separator: str, said: str
) -> None:
    right = read(data, data.labels)
    table = read(data, rewritten(data, tmp_path / "labels.csv", written, separator=separator))
    assert said in table.manifest.understood
    np.testing.assert_allclose(table.manifest.start_s, right.manifest.start_s, atol=1e-3)
    assert (table.clips.first == right.clips.first).all() and len(table.skipped) == len(right.skipped)


def test_a_unit_that_is_said_is_taken(data: Data, tmp_path: Path) -> None:
    in_ms = rewritten(data, tmp_path / "labels.csv", lambda time_s: str(round(1000 * time_s)))
    told = read(data, in_ms, "labels.time_unit=ms")
    assert told.manifest.understood.endswith("times milliseconds")
    with pytest.raises(ManifestError, match=r"none of the .* spans has a label and a frame"):
        late = rewritten(data, tmp_path / "late.csv", lambda time_s: str(round(1000 * time_s + 10**6)))
        read(data, late, "labels.time_unit=s")
    with pytest.raises(ManifestError, match="expected hh:mm:ss"):
        read(data, in_ms, "labels.time_unit=hms")


def test_numbers_of_frames_are_told_and_refused(data: Data, tmp_path: Path) -> None:
    frame_s = 1 / 3.125  # of the generated videos
    labels = rewritten(data, tmp_path / "labels.csv", lambda time_s: str(round(time_s / frame_s)))
    with pytest.raises(ManifestError, match=r"look like numbers of frames\n.*prepare-labels spans"):
        read(data, labels)


def table(path: Path, data: Data, spans: list[tuple[float, float]]) -> Path:
    """The same spans for every video."""
    videos = dict(zip(data.manifest.videos, data.manifest.subjects, strict=True))
    lines = [f"{video},{person},{start:g},{end:g},{number % 3 / 2}" for video, person in videos.items()
             for number, (start, end) in enumerate(spans)]  # fmt: skip
    path.write_text("\n".join(["video,subject,start_s,end_s,v", *lines, ""]))
    return path


def test_spans_that_fit_in_seconds_stay_seconds_and_what_else_would_fit_is_said(data: Data, tmp_path: Path) -> None:
    # Videos of 51 s: spans of whole seconds that lie in them are seconds, as their columns say.
    long = read(data, table(tmp_path / "a.csv", data, [(0, 25), (25, 50)]))
    assert long.manifest.end_s.max() == 50 and long.manifest.times == "seconds"
    some = read(data, table(tmp_path / "b.csv", data, [(0, 10), (10, 20), (20, 30), (60, 70)]))
    assert some.manifest.times == "seconds" and len(some.skipped) == len(set(data.manifest.videos))


def test_whole_seconds_that_would_be_milliseconds_too_are_seconds_and_that_is_said(tmp_path: Path) -> None:
    shape = GeneratedData(subjects=2, videos=1, video_frames=(4000, 4000), feature_size=4)  # 1280 s
    made = generated_features(tmp_path / "store", tmp_path / "made.csv", shape)
    long = Data(str(tmp_path / "store"), tmp_path / "made.csv", made.manifest)
    manifest = read(long, table(tmp_path / "labels.csv", long, [(0, 400), (400, 800), (800, 1200)])).manifest
    assert manifest.end_s.max() == 1200
    assert "times seconds, as start_s says; milliseconds would fit too (labels.time_unit=ms)" in manifest.understood


def test_where_a_part_fits_in_seconds_and_all_of_it_in_milliseconds_the_unit_is_asked_for(
    data: Data, tmp_path: Path
) -> None:
    spans = [(0.0, 40.0)] + [(400.0 * n, 400.0 * n + 1000) for n in range(1, 5)]
    labels = table(tmp_path / "labels.csv", data, spans)
    with pytest.raises(ManifestError, match=r"expected to be told the unit\n.*labels.time_unit=s, or =ms"):
        read(data, labels)
    assert read(data, labels, "labels.time_unit=ms").manifest.end_s.max() == 2.6
    assert read(data, labels, "labels.time_unit=s").manifest.end_s.max() == 2600


def test_what_was_understood_is_said_first_and_kept_with_the_run(
    data: Data, tmp_path: Path, settings: Callable[..., Config], capsys: pytest.CaptureFixture[str]
) -> None:
    labels = rewritten(data, tmp_path / "labels.csv", clock)
    config = settings("evaluation.protocol=k-fold", "evaluation.folds=2", "training.epochs=1")
    events = train(data.store, labels, tmp_path / "run", config, device="cpu")
    with contextlib.closing(bars(events)) as drawn:
        first = next(drawn)
    assert isinstance(first, FoldsPlanned) and "times hh:mm:ss" in first.labels
    assert first.labels == read_manifest(labels).understood
    assert first.labels in " ".join(capsys.readouterr().err.split())
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["labels_read"] == first.labels
