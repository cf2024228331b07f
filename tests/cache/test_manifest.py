import re
from pathlib import Path

import numpy as np
import pytest

from affect.cache.manifest import (
    Manifest,
    check_targets_vary,
    match_videos,
    read_manifest,
    shared_subjects,
    write_manifest,
)
from affect.cache.records import Target
from affect.errors import ManifestError

REAL = Path(__file__).resolve().parents[3] / "shared" / "videos" / "talking_face.csv"
HEADER = "video,subject,start_s,end_s,split,valence,arousal\n"
GOOD = HEADER + "a.mp4,A,0,1.5,train,0.5,-0.25\na.mp4,A,1.5,3,train,,1\nb/c.mp4,007,,,test,-1,NaN\n"


def write(folder: Path, text: str, sidecar: str | None = None) -> Path:
    path = folder / "labels.csv"
    path.write_text(text, "utf-8")
    if sidecar is not None:
        path.with_suffix(".yaml").write_text(sidecar, "utf-8")
    return path


def manifest_of(videos: list[str]) -> Manifest:
    rows = len(videos)
    return Manifest(
        videos, ["A"] * rows, np.zeros(rows), np.arange(1.0, rows + 1), None, (Target("valence"),), np.zeros((rows, 1))
    )


def test_a_manifest_keeps_text_as_text_and_empty_cells_as_missing(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, GOOD))
    assert manifest.videos == ["a.mp4", "a.mp4", "b/c.mp4"]
    assert manifest.subjects == ["A", "A", "007"]
    assert manifest.start_s.tolist() == [0, 1.5, 0]
    assert manifest.end_s.tolist() == [1.5, 3, np.inf]
    assert manifest.splits == ["train", "train", "test"]
    assert manifest.target_names == ("valence", "arousal")
    assert not any(target.bounded or target.unit for target in manifest.targets), "nothing is known of them"
    np.testing.assert_array_equal(manifest.labels, [[0.5, -0.25], [np.nan, 1], [-1, np.nan]])


def test_targets_can_be_chosen_and_other_columns_are_then_not_read(tmp_path: Path) -> None:
    text = "note,arousal,video,subject,start_s,end_s,valence\nhello,1,a.mp4,A,0,1,2\n"
    manifest = read_manifest(write(tmp_path, text), targets=["valence"])
    assert manifest.target_names == ("valence",)
    assert manifest.labels.tolist() == [[2]]
    assert manifest.splits is None


def test_lines_count_blank_lines_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(
        b"\xef\xbb\xbf" + GOOD.replace("\na.mp4,A,1.5", "\n\n\na.mp4,A,1.5").replace("\n", "\r\n").encode()
    )
    assert read_manifest(path).lines is not None
    assert read_manifest(path).where(1).endswith("labels.csv, line 5")


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    first = read_manifest(write(tmp_path, GOOD, "targets: {valence: {range: [-1, 1], unit: points}}\n"))
    write_manifest(first, tmp_path / "again" / "copy.csv")
    second = read_manifest(tmp_path / "again" / "copy.csv")
    assert second.targets == first.targets == (Target("valence", -1, 1, "points"), Target("arousal"))
    assert (second.videos, second.subjects, second.splits) == (first.videos, first.subjects, first.splits)
    np.testing.assert_array_equal(second.labels, first.labels)
    np.testing.assert_array_equal(second.end_s, first.end_s)
    assert sorted(item.name for item in (tmp_path / "again").iterdir()) == ["copy.csv", "copy.yaml"]


