import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from affect.cache.manifest import Manifest, match_videos, read_manifest
from affect.cache.records import Target
from affect.errors import InputError, ManifestError
from affect.pipeline.prepare_labels import LabelsSummary, ManifestSummary, prepare_labels
from affect.stages.labels.aff_wild2 import span_rows
from affect.stages.labels.amigos import duration_s, segments, video_key
from affect.stages.labels.registry import READERS, Reader, reader_of
from affect.tests.workbooks import write_excel

MakeVideo = Callable[..., Path]


def write_csv(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def only(summary: LabelsSummary) -> ManifestSummary:
    (made,) = summary.manifests
    assert made.part == ""
    return made


def listed(summary: ManifestSummary, kind: str) -> list[str]:
    assert summary.counts.get(kind, 0) == sum(problem.kind == kind for problem in summary.problems)
    return [problem.name for problem in summary.problems if problem.kind == kind]


def spans(manifest: Manifest) -> list[tuple[str, str, float, float]]:
    return list(
        zip(manifest.videos, manifest.subjects, manifest.start_s.tolist(), manifest.end_s.tolist(), strict=True)
    )


AMIGOS: list[object] = [
    "UserID",
    "VideoID",
    "Segment_Index",
    *(f"{t}_Annotator_{a}" for t in ("Valence", "Arousal") for a in (1, 2, 3)),
]
OMG = ["link", "start", "end", "video", "utterance", "arousal", "valence", "EmotionMaxVote"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (64.2, [(0, 20), (5, 25), (25, 45), (44.2, 64.2)]),
        (65.0, [(0, 20), (5, 25), (25, 45), (45, 65)]),
        (65.1, [(0, 20), (5, 25), (25, 45), (45, 65), (45.1, 65.1)]),
        (25.0, [(0, 20), (5, 25)]),
        (12.5, [(0, 12.5)]),
    ],
)
def test_amigos_segments_are_the_published_ones(seconds: float, expected: list[tuple[float, float]]) -> None:
    np.testing.assert_allclose(segments(seconds), expected)


def test_amigos_recordings_are_known_by_user_and_video() -> None:
    names = ["a/P1_18.mp4", "P01_N1_face.mov", "p12_b1_cut.avi", "P(1,2)_N1.mov", "other.mp4"]
    assert [video_key(name) for name in names] == ["P1_18", "P1_N1", "P12_B1", None, None]


def test_amigos_becomes_a_manifest_and_lists_what_does_not(tmp_path: Path, make_video: MakeVideo) -> None:
    make_video(tmp_path / "videos" / "P1_18_face.mp4", 66)
    make_video(tmp_path / "videos" / "P2_18_face.mp4", 30)
    (tmp_path / "videos" / "P4_18_face.mp4").write_text("no video")
    rows: list[list[object]] = [
        AMIGOS,
        [1, 18, 1, 0.1, 0.2, 0.3, -0.5, -0.5, -0.2],
        [1, 18, 4, 1.5, 0.4, None, 0, 0, 0.3],
        [1, 18, 6, 0, 0, 0, 0, 0, 0],
        [1, 18, 2, None, None, None, "x", None, None],
        [3, "N1", 1, 0, 0, 0, 0, 0, 0],
        [3, "N1", 2, 0, 0, 0, 0, 0, 0],
        [1, 18, 1, 0, 0, 0, 0, 0, 0],
    ]
    write_excel(tmp_path / "External_Annotations.xlsx", rows)
    summary = only(prepare_labels("amigos", tmp_path, tmp_path / "labels.csv"))
    manifest = read_manifest(summary.manifest)
    assert spans(manifest) == [("videos/P1_18_face.mp4", "P1", 0, 20), ("videos/P1_18_face.mp4", "P1", 45, 65)]
    np.testing.assert_allclose(manifest.labels, [[0.2, -0.4], [0.7, 0.1]])  # 1.5 is clamped to 1
    assert manifest.targets == (Target("valence", -1, 1), Target("arousal", -1, 1))
    assert listed(summary, "video without labels") == ["videos/P2_18_face.mp4"]
    assert listed(summary, "labels without a video") == ["P3_N1"]
    assert listed(summary, "value outside its scale") == ["P1_18_4"]
    assert listed(summary, "does not fit the video") == ["P1_18_6"]
    assert listed(summary, "value is no number") == ["P1_18_2"]
    assert listed(summary, "no usable value") == ["P1_18_2"]
    assert listed(summary, "repeated row") == ["videos/P1_18_face.mp4"]
    assert listed(summary, "video cannot be read") == ["videos/P4_18_face.mp4"]
    assert summary.problems_file is not None
    assert len(summary.problems_file.read_text("utf-8").splitlines()) == 1 + len(summary.problems)
    assert match_videos(manifest, ["P1_18_face.mp4"]) == ["P1_18_face.mp4"] * 2


