"""Recordings that are given as pictures go through every command as the video would."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from affect.cache import open_store
from affect.cache.picture_rate import picture_rate
from affect.cli import main
from affect.errors import InputError
from affect.pipeline.extract.videos import search_videos
from affect.pipeline.prepare_labels import prepare_labels
from affect.tests.predictions import pictures_of, write_face_video

FPS = 12.5


def say(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(word) for word in words])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_face_video(tmp_path_factory.mktemp("film") / "S01.mp4", seconds=2, fps=25)


@pytest.fixture(scope="module")
def folder(video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`batch/S01` holds every frame, `batch/S02` lacks some, `batch/two` holds two series."""
    batch = tmp_path_factory.mktemp("pictures") / "batch"
    pictures_of(video, batch / "S01")
    pictures_of(video, batch / "S02", without=frozenset({1, 2, 3, *range(20, 30)}))
    pictures_of(video, batch / "two", "left_{}.png")
    for path in list((batch / "two").iterdir()):
        path.with_name(path.name.replace("left", "right")).write_bytes(path.read_bytes())
    return batch


@pytest.fixture(scope="module")
def store(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("store") / "store"
    code, output = say("extract-features", folder, "--store", place, "--picture-fps", FPS, "--device", "cpu")
    assert code == 0, output
    return place


def test_every_folder_of_pictures_is_an_entry_with_faces_and_times(store: Path) -> None:
    opened = open_store(str(store))
    assert opened.ids() == ["S01", "S02", "two/left", "two/right"]
    whole = opened.read("S01")
    np.testing.assert_allclose(whole.time_s[::2], np.arange(10) * 0.4)  # 5 a second, out of 12.5
    np.testing.assert_allclose(whole.time_s * FPS, whole.index)
    assert (whole.status == 0).all() and len(whole.values) == len(whole.time_s)
    lacking = opened.read("S02")
    np.testing.assert_array_equal(lacking.time_s, whole.time_s)
    np.testing.assert_array_equal(lacking.index, whole.index)
    gone = np.isin(lacking.index + 1, [1, 2, 3, *range(20, 30)])
    assert gone.sum() > 2 and (lacking.status[gone] != 0).all()
    np.testing.assert_array_equal(opened.read("two/left").values, opened.read("two/right").values)
    assert "13 numbers have no picture" in " ".join(opened.info("S02").warnings)


def test_pictures_have_the_features_of_the_video_that_they_were_taken_from(
    store: Path, video: Path, tmp_path: Path
) -> None:
    code, output = say("extract-features", video, "--store", tmp_path / "store", "--device", "cpu")
    assert code == 0, output
    film, shots = open_store(str(tmp_path / "store")).read("S01.mp4"), open_store(str(store)).read("S01")
    both = np.intersect1d(film.index, shots.index)
    assert len(both) >= 3
    for index in both:
        first, second = (part.values[part.index[part.frame] == index][0].astype(float) for part in (film, shots))
        assert first @ second / np.linalg.norm(first) / np.linalg.norm(second) > 0.98


def test_what_is_stored_is_skipped_and_another_rate_or_picture_is_a_change(
    folder: Path, store: Path, tmp_path: Path
) -> None:
    words = ("extract-features", folder, "--store", store, "--device", "cpu")
    code, output = say(*words, "--picture-fps", FPS)
    assert code == 0 and "skipped 4" in output
    code, output = say(*words, "--picture-fps", 25)
    assert code == 1 and "were stored as 12.5 a second, and would now be 25" in output
    table = tmp_path / "rates.csv"
    table.write_text("video,fps\nS01,12.5\nbatch/S02.mp4,12.5\n")
    code, output = say(*words, "--picture-fps", table)
    assert code == 0 and "skipped 4" in output  # what is stored has its times
    code, output = say("extract-features", folder, "--store", tmp_path / "new", "--picture-fps", table, "--dry-run")
    assert code == 0
    code, output = say("extract-features", folder / "two", folder / "S02", "--store", tmp_path / "new",
                       "--picture-fps", table, "--device", "cpu")  # fmt: skip
    assert code == 1 and "1 stored, 0 skipped, 2 failed" in output
    assert output.count("expected to know their rate") == 2  # said, not guessed
    copy = tmp_path / "S01"
    copy.mkdir()
    for path in (folder / "S01").iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    next(iter(sorted(copy.iterdir()))).unlink()
    code, output = say("extract-features", copy, "--store", store, "--picture-fps", FPS, "--device", "cpu")
    assert code == 1 and "has changed since its features were stored" in output


def test_without_a_rate_folders_of_pictures_are_said_and_not_read(folder: Path, video: Path, tmp_path: Path) -> None:
    code, output = say("extract-features", folder, "--store", tmp_path / "store")
    assert code == 2 and "3 folders" not in output
    assert "4 folders of numbered pictures, left out" in output and "--picture-fps" in output
    assert not (tmp_path / "store").exists()
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "S01.mp4").symlink_to(video)
    (tmp_path / "mixed" / "faces").symlink_to(folder / "S01")
    found = search_videos([str(tmp_path / "mixed")])
    assert [source.id for source in found.sources] == ["S01.mp4"]
    assert "1 folder of numbered pictures, left out: faces (50 pictures)" in found.left_out[0]
    both = search_videos([str(tmp_path / "mixed")], 12.5)
    assert [(source.id, source.picture_fps) for source in both.sources] == [("S01.mp4", None), ("faces", 12.5)]