ROW = "a.mp4,A,0,1,train,0,0\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (HEADER, "column names but no rows"),
        ("video,start_s,end_s,valence\na.mp4,0,1,0\n", "line 1: no column 'subject'"),
        ("Video,subject,start_s,end_s,valence\na.mp4,A,0,1,0\n", "rename 'Video' to 'video'"),
        ("video,subject,start_s,end_s,split\na.mp4,A,0,1,train\n", "no target columns"),
        ("video,subject,start_s,end_s,v,v\na.mp4,A,0,1,1,2\n", "column 'v' stands twice"),
        (HEADER + ROW + "a.mp4,A,1,2,train,high,0\n", "line 3: column 'valence' is 'high'; expected a number"),
        (HEADER + ROW + "a.mp4,A,1,2,train,True,0\n", "line 3: column 'valence' is 'True'; expected a number"),
        (HEADER + ROW + 'a.mp4,A,1,2,train,"0,5",0\n', "line 3: column 'valence' is '0,5'; expected a number"),
        (HEADER + ROW + "a.mp4,A,1,2,train,inf,0\n", "line 3: column 'valence' is 'inf'"),
        (HEADER + ROW + "a.mp4,A,soon,2,train,0,0\n", "line 3: column 'start_s' is 'soon'"),
        (HEADER + ROW + "a.mp4,A,-1,2,train,0,0\n", "line 3: start_s is -1; expected seconds"),
        (HEADER + ROW + "a.mp4,A,2,2,train,0,0\n", "line 3: end_s is 2 and start_s 2; expected end_s after start_s"),
        (HEADER + ROW + "a.mp4,A,1,2,val,0,0\n", "split is 'val'; expected train, validation, test.*\n.*validation"),
        (HEADER + ROW + "a.mp4,A,1,2,,0,0\n", "line 3: split is empty"),
        (HEADER + ROW + ",A,1,2,train,0,0\n", "line 3: column 'video' is empty"),
        (HEADER + ROW + "a.mp4,,1,2,train,0,0\n", "line 3: column 'subject' is empty"),
        (HEADER + ROW + ROW, "line 3: a.mp4 0 to 1 s stands already in line 2"),
        (HEADER + ROW + "a.mp4,A,1,2,train,0,0,0,0\n", "every row needs the 7 columns"),
        (HEADER + "a.mp4,A,1,2,train,0,0,0,0\n", "every row needs the 7 columns"),
    ],
)
def test_a_bad_table_is_refused_with_its_line_and_what_was_expected(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ManifestError, match=message) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(HEADER.encode() + b"a.mp4,Zo\x81,0,1,train,0,0\n")
    with pytest.raises(ManifestError, match=r"line 2: byte 0x81 is not UTF-8, nor is the file cp1252"):
        read_manifest(path)
    with pytest.raises(ManifestError, match="does not exist"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(ManifestError, match="is a folder"):
        read_manifest(tmp_path)


def test_a_wrong_target_name_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"no target column 'valance'.*\n.*did you mean valence\?"):
        read_manifest(write(tmp_path, GOOD), targets=["valance"])