def test_omg_keeps_its_split_and_maps_arousal(tmp_path: Path, make_video: MakeVideo) -> None:
    make_video(tmp_path / "a1b" / "utterance_1.mp4", 3)
    make_video(tmp_path / "c2d.mp4", 20)
    make_video(tmp_path / "zzz.mp4", 2)
    link = "https://www.youtube.com/watch?v=a1b"
    write_csv(
        tmp_path / "omg_TrainVideos.csv",
        [
            OMG,
            [link, 10.5, 14.0, "a1b", "utterance_1.mp4", 0.75, -0.5, 4],
            [link, 3.0, 1.0, "c2d", "utterance_3.mp4", 0.5, 0, 4],
        ],
    )
    write_csv(
        tmp_path / "omg_ValidationVideos.csv",
        [
            OMG,
            [link, 1.25, 4.5, "c2d", "utterance_2.mp4", 1.5, 0.25, 4],
            [link, 1, 2, "gone", "utterance_1.mp4", 0, 0, 4],
        ],
    )
    write_csv(tmp_path / "omg_TestVideos_WithoutLabels.csv", [OMG[:5], [link, 0, 1, "zzz", "utterance_1.mp4"]])
    summary = only(prepare_labels("omg", tmp_path, tmp_path / "out" / "labels.csv"))
    manifest = read_manifest(summary.manifest)
    assert spans(manifest) == [("../a1b/utterance_1.mp4", "a1b", 0, np.inf), ("../c2d.mp4", "c2d", 1.25, 4.5)]
    assert manifest.splits == ["train", "validation"]
    np.testing.assert_allclose(manifest.labels, [[-0.5, 0.5], [0.25, np.nan]])
    assert listed(summary, "labels without a video") == ["gone/utterance_1.mp4"]
    assert listed(summary, "does not fit the video") == ["c2d/utterance_3.mp4"]
    assert listed(summary, "value outside its scale") == ["c2d/utterance_2.mp4"]
    assert listed(summary, "video without labels") == ["zzz.mp4"]
    assert match_videos(manifest, ["a1b/utterance_1.mp4", "c2d.mp4"]) == ["a1b/utterance_1.mp4", "c2d.mp4"]


def test_a_split_that_only_some_tables_name_is_refused(tmp_path: Path, make_video: MakeVideo) -> None:
    make_video(tmp_path / "v1.mp4", 5)
    row = ["", 0, 2, "v1", "u1.mp4", 0.5, 0, 1]
    write_csv(tmp_path / "omg_train.csv", [OMG, row])
    write_csv(tmp_path / "more.csv", [OMG, ["", 2, 4, *row[3:]]])
    with pytest.raises(ManifestError, match=r"v1.mp4 is in no split, 1 other rows are in one"):
        prepare_labels("omg", tmp_path, tmp_path / "labels.csv")


def test_panss_keeps_the_scale_s_units_and_takes_the_table_s_total(tmp_path: Path, make_video: MakeVideo) -> None:
    for name in ("P01_visit1", "P02_visit1", "P03_visit1"):
        make_video(tmp_path / f"{name}.mp4", 2)
    rows: list[list[object]] = [
        ["Patient", "Interview", "PANSS N1", "PANSS N3", "PANSS N6", "PANSS total"],
        ["007", "P01_visit1", 3, 4, 5, 22],
        [2, "P02_visit1.mp4", 9, 1, 2, 60],
        [4, "P09_visit1", 1, 1, 1, 7],
    ]
    write_excel(tmp_path / "ratings.xlsx", rows)
    summary = only(prepare_labels("ness", tmp_path, tmp_path / "labels.csv"))
    manifest = read_manifest(summary.manifest)
    assert manifest.target_names == ("n3", "n6", "n1", "total")
    assert spans(manifest) == [("P01_visit1.mp4", "007", 0, np.inf), ("P02_visit1.mp4", "2", 0, np.inf)]
    np.testing.assert_allclose(manifest.labels, np.array([[4, 5, 3, 22], [1, 2, np.nan, np.nan]]))
    assert [(target.low, target.high) for target in manifest.targets] == [(1, 7), (1, 7), (1, 7), (7, 49)]
    assert manifest.targets[-1].unit == "points"
    assert listed(summary, "value outside its scale") == ["P02_visit1.mp4"] * 2
    assert listed(summary, "labels without a video") == ["P09_visit1"]
    assert listed(summary, "video without labels") == ["P03_visit1.mp4"]


