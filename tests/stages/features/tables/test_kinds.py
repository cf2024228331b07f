"""Tables of OpenFace 2, py-feat and others, in the shapes that these tools write: every number comes back."""

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from affect.cache.records import FrameFeatures, FrameStatus
from affect.errors import InputError, VideoError
from affect.stages.features.tables.finding import ImportOptions, find_tables
from affect.stages.features.tables.importer import TableImporter
from affect.stages.features.tables.kinds import TimeSource
from affect.tests.feature_tables import OPENFACE, PYFEAT, Made, drawn, openface, plain, pyfeat

from .conftest import Read

ALL: Final = "source"


def test_every_number_of_an_openface_table_comes_back_with_its_frame_and_time(read: Read, tmp_path: Path) -> None:
    values = drawn(100, len(OPENFACE))
    openface(tmp_path / "S01.csv", Made(values, 30.0))
    features = read(tmp_path / "S01.csv", sample_fps=ALL)["S01"].features
    np.testing.assert_array_equal(features.values, values.astype(np.float16))
    np.testing.assert_allclose(features.time_s, np.arange(100) / 30, atol=0.0005)  # as OpenFace rounds it
    np.testing.assert_array_equal(features.index, np.arange(100))
    assert (features.status == FrameStatus.OK).all() and (features.track == 0).all()


def test_a_lost_and_an_unsure_frame_keep_their_place_without_a_row(read: Read, tmp_path: Path) -> None:
    openface(tmp_path / "S01.csv", Made(drawn(20, 48), lost=[3, 4], unsure=[9]))
    features = read(tmp_path / "S01.csv", sample_fps=ALL)["S01"].features
    expected = np.zeros(20, np.uint8)
    expected[[3, 4]], expected[9] = FrameStatus.NO_FACE, FrameStatus.LOW_CONFIDENCE
    np.testing.assert_array_equal(features.status, expected)
    np.testing.assert_array_equal(features.frame, np.flatnonzero(expected == 0))
    surer = read(tmp_path / "S01.csv", sample_fps=ALL, min_confidence=0.1)["S01"].features
    assert surer.status[9] == FrameStatus.OK and surer.score[7] == np.float32(0.2)


def test_five_frames_a_second_are_kept_by_their_times_and_keep_their_numbers(read: Read, tmp_path: Path) -> None:
    values = drawn(250, 48)
    openface(tmp_path / "S01.csv", Made(values, 25.0))
    features = read(tmp_path / "S01.csv")["S01"].features
    np.testing.assert_array_equal(features.index, np.arange(0, 250, 5))
    np.testing.assert_allclose(features.time_s, np.arange(50) / 5)
    np.testing.assert_array_equal(features.values, values[::5].astype(np.float16))


def test_several_faces_of_a_frame_are_tracks(read: Read, tmp_path: Path) -> None:
    values = drawn(30, 48)
    openface(tmp_path / "S01.csv", Made(values, faces=2, points=True))
    recording = read(tmp_path / "S01.csv", sample_fps=ALL)["S01"]
    for face in (0, 1):
        of = recording.features.track == face
        np.testing.assert_array_equal(recording.features.values[of], (values + face).astype(np.float16))
    assert {track: fact.frames for track, fact in recording.tracks.items()} == {0: 30, 1: 30}
    assert any("2 people take about as much of the picture" in note for note in recording.notes)


def test_68_points_make_boxes_and_landmarks(read: Read, tmp_path: Path) -> None:
    openface(tmp_path / "S01.csv", Made(drawn(5, 48), points=True))
    features = read(tmp_path / "S01.csv", sample_fps=ALL)["S01"].features
    points = np.array([100 + number % 17 for number in range(136)], np.float32)
    np.testing.assert_array_equal(features.points_px[2], np.stack([points[:68], points[68:]], axis=1))
    np.testing.assert_array_equal(features.box_px[2], [100, 100, 116, 116])
    np.testing.assert_array_equal(features.landmarks_px[2, 2], features.points_px[2, 30])
    assert "x_0" not in find_tables([str(tmp_path)], ImportOptions()).config.columns


def test_points_that_one_of_the_tables_lacks_are_not_stored(read: Read, tmp_path: Path) -> None:
    openface(tmp_path / "S01.csv", Made(drawn(5, 48), points=True))
    openface(tmp_path / "S02.csv", Made(drawn(5, 48)))
    found = read(tmp_path, sample_fps=ALL)
    assert all(video.features.optional == () for video in found.values()) and len(found) == 2


