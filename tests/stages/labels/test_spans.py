"""`affect prepare-labels spans`: labels of one's own in time, and what is said of them."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from affect.cache.manifest import Manifest, read_manifest
from affect.cli import main
from affect.stages.labels.columns import roles_of
from affect.stages.labels.windows import reduced, window_starts

MakeVideo = Callable[..., Path]
FPS, FRAMES = 25, 250  # ten seconds


@pytest.fixture
def place(tmp_path: Path, make_video: MakeVideo) -> Path:
    """A folder with two videos of ten seconds."""
    for name in ("S01.mp4", "S02.mp4"):
        make_video(tmp_path / name, FRAMES, fps=FPS)
    return tmp_path


def spans(place: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["prepare-labels", "spans", str(place), "--output", str(place / "out.csv"), *words])


def made(place: Path, *words: str) -> Manifest:
    result = spans(place, *words)
    assert result.exit_code == 0, f"{result.output} {result.exception!r}"
    return read_manifest(place / "out.csv")


def refused(place: Path, *words: str) -> str:
    result = spans(place, *words)
    assert result.exit_code == 2 and isinstance(result.exception, SystemExit), f"{result.output} {result.exception!r}"
    assert not (place / "out.csv").exists()
    return result.output


def points(path: Path, header: str, times: Iterable[str], separator: str = ",") -> Path:
    """A table of points; each column's value is the number of the row, times ten for every further one."""
    columns = header.count(separator)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [separator.join([time, *(str(number * 10**k) for k in range(columns))]) for number, time in enumerate(times)]
    path.write_text("\n".join([header, *rows, ""]), "utf-8")
    return path


def rows(manifest: Manifest) -> list[tuple[str, str, float, float]]:
    return list(
        zip(manifest.videos, manifest.subjects, manifest.start_s.tolist(), manifest.end_s.tolist(), strict=True)
    )


SECONDS = [f"{number / FPS:.2f}" for number in range(FRAMES)]


@pytest.mark.parametrize(
    ("header", "times", "said"),
    [
        ("time,v", SECONDS, "times seconds"),
        ("Time (s),v", SECONDS, "times seconds"),
        ("time,v", [str(40 * number) for number in range(FRAMES)], "times milliseconds, the only unit that fits"),
        ("time_s,v", [str(40 * number) for number in range(FRAMES)], "times milliseconds, the only unit that fits"),
        ("Timestamp [ms],v", [str(40 * number) for number in range(FRAMES)], "times milliseconds"),
        ("t,v", [str(number) for number in range(FRAMES)], "times numbers of frames from 0, the only unit that fits"),
        ("frame,v", [str(number) for number in range(FRAMES)], "times numbers of frames from 0"),
        ("frame,v", [str(number + 1) for number in range(FRAMES)], "times numbers of frames from 1"),
        ("time,v", [f"00:00:{number / FPS:06.3f}" for number in range(FRAMES)], "times hh:mm:ss"),
        ("time;v", [f"0:{number / FPS:05.2f}".replace(".", ",") for number in range(FRAMES)], "times mm:ss"),
    ],
)
def test_points_in_any_unit_become_windows_of_two_seconds(
    place: Path, header: str, times: list[str], said: str
) -> None:
    points(place / "S01.csv", header, times, ";" if ";" in header else ",")
    result = spans(place)
    assert result.exit_code == 0, result.output
    assert said in result.output and "video without labels: S02.mp4" in result.output
    if "only unit" not in said:
        assert "only unit" not in result.output or "seconds" in said
    manifest = read_manifest(place / "out.csv")
    assert rows(manifest) == [("S01.mp4", "S01", start, start + 2) for start in (0, 2, 4, 6, 8)]
    np.testing.assert_allclose(manifest.labels[:, 0], [24.5, 74.5, 124.5, 174.5, 224.5])


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [("mean", 24.5), ("median", 24.5), ("min", 0), ("max", 49), ("first", 0), ("last", 49)],
)
def test_a_window_gets_one_value_of_its_labels(place: Path, reduction: str, expected: float) -> None:
    points(place / "S01.csv", "time,v", SECONDS)
    assert made(place, "--reduce", reduction).labels[0, 0] == expected