@pytest.mark.parametrize("rate", ["0", "-25", "nan", "inf", "2000", "often"])
def test_a_rate_that_cannot_be_is_refused(rate: str) -> None:
    with pytest.raises(InputError, match="--picture-fps"):
        picture_rate(rate)


def test_a_table_of_rates_is_read_by_any_spelling_of_the_recording(tmp_path: Path) -> None:
    table = tmp_path / "rates.csv"
    table.write_text("video;fps\nS01;29,97\nS02.mp4;25\nsub/S03;10\n")
    rate = picture_rate(str(table))
    assert [rate.of(name) for name in ("S01", "batch/S01", "S02", "x/S02", "sub/S03", "S04")] == [
        29.97, 29.97, 25, 25, 10, None,
    ]  # fmt: skip
    table.write_text("video,fps\nS01,fast\n")
    with pytest.raises(InputError, match="line 2: column 'fps' is 'fast'"):
        picture_rate(str(table))
    table.write_text("video,rate\nS01,25\n")
    with pytest.raises(InputError, match="expected video and fps"):
        picture_rate(str(table))


def test_check_videos_reads_patterns_and_tables_too(folder: Path, tmp_path: Path) -> None:
    table = folder.parent / "S05.csv"
    table.write_text("path,time_s\n" + "".join(f"{folder.name}/S01/{n:05d}.png,{n / 10}\n" for n in range(1, 11)))
    code, output = say("check-videos", folder / "two" / "left_%d.png", table, "--picture-fps", FPS)
    assert code == 0, output
    assert "2 of 2 can be read" in output
    assert [source.id for source in search_videos([str(table)]).sources] == ["S05"]
    pattern = folder / "two" / "left_%04d.png"
    assert [source.id for source in search_videos([str(pattern)], 5).sources] == ["two/left"]
    with pytest.raises(InputError, match="expected to know their rate"):
        search_videos([str(pattern)])


def test_frame_by_frame_labels_lie_on_the_pictures_that_their_lines_count(
    folder: Path, store: Path, tmp_path: Path
) -> None:
    truth = np.round(np.linspace(-0.9, 0.9, 50), 3)
    for name in ("S01", "S02"):
        lines = "".join(f"{value},{-value}\n" for value in truth)
        (tmp_path / "Train_Set").mkdir(exist_ok=True)
        (tmp_path / "Train_Set" / f"{name}.txt").write_text(f"valence,arousal\n{lines}")
    output = tmp_path / "labels.csv"
    summary = prepare_labels("aff-wild2", tmp_path, output, videos=folder, span_s=0.8, picture_fps=FPS).manifests[0]
    rows = pd.read_csv(output)
    assert summary.videos == 2 and len(rows) == 10
    expected = [truth[start : start + 10].mean() for start in range(0, 50, 10)]
    for _, group in rows.groupby("video"):
        np.testing.assert_allclose(group["valence"], expected, atol=2e-3)
        np.testing.assert_allclose(group["start_s"], np.arange(5) * 0.8, atol=1e-6)