@pytest.mark.parametrize(
    ("sidecar", "message"),
    [
        ("targets: {valence: {range: [-0.6, 1]}}", "line 4: column 'valence' is -1; expected -0.6 to 1 .1 rows"),
        ("targets: {valence: {range: [1, -1]}}", r"range of valence is \[1, -1\]; expected \[low, high\]"),
        ("targets: {valense: {range: [-1, 1]}}", "describes 'valense', which is no column"),
        ("model: {width: 3}", "does not describe its targets"),
        ("targets: [", "is not valid YAML"),
    ],
)
def test_a_sidecar_that_does_not_fit_is_refused(tmp_path: Path, sidecar: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read_manifest(write(tmp_path, GOOD, sidecar))


def test_a_given_range_overrides_the_sidecar(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, "targets: {valence: {range: [0, 1]}}")
    assert read_manifest(path, ranges={"valence": (-2, 2)}).targets == (Target("valence", -2, 2), Target("arousal"))


def test_a_target_without_variation_in_training_is_refused(tmp_path: Path) -> None:
    text = HEADER + "a.mp4,A,0,1,train,0.5,\na.mp4,A,1,2,train,0.5,\nb.mp4,B,0,1,test,1,1\n"
    manifest = read_manifest(write(tmp_path, text))
    training = np.array([True, True, False])
    with pytest.raises(ManifestError, match=r"'valence' is 0\.5 in every one of the 2 training rows"):
        check_targets_vary(manifest, training)
    with pytest.raises(ManifestError, match="'arousal' has no value in any"):
        check_targets_vary(read_manifest(write(tmp_path, text), targets=["arousal"]), training)
    check_targets_vary(read_manifest(write(tmp_path, GOOD), targets=["valence"]), np.arange(3))


def test_subjects_in_two_splits_are_known(tmp_path: Path) -> None:
    text = GOOD + "b/d.mp4,A,0,1,test,0,0\n"
    manifest = read_manifest(write(tmp_path, text))
    assert shared_subjects(manifest) == {"A": ["train", "test"]}
    assert shared_subjects(read_manifest(write(tmp_path, GOOD))) == {}


def test_videos_match_by_id_by_encoded_name_and_by_path_ending() -> None:
    ids = ["plain.mp4", "a%20b/%C3%A9.mp4", "site/day1/clip.mp4", "site/day2/clip.mp4", "whole"]
    videos = ["plain.mp4", "a b/é.mp4", "./day1/clip.mp4", "../data/site/day2/clip.mp4", "/elsewhere/whole"]
    assert match_videos(manifest_of(videos), ids) == ids


@pytest.mark.parametrize(
    ("videos", "message"),
    [
        (["x/clip.mp4", "clips.mp4"], r"line 3: video 'clips.mp4' is not in the store.*\n.*did you mean ./clip.mp4\?"),
        (["clip.mp4"], "may be 'x/clip.mp4' or 'y/clip.mp4'"),
        (["p/x/clip.mp4", "q/x/clip.mp4"], "line 3.* are both 'x/clip.mp4'"),
    ],
)
def test_a_video_that_cannot_be_matched_is_named(videos: list[str], message: str) -> None:
    with pytest.raises(ManifestError, match=re.compile(message)):
        match_videos(manifest_of(videos), ["x/clip.mp4", "y/clip.mp4"])


@pytest.mark.skipif(not REAL.is_file(), reason="the shared recordings are not beside the repository")
def test_the_real_manifest_reads() -> None:
    manifest = read_manifest(REAL)
    assert manifest.target_names == ("mouth_open", "mouth_width", "corner_lift", "brow_raise", "eye_open")
    assert manifest.labels.shape == (168, 5)
    assert shared_subjects(manifest) == {"B": ["train", "validation", "test"]}
    assert match_videos(manifest, ["talking_face.mp4", "talking_face_2.mp4"])[0] == "talking_face_2.mp4"


@pytest.mark.parametrize(
    ("video", "ids", "found"),
    [
        ("S01.mp4", ["S01", "S02"], "S01"),
        ("videos/S01.MP4", ["S01"], "S01"),
        ("S01", ["sub/S01.mp4"], "sub/S01.mp4"),
        ("S01.mp4", ["S01", "S01.mp4"], "S01.mp4"),
        ("S01.v2", ["S01.v2.avi", "S01"], "S01.v2.avi"),
    ],
)
def test_the_ending_of_a_video_may_be_missing_on_one_side(video: str, ids: list[str], found: str) -> None:
    assert match_videos(manifest_of([video]), ids) == [found]


@pytest.mark.parametrize(
    ("videos", "ids", "words"),
    [
        (["S01"], ["S01.mp4", "S01.avi"], "may be 'S01.avi' or 'S01.mp4'"),
        (["S01.mp4", "S01.avi"], ["S01"], "are both 'S01' in the store"),
        (["S01.csv"], ["S01"], "is not in the store"),
    ],
)
def test_recordings_that_only_their_ending_tells_apart_are_refused(
    videos: list[str], ids: list[str], words: str
) -> None:
    with pytest.raises(ManifestError, match=words):
        match_videos(manifest_of(videos), ids)