def test_frames_that_a_table_leaves_out_are_put_back_without_a_face(read: Read, tmp_path: Path) -> None:
    values = drawn(40, 48)
    openface(tmp_path / "S01.csv", Made(values, faces=2, lost=range(10, 25), left_out=True))
    recording = read(tmp_path / "S01.csv", sample_fps=ALL)["S01"]
    np.testing.assert_array_equal(recording.features.index, np.arange(40))
    np.testing.assert_allclose(recording.features.time_s, np.arange(40) / 25, atol=0.0005)
    np.testing.assert_array_equal(np.flatnonzero(recording.features.status == FrameStatus.NO_FACE), np.arange(10, 25))
    assert "15 frames that the table leaves out are put back, without a face" in recording.notes


def test_a_table_of_every_fifth_frame_lacks_none(read: Read, tmp_path: Path) -> None:
    plain(tmp_path / "S01.csv", {"frame": range(0, 200, 5), "a": range(40)})
    recording = read(tmp_path / "S01.csv", fps=25, sample_fps=ALL)["S01"]
    np.testing.assert_array_equal(recording.features.index, np.arange(0, 200, 5))
    assert recording.notes == () and recording.frames == 196 and recording.fps == pytest.approx(5)


@pytest.mark.parametrize("index", [False, True])
def test_every_number_of_a_py_feat_table_comes_back(read: Read, tmp_path: Path, index: bool) -> None:
    values = drawn(80, len(PYFEAT))
    pyfeat(tmp_path / "S01.csv", Made(values, 25.0, lost=[5, 6, 7], unsure=[20]), index=index)
    recording = read(tmp_path / "S01.csv", fps=25, sample_fps=ALL)["S01"]
    features = recording.features
    assert list(np.flatnonzero(features.status)) == [5, 6, 7, 20]
    np.testing.assert_array_equal(features.values, values[features.status == 0].astype(np.float16))
    np.testing.assert_allclose(features.time_s, np.arange(80) / 25)
    np.testing.assert_array_equal(features.box_px[0], [10, 20, 40, 60])
    assert find_tables([str(tmp_path)], ImportOptions(time=TimeSource(fps=25))).config.columns == PYFEAT


def test_py_feat_without_a_frame_rate_is_asked_for_it(tmp_path: Path) -> None:
    pyfeat(tmp_path / "S01.csv", Made(drawn(80, 27)))
    with pytest.raises(InputError, match="approx_time is in whole seconds") as caught:
        find_tables([str(tmp_path)], ImportOptions())
    assert caught.value.hint and "--fps 25" in caught.value.hint


def test_a_frame_rate_that_approx_time_gainsays_is_refused(read: Read, tmp_path: Path) -> None:
    pyfeat(tmp_path / "S01.csv", Made(drawn(200, 27), 25.0))
    with pytest.raises(VideoError, match=r"at 2\.0 s with 50 frames a second, and approx_time says"):
        read(tmp_path / "S01.csv", fps=50)


def test_people_of_py_feat_are_tracks_and_without_names_their_order_is(read: Read, tmp_path: Path) -> None:
    values = drawn(30, 27)
    for identity in (True, False):
        pyfeat(tmp_path / "S01.csv", Made(values, faces=2), identity=identity)
        recording = read(tmp_path / "S01.csv", fps=25, sample_fps=ALL)["S01"]
        second = recording.features.values[recording.features.track == 1]
        np.testing.assert_array_equal(second, (values + 1).astype(np.float16))
        assert any("whoever that is" in note for note in recording.notes) is not identity


def test_one_name_for_two_faces_of_a_frame_gives_the_surer_one(read: Read, tmp_path: Path) -> None:
    pyfeat(tmp_path / "S01.csv", Made(drawn(10, 27), faces=2))
    text = (tmp_path / "S01.csv").read_text().replace("Person_1", "Person_0")
    (tmp_path / "S01.csv").write_text(text)
    recording = read(tmp_path / "S01.csv", fps=25, sample_fps=ALL)["S01"]
    assert len(recording.features.frame) == 10
    assert "10 times a face is in a frame twice: the surer one is taken" in recording.notes