def test_cains_sums_its_items_where_the_table_has_no_total(tmp_path: Path, make_video: MakeVideo) -> None:
    make_video(tmp_path / "one.mkv", 2)
    make_video(tmp_path / "two.mkv", 2)
    header = ["video", "subject", "Facial Expression", "Vocal Expression", "Expressive Gestures", "Quantity of Speech"]
    write_csv(tmp_path / "c.csv", [header, ["one.mkv", "A", 0, 1, 2.5, 4], ["two", "B", 1, "", 2, 3]])
    summary = prepare_labels("ness", tmp_path, tmp_path / "labels.csv")
    manifest = read_manifest(only(summary).manifest)
    assert manifest.target_names == ("facial", "vocal", "gestures", "speech", "total")
    np.testing.assert_allclose(manifest.labels, [[0, 1, 2.5, 4, 7.5], [1, np.nan, 2, 3, np.nan]])
    assert (manifest.targets[-1].low, manifest.targets[-1].high) == (0, 16)
    again = prepare_labels("cains", tmp_path, tmp_path / "labels.csv")  # what it wrote itself is no table
    assert again.tables == summary.tables


BOTH = ["video", "subject", "n1", "n3", "n6", "facial", "vocal", "gestures", "speech"]


def test_a_table_with_both_instruments_becomes_a_manifest_for_each(tmp_path: Path, make_video: MakeVideo) -> None:
    for name in "abc":
        make_video(tmp_path / f"{name}.mp4", 2)
    rows: list[list[object]] = [
        [*BOTH, "PANSS total", "total"],
        ["a", "A", 1, 2, 3, 0, 1, 2, 3, 14, 99],
        ["b", "B", 4, 5, 6, "", "", "", "", 30, 99],
        ["c", "C", "", "", "", 4, 4, 4, 4, "", 99],
    ]
    table = write_csv(tmp_path / "t.csv", rows)
    summary = prepare_labels("ness", tmp_path, tmp_path / "labels.csv")
    assert summary.tables == (table,)
    assert [made.part for made in summary.manifests] == ["panss", "cains"]
    assert [made.manifest.name for made in summary.manifests] == ["labels-panss.csv", "labels-cains.csv"]
    assert not (tmp_path / "labels.csv").exists()
    panss, cains = (read_manifest(made.manifest) for made in summary.manifests)
    assert panss.target_names == ("n3", "n6", "n1", "total")
    np.testing.assert_allclose(panss.labels, [[2, 3, 1, 14], [5, 6, 4, 30]])
    assert cains.target_names == ("facial", "vocal", "gestures", "speech", "total")
    np.testing.assert_allclose(cains.labels, [[0, 1, 2, 3, 6], [4, 4, 4, 4, 16]])
    for made in summary.manifests:
        assert listed(made, "column is ambiguous") == ["total"]  # it says not of which: the sum of the items stands
        assert made.problems_file == made.manifest.with_name(f"{made.manifest.stem}-problems.csv")
    assert [listed(made, "no usable value") for made in summary.manifests] == [["c"], ["b"]]
    again = prepare_labels("ness", tmp_path, tmp_path / "labels.csv")  # what it wrote itself is no table
    assert again == summary


def test_one_instrument_of_a_table_with_both_may_be_asked_for(tmp_path: Path, make_video: MakeVideo) -> None:
    make_video(tmp_path / "a.mp4", 2)
    table = write_csv(tmp_path / "t.csv", [BOTH, ["a", "A", 1, 2, 3, 0, 1, 2, 3]])
    assert only(prepare_labels("cains", tmp_path, tmp_path / "labels.csv")).targets[0] == "facial"
    write_csv(tmp_path / "u.csv", [BOTH, ["a", "A", 1, 2, 3, 0, 1, 2, 3]])
    with pytest.raises(InputError, match="holds 2 tables"):
        prepare_labels("panss", tmp_path, tmp_path / "labels.csv")
    chosen = only(prepare_labels("panss", tmp_path, tmp_path / "labels.csv", table=table))
    assert chosen.targets == ("n3", "n6", "n1", "total")


