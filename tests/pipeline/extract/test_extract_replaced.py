"""A recording that another one takes the place of, of the same size and with the time of change set back."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from affect.cache.opening import create_store
from affect.cache.store import Store
from affect.configs.load import load_config
from affect.pipeline.events import Begun, Moved, VideoOutcome
from affect.pipeline.extract.extract import extract, extract_into
from affect.pipeline.extract.videos import Source
from affect.stages.features.stream import FeatureExtractor
from affect.tests.predictions import write_face_video

CONFIG = load_config(None, ["features.backbone=pixels", "features.faces.detector=none"]).features


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_face_video(tmp_path_factory.mktemp("film") / "a.mp4")


@pytest.fixture
def recording(film: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy2(film, tmp_path / "a.mp4"))


@pytest.fixture
def empty(tmp_path: Path) -> tuple[Store, FeatureExtractor]:
    extractor = FeatureExtractor(CONFIG, "cpu")
    return create_store(tmp_path / "store", extractor.recipe), extractor


def another(path: Path) -> bytes:
    """As many bytes, of which the last are others."""
    return path.read_bytes()[:-8] + b"another!"


def replaced(path: Path) -> None:
    """Another file is moved there, as a copy that keeps times does it."""
    was, new = path.stat(), path.with_name("new")
    new.write_bytes(another(path))
    os.utime(new, ns=(was.st_atime_ns, was.st_mtime_ns))
    new.replace(path)


def written_over(path: Path) -> None:
    was, data = path.stat(), another(path)
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def extracted_with(
    change: Callable[[Path], None], recording: Path, empty: tuple[Store, FeatureExtractor]
) -> VideoOutcome:
    """What becomes of a recording that changes at each block that is read of it."""
    store, extractor = empty
    for event in extract_into(store, Source(recording, "a.mp4"), extractor):
        if isinstance(event, Moved):
            change(recording)
    assert isinstance(event, VideoOutcome)
    return event


@pytest.mark.parametrize("change", [replaced, written_over])
def test_a_recording_that_changes_while_it_is_read_is_noticed_though_its_size_and_time_stay(
    recording: Path, empty: tuple[Store, FeatureExtractor], change: Callable[[Path], None]
) -> None:
    outcome = extracted_with(change, recording, empty)
    assert outcome.status == "failed" and "changed while it was read" in outcome.reason
    assert empty[0].ids() == []


def removed(path: Path) -> None:
    path.unlink(missing_ok=True)


def a_pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize("change", [removed, a_pipe])
def test_a_recording_that_goes_while_it_is_read_is_said_to_and_gone_on_with_once_it_is_back(
    recording: Path, film: Path, empty: tuple[Store, FeatureExtractor], change: Callable[[Path], None]
) -> None:
    outcome = extracted_with(change, recording, empty)
    assert outcome.status == "failed"
    assert "was removed, renamed or replaced while it was read\nHint: put it back" in outcome.reason
    recording.unlink(missing_ok=True)
    shutil.copy2(film, recording)
    store, extractor = empty
    begun, *_, last = extract_into(store, Source(recording, "a.mp4"), extractor)
    assert isinstance(begun, Begun) and begun.frames > 0
    assert isinstance(last, VideoOutcome) and last.status == "done"


def moved_here(path: Path) -> None:
    """The same bytes, as another file and of another time."""
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def test_a_touched_or_moved_recording_is_the_same_while_it_is_read(
    recording: Path, empty: tuple[Store, FeatureExtractor]
) -> None:
    assert extracted_with(moved_here, recording, empty).status == "done"


def test_verify_reads_the_recordings_too_and_names_one_that_was_replaced(recording: Path) -> None:
    place = str(recording.with_name("store"))
    sources = [Source(recording, "a.mp4")]

    def statuses(*, verify: bool) -> list[tuple[str, str]]:
        events = extract(sources, place, CONFIG, device="cpu", verify=verify)
        return [(event.status, event.reason) for event in events if isinstance(event, VideoOutcome)]

    assert statuses(verify=False) == [("done", "")]
    replaced(recording)
    assert statuses(verify=False)[0][0] == "skipped"  # its size and time are all that is looked at
    ((status, reason),) = statuses(verify=True)
    assert status == "failed" and "has changed since its features were stored\nHint: --overwrite" in reason