def test_a_plain_table_gives_every_column_of_numbers_but_its_roles_and_words(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {
        "time": [0.0, 0.2, 0.4], "face": [0, 0, 0], "a b": [1, 2, 3], "mood": ["x", "y", ""], "subject": [7, 7, 7],
        "b": ["", "nan", 2],
    }  # fmt: skip
    plain(tmp_path / "S01.csv", columns)
    found = find_tables([str(tmp_path)], ImportOptions())
    assert found.config.columns == ("a b", "b")
    assert found.understood == (
        "S01.csv: a table; 2 features: a b, b; time time; face face; not used: subject; "
        "columns of words left out: mood",
    )


@pytest.mark.parametrize(
    ("name", "scale"), [("time", 1), ("time_ms", 1000), ("timestamp_s", 1), ("Time (s)", 1), ("seconds", 1)]
)
def test_the_unit_of_times_is_that_of_their_name(read: Read, tmp_path: Path, name: str, scale: int) -> None:
    times = np.round(np.arange(50) * 0.04 * scale, 3)
    plain(tmp_path / "S01.csv", {name: times, "a": range(50)})
    features = read(tmp_path / "S01.csv", sample_fps=ALL)["S01"].features
    np.testing.assert_allclose(features.time_s, np.arange(50) * 0.04)


def test_times_as_a_clock_and_numbers_of_frames_are_read(read: Read, tmp_path: Path) -> None:
    plain(tmp_path / "S01.csv", {"time": ["0:00:00.0", "0:00:00.5", "0:00:01.0"], "a": [1, 2, 3]})
    assert read(tmp_path / "S01.csv")["S01"].features.time_s.tolist() == [0.0, 0.5, 1.0]
    plain(tmp_path / "S01.csv", {"n": [1, 2, 3], "a": [1, 2, 3]})
    found = read(tmp_path / "S01.csv", column="n", unit="frame", fps=2)["S01"].features
    assert found.time_s.tolist() == [0.0, 0.5, 1.0] and found.index.tolist() == [0, 1, 2]


@pytest.mark.parametrize("times", [[0, 40, 80, 120], [0, 1, 2, 3]])
def test_numbers_that_may_be_milliseconds_or_frames_are_asked_about(
    read: Read, tmp_path: Path, times: list[int]
) -> None:
    plain(tmp_path / "S01.csv", {"time": times, "a": [1, 2, 3, 4]})
    with pytest.raises(VideoError, match="expected to be told the unit"):
        read(tmp_path / "S01.csv")
    assert len(read(tmp_path / "S01.csv", unit="s", sample_fps=ALL)["S01"].features.time_s) == 4


def test_a_column_video_makes_an_entry_of_each_and_none_leads_out(read: Read, tmp_path: Path) -> None:
    videos = ["S01.mp4", "sub/S02.mp4", "../../S03.mp4", "S01.mp4"]
    plain(tmp_path / "all.csv", {"video": videos, "time": [0, 0, 0, 0.5], "a": [1, 2, 3, 4]})
    found = read(tmp_path / "all.csv")
    assert sorted(found) == ["%2E%2E/%2E%2E/S03.mp4", "S01.mp4", "sub/S02.mp4"]
    assert found["S01.mp4"].features.values[:, 0].tolist() == [1, 4]


def test_paths_of_another_machine_are_cut_to_what_tells_videos_apart(read: Read, tmp_path: Path) -> None:
    videos = ["D:\\study\\one\\S01.mp4", "D:\\study\\two\\S01.mp4"]
    plain(tmp_path / "all.csv", {"video": videos, "time": [0, 0], "a": [1, 2]})
    assert sorted(read(tmp_path / "all.csv")) == ["one/S01.mp4", "two/S01.mp4"]


def test_pictures_that_py_feat_was_given_are_frames_of_one_recording(read: Read, tmp_path: Path) -> None:
    pyfeat(tmp_path / "S01.csv", Made(drawn(10, 27)))
    lines = (tmp_path / "S01.csv").read_text().splitlines()
    lines[1:] = [line.replace("S01.mp4", f"{number}.png") for number, line in enumerate(lines[1:])]
    (tmp_path / "S01.csv").write_text("\n".join(lines))
    found = read(tmp_path / "S01.csv", fps=25, sample_fps=ALL)
    assert list(found) == ["S01"] and len(found["S01"].features.frame) == 10


def test_parquet_gives_the_numbers_that_it_holds(read: Read, tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((60, 3)).astype(np.float32)
    table = pa.table({
        "time": np.arange(60) / 25, "face": pa.array(["left"] * 60).dictionary_encode(), "a": values[:, 0],
        "b": values[:, 1].astype(np.float64), "c": values[:, 2].astype(np.float16), "on": values[:, 0] > 0,
        "money": pa.array([1.5] * 60).cast(pa.decimal128(8, 2)),
        "when": pa.array([0] * 60, pa.timestamp("s")), "list": [[1.0]] * 60,
    })  # fmt: skip
    pq.write_table(table, tmp_path / "S01.parquet")
    features = read(tmp_path / "S01.parquet", sample_fps=ALL)["S01"].features
    np.testing.assert_array_equal(features.values[:, :3], values.astype(np.float16))
    np.testing.assert_array_equal(features.values[:, 3], values[:, 0] > 0)
    (line,) = find_tables([str(tmp_path)], ImportOptions()).understood
    assert "5 features: a, b, c, on, money;" in line and "2 columns left out that hold no numbers and no words" in line


@pytest.mark.parametrize(("separator", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16"), (";", "cp1252")])
def test_semicolons_decimal_commas_and_encodings_are_read(
    read: Read, tmp_path: Path, separator: str, encoding: str
) -> None:
    plain(tmp_path / "S01.csv", {"time": ["0,0", "0,5"], "größe": ["1,25", "2,5"]}, separator, encoding)
    features = read(tmp_path / "S01.csv")["S01"].features
    assert features.values[:, 0].tolist() == [1.25, 2.5] and features.time_s.tolist() == [0.0, 0.5]


def test_columns_are_chosen_by_name_or_expression_in_the_order_of_the_table(tmp_path: Path) -> None:
    openface(tmp_path / "S01.csv", Made(drawn(5, 48)))
    asked = ImportOptions(columns=(r"AU\d{1,2}_c,gaze_angle_y", "pose_T[xy]"))
    columns = find_tables([str(tmp_path)], asked).config.columns
    assert columns[:4] == ("gaze_angle_y", "pose_Tx", "pose_Ty", "AU01_c") and len(columns) == 3 + 17


def test_columns_that_only_some_tables_have_are_left_out_and_said(read: Read, tmp_path: Path) -> None:
    for name in ("S01", "S02"):
        plain(tmp_path / f"{name}.csv", {"time": [0, 0.5], "a": [1, 2]})
    plain(tmp_path / "S03.csv", {"time": [0, 0.5], "a": [1, 2], "b": [3, 4]})
    assert all(video.features.size == 1 for video in read(tmp_path).values())
    lines = find_tables([str(tmp_path)], ImportOptions()).understood
    assert any("S03.csv" in line and "columns that others lack left out: b" in line for line in lines)


def test_a_frame_rate_beside_a_column_of_times_is_said_not_to_be_used(tmp_path: Path) -> None:
    openface(tmp_path / "S01.csv", Made(drawn(5, 48)))
    (line,) = find_tables([str(tmp_path)], ImportOptions(time=TimeSource(fps=30))).understood
    assert line.endswith("--fps not used, as timestamp tells the time")


def test_a_long_table_comes_in_blocks_and_goes_on_behind_those_that_are_stored(tmp_path: Path) -> None:
    values = drawn(9000, 2)
    plain(tmp_path / "S01.csv", {"time": np.arange(9000) / 10, "a": values[:, 0], "b": values[:, 1]})
    found = find_tables([str(tmp_path)], ImportOptions(sample_fps=ALL))
    importer, (video,) = TableImporter(found.config), found.videos
    blocks = [block for block, _ in importer.stream(video.path, b"", 0, *video.part)]
    assert [len(block.time_s) for block in blocks] == [4096, 4096, 808]
    np.testing.assert_array_equal(FrameFeatures.concatenate(blocks).values, values.astype(np.float16))
    rest = [block for block, _ in importer.stream(video.path, b"", 4096, *video.part)]
    np.testing.assert_array_equal(FrameFeatures.concatenate(rest).frame, FrameFeatures.concatenate(blocks[1:]).frame)