def test_an_instrument_that_nobody_was_rated_by_is_named_and_nothing_is_written(
    tmp_path: Path, make_video: MakeVideo
) -> None:
    make_video(tmp_path / "a.mp4", 2)
    write_csv(tmp_path / "t.csv", [BOTH, ["a", "A", 1, 2, 3, "", "", "", ""]])
    with pytest.raises(ManifestError, match="no label of cains is left to write"):
        prepare_labels("ness", tmp_path, tmp_path / "labels.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "t.csv"]


def test_aff_wild2_frames_become_spans_on_the_video_s_own_clock(tmp_path: Path, make_video: MakeVideo) -> None:
    make_video(tmp_path / "videos" / "1-30.mp4", 40, fps=10, gap_s=2.0)
    make_video(tmp_path / "videos" / "video2.mp4", 20, fps=10)
    make_video(tmp_path / "videos" / "extra.mp4", 2)
    frames = [(0.1, 0.2)] * 10 + [(-5, -5)] * 8 + [(0.5, 0.5)] * 2 + [(-0.3, 0.4)] * 12 + [(2, 0)] * 2 + [(-0.5, 0)] * 6
    write_csv(tmp_path / "Train_Set" / "1-30.txt", [("valence", "arousal"), *frames])
    write_csv(tmp_path / "Train_Set" / "video2_left.txt", [("valence", "arousal"), (0, 0)])
    write_csv(tmp_path / "Validation_Set" / "gone.txt", [("valence", "arousal"), (0, 0)])
    (tmp_path / "README.txt").write_text("not annotations")
    summary = only(prepare_labels("aff-wild2", tmp_path, tmp_path / "labels.csv", span_s=1.0))
    manifest = read_manifest(summary.manifest)
    # The second second has two valid frames of ten: left out. The last frame stands 2 s later than its number says.
    assert [(start, end) for _, _, start, end in spans(manifest)] == [(0, 1), (2, 3), (3, 4), (5, 6)]
    np.testing.assert_allclose(manifest.labels[:, 0], [0.1, -0.3, (-0.3 * 2 - 0.5 * 5) / 7, -0.5], atol=1e-6)
    assert manifest.splits == ["train"] * 4
    assert listed(summary, "value outside its scale") == ["1-30"]
    assert listed(summary, "one of several people") == ["video2_left"]
    assert listed(summary, "labels without a video") == ["gone"]
    assert listed(summary, "video without labels") == ["videos/extra.mp4"]


def test_annotations_of_another_length_than_the_video_are_listed_and_cut() -> None:
    values, time_s = np.full((5, 2), 0.5), np.arange(4) / 2
    rows, problems = span_rows(values, time_s, 1.0, video="a.mp4", subject="a", split=None)
    assert [(row.start_s, row.end_s, row.values) for row in rows] == [(0, 1, (0.5, 0.5)), (1, 2, (0.5, 0.5))]
    assert [problem.detail for problem in problems] == ["5 annotated frames, 4 in the video; what both have is used"]


def test_a_line_that_is_no_pair_of_numbers_is_named(tmp_path: Path, make_video: MakeVideo) -> None:
    make_video(tmp_path / "a.mp4", 3)
    (tmp_path / "a.txt").write_text("valence,arousal\n0.1,0.2\nhigh,low\n")
    with pytest.raises(ManifestError, match=r"a\.txt, line 3 is 'high,low'"):
        prepare_labels("aff-wild2", tmp_path, tmp_path / "labels.csv")


def test_a_recording_lasts_to_the_end_of_its_last_frame() -> None:
    assert duration_s(np.arange(10) / 4) == 2.5
    assert duration_s(np.zeros(1)) == 0


@pytest.mark.parametrize("name", READERS)
def test_every_data_set_that_is_offered_has_a_reader(name: str) -> None:
    reader = reader_of(name)
    assert isinstance(reader, Reader)
    assert reader.suffixes and all(suffix == suffix.lower() and suffix.startswith(".") for suffix in reader.suffixes)


def test_a_data_set_without_a_reader_is_refused_with_those_that_have_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data set 'afew'; expected amigos, omg, ness, panss, cains, aff-wild2"):
        prepare_labels("afew", tmp_path, tmp_path / "labels.csv")


@pytest.mark.parametrize("data_set", READERS)
def test_a_folder_without_the_data_set_says_what_was_looked_for(tmp_path: Path, data_set: str) -> None:
    write_csv(tmp_path / "shopping.csv", [["what", "price"], ["bread", 2]])
    with pytest.raises(InputError, match="holds no annotations of"):
        prepare_labels(data_set, tmp_path, tmp_path / "labels.csv")
    with pytest.raises(InputError, match="is not a folder"):
        prepare_labels(data_set, tmp_path / "none", tmp_path / "labels.csv")


def test_a_table_that_is_none_and_one_without_its_columns_are_refused(tmp_path: Path, make_video: MakeVideo) -> None:
    make_video(tmp_path / "P1_1.mp4", 30)
    (tmp_path / "External_Annotations.xlsx").write_text("not a workbook")
    with pytest.raises(ManifestError, match="cannot be read as a table"):
        prepare_labels("amigos", tmp_path, tmp_path / "labels.csv")
    write_excel(tmp_path / "External_Annotations.xlsx", [AMIGOS[:-1], [1, 1, 1, 0, 0, 0, 0, 0]])
    with pytest.raises(ManifestError, match="no column 'Arousal_Annotator_3'"):
        prepare_labels("amigos", tmp_path, tmp_path / "labels.csv")
    write_excel(tmp_path / "External_Annotations.xlsx", [AMIGOS, [7, 7, 1, 0, 0, 0, 0, 0, 0]])
    with pytest.raises(ManifestError, match=r"no label is left to write .labels without a video: P7_7"):
        prepare_labels("amigos", tmp_path, tmp_path / "labels.csv")