def test_windows_have_a_length_and_a_step(place: Path) -> None:
    points(place / "S01.csv", "time,v", SECONDS)
    manifest = made(place, "--span-s", "4", "--step-s", "2")
    assert [row[2:] for row in rows(manifest)] == [(0, 4), (2, 6), (4, 8), (6, 10), (8, 12)]  # half of it is there
    assert len(made(place, "--span-s", "4")) == 3
    for words in (("--span-s", "0"), ("--step-s", "nan")):
        assert "expected seconds, above 0" in spans(place, *words).output


def test_a_window_with_too_few_labels_has_none(place: Path) -> None:
    (place / "S01.csv").write_text(
        "time,v,w\n" + "".join(f"{n / 10},{n if n % 20 < 9 else ''},1\n" for n in range(100))
    )
    manifest = made(place)
    assert manifest.target_names == ("v", "w")
    assert np.isnan(manifest.labels[:, 0]).all() and (manifest.labels[:, 1] == 1).all()


def test_one_table_may_speak_of_many_videos_and_people_in_any_spelling(place: Path) -> None:
    lines = ["video;time;participant;split;v"]
    for video, person, split in (("s1", "anna", "Train"), ("S02.mp4", "ben", "dev")):
        lines += [f"{video};{n / 2:.1f};{person};{split};{n / 4:.2f}".replace(".", ",") for n in range(20)]
    (place / "all.csv").write_text("\n".join(line.replace("S02,mp4", "S02.mp4") for line in lines), "cp1252")
    manifest = made(place)
    assert manifest.videos == ["S01.mp4"] * 5 + ["S02.mp4"] * 5 and set(manifest.subjects) == {"anna", "ben"}
    assert manifest.splits == ["train"] * 5 + ["validation"] * 5
    assert manifest.labels[0, 0] == np.mean([0, 0.25, 0.5, 0.75])


def test_spans_stay_as_they_are_and_words_become_a_target_each(place: Path) -> None:
    table = "file,onset,duration,emotion,v\nS01,0.5,1.5,Happy,0.5\nS02,2,2.5,sad,\nS01,3.5,2,happy,1\nS09,0,1,sad,1\n"
    (place / "events.tsv").write_text(table.replace(",", "\t"))
    result = spans(place)
    assert "labels without a video: S09" in result.output and "tab separated" in result.output
    manifest = made(place)
    assert rows(manifest) == [("S01.mp4", "S01", 0.5, 2), ("S01.mp4", "S01", 3.5, 5.5), ("S02.mp4", "S02", 2, 4.5)]
    assert manifest.target_names == ("emotion_happy", "emotion_sad", "v")
    np.testing.assert_array_equal(manifest.labels, [[1, 0, 0.5], [1, 0, 1], [0, 1, np.nan]])
    assert manifest.targets[0].bounded and not manifest.targets[2].bounded


def test_spans_become_windows_where_that_is_asked_for(place: Path) -> None:
    (place / "S01.csv").write_text("start_s,end_s,word,v\n0,2,yes,1\n2,3,no,3\n6,8,yes,5\n")
    manifest = made(place, "--span-s", "2")
    assert [row[2:] for row in rows(manifest)] == [(0, 2), (2, 4), (4, 6), (6, 8)]
    # Between the first and the last span no word is said where there is none; a number is not known there.
    np.testing.assert_array_equal(manifest.labels, [[0, 1, 1], [0.5, 0, 3], [0, 0, np.nan], [0, 1, 5]])


def test_tables_of_one_video_are_told_apart_by_their_names_or_folders(place: Path) -> None:
    for name in ("valence", "arousal"):
        points(place / name / "S01.csv", "time,rater1,rater2", SECONDS)
    assert set(made(place).target_names) == {f"{a}_rater{b}" for a in ("valence", "arousal") for b in (1, 2)}
    for name in ("valence", "arousal"):
        (place / name / "S01.csv").unlink()
        points(place / f"S01_{name}.csv", "time,value", SECONDS)
    (place / "out.csv").unlink()
    assert set(made(place).target_names) == {"valence", "arousal"}


def test_a_unit_that_may_be_another_is_asked_for_and_taken_as_it_is_said(place: Path) -> None:
    (place / "S01.csv").write_text("time,v\n0,1\n5,2\n10,3\n")
    said = refused(place)
    assert "may be seconds or milliseconds or numbers of frames" in said and "Hint: --time-unit s, or ms" in said
    assert [row[2:] for row in rows(made(place, "--time-unit", "frame"))] == [(0, 2)]
    assert made(place, "--time-unit", "s").labels[:, 0].tolist() == [1, 2]
    (place / "S01.csv").write_text("start,end,v\n0,2,1\n2,4,2\n")
    assert len(made(place)) == 2, "spans of two milliseconds are none"


def test_times_that_lie_in_no_video_are_refused_or_listed(place: Path) -> None:
    (place / "S01.csv").write_text("time,v\n0,1\n100000,2\n200000,3\n")
    assert "times up to 200000, in videos of up to 10.0 s and 250 frames" in refused(place)
    points(place / "S01.csv", "time_s,v", [*SECONDS, "12", "13"])
    result = spans(place)
    assert re.search(r"does not fit the video: S01.mp4 2 of 252 labels lie outside of its 10.00 s; first line 252",
                     " ".join(result.output.split()))  # fmt: skip


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("time,v\n0,1\n0.1\n", "line 3: 1 cells for 2 columns; there is none for 'v'"),
        ("time,v\n0,1\n-0.1,2\n", "line 3: column 'time' is -0.1; expected at least 0"),
        ("start_s,end_s,v\n0,1,1\n2,1,1\n", "line 3: from 2 to 1; expected an end after the start"),
        ("time,v\n0,1\nsoon,1\n1,1\n", "line 3: column 'time' is 'soon'; expected a number"),
        ("time_s,v\n0,1\n1,oops\n2,3\n", "line 3: column 'v' is 'oops'; expected a number"),
        ("video,time_s,v\nS01,0,1\n,1,2\n", "line 3: column 'video' is empty"),
        ("time_s,split,v\n0,train,1\n1,dunno,2\n", "line 3: split is 'dunno'; expected train, validation, test"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(place: Path, table: str, message: str) -> None:
    (place / "S01.csv").write_text(table)
    assert message in " ".join(refused(place).split())


def test_a_column_of_many_words_is_no_target_and_listed(place: Path) -> None:
    (place / "S01.csv").write_text("time_s,note,v\n" + "".join(f"{n / 10},word {n},{n}\n" for n in range(100)))
    result = spans(place)
    assert "column is no target: note it has 100 different words" in result.output
    assert read_manifest(place / "out.csv").target_names == ("v",)


def test_a_manifest_and_what_is_no_table_in_time_are_left_alone(place: Path) -> None:
    points(place / "S01.csv", "time,v", SECONDS)
    (place / "old.csv").write_text("video,subject,start_s,end_s,v\nS02.mp4,b,0,1,1\n")
    (place / "README.txt").write_text("read me")
    (place / "broken.csv").write_bytes(bytes(20))
    (place / "._S02.csv").write_bytes(b"\0\5\26\7")
    result = spans(place)
    assert "passed over: " in result.output and "broken.csv, line 1: a NUL byte" in result.output
    assert "left out as hidden: 1 (._S02.csv)" in result.output
    assert read_manifest(place / "out.csv").videos == ["S01.mp4"] * 5


def test_the_columns_are_known_by_many_names() -> None:
    known = {
        ("Begin Time - msec", "End Time - msec", "valence"): (2, "ms"),
        ("Begin Time - hh:mm:ss.ms", "Duration - hh:mm:ss.ms", "x"): (2, "hms"),
        ("onset", "duration", "trial_type"): (2, "auto"),
        ("Time [s]", "x"): (1, "s"),
        ("frame", "timestamp", "AU12_r"): (1, "auto"),
        ("start_frame", "end_frame", "x"): (2, "frame"),
    }
    for names, (columns, unit) in known.items():
        roles = roles_of(names)
        assert roles is not None and roles.units == (unit,) * columns, names
        assert roles.values == names[-1:]
    assert roles_of(["valence", "arousal"]) is None and roles_of(["time"]) is None


def test_windows_are_reduced_as_their_points_lie() -> None:
    time_s = np.array([0.0, 0.5, 1.0, 1.5, 3.0])
    values = np.array([[1.0, np.nan], [3.0, np.nan], [5.0, 2.0], [7.0, np.nan], [9.0, 4.0]])
    starts = window_starts(4.0, 1.0, 1.0)
    assert starts.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(
        reduced(time_s, values, starts, 1.0, "mean"), [[2, np.nan], [6, 2], [np.nan, np.nan], [9, 4]]
    )
    np.testing.assert_array_equal(reduced(time_s, values, starts, 1.0, "last")[1], [7, 2])
    assert len(window_starts(0.2, 2.0, 2.0)) == 1
