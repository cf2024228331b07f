"""Tables that cannot be: each is refused with its file, its line and what was expected, and nothing is guessed."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from affect.errors import AffectError
from affect.tests.feature_tables import Made, drawn, openface, plain, pyfeat

from .conftest import Read

TIMES = [0.0, 0.2, 0.4, 0.6]
NUMBERS = [1, 2, 3, 4]


def csv(**columns: Sequence[object]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        plain(folder / "S01.csv", {"time": TIMES, "a": NUMBERS, **columns})
        return folder / "S01.csv"

    return make


def data(content: bytes, name: str = "S01.csv") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def parquet(change: Callable[[bytes], bytes] = bytes, **columns: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "S01.parquet"
        pq.write_table(pa.table({"time": TIMES, "a": NUMBERS} | columns), path)
        path.write_bytes(change(path.read_bytes()))
        return path

    return make


def flipped(whole: bytes) -> bytes:
    return whole[:30] + bytes(byte ^ 0xFF for byte in whole[30:60]) + whole[60:]


REFUSED = {
    "no time": (data(b"a,b\n1,2\n"), "no column tells the time; its columns are a, b"),
    "frames without a rate": (data(b"frame,a\n0,1\n"), "expected the video's frame rate"),
    "a time missing": (csv(time=[0.0, "", 0.4, 0.6]), r"line 3: column 'time' is ''; expected the time of the row"),
    "a time that goes back": (csv(time=[0.0, 0.4, 0.2, 0.6]), r"line 4: time 0\.2 comes behind 0\.4 in line 3"),
    "a time twice": (csv(time=[0.0, 0.2, 0.2, 0.6]), r"line 4: time 0\.2 of face 0 stands already in line 3"),
    "a time below 0": (csv(time=[-1, 0.2, 0.4, 0.6]), "line 2: column 'time' is '-1'"),
    "a date as a time": (csv(time=[1.7e9, 1.7e9 + 1, 1.7e9 + 2.5, 1.7e9 + 3]), "seconds from the video's first frame"),
    "a face twice in a frame": (csv(face=[0, 0, 1, 1], time=[0, 0, 0, 0.5]), "line 3: time 0 of face 0 stands already"),
    "a word among numbers": (csv(a=[1, "bad", 3, 4]), r"line 3: column 'a' is 'bad'; expected a number"),
    "a formula": (csv(a=[1, "=SUM(A1:A9)", 3, 4]), r"line 3: column 'a' is '=SUM\(A1:A9\)'; expected a number"),
    "words alone": (csv(a=["x", "y", "z", "x"]), "none of its columns becomes a feature"),
    "infinite": (csv(a=[1, "inf", 3, 4]), "line 3: column 'a' is 'inf'; expected a finite number"),
    "10^10": (csv(a=[1, 2, "1e10", 4]), r"line 4: column 'a' is '1e10'; expected at most 65504"),
    "just too large": (csv(a=[1, 2, "-65519", 4]), r"line 4: column 'a' is '-65519'; expected at most 65504"),
    "percents": (csv(confidence=[99, 98, 97, 99]), "is up to 99; expected a confidence of 0 to 1"),
    "a row too short": (data(b"time,a,b\n0,1,2\n0.2,1\n"), "line 3: 2 cells for 3 columns"),
    "a column twice": (data(b"time,a,a\n0,1,2\n"), "column 'a' stands twice"),
    "empty": (data(b""), "is empty"),
    "names alone": (data(b"time,a\n"), "has column names but no rows"),
    "a pointer": (data(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n"), "a Git LFS pointer"),
    "a web page": (data(b"<!DOCTYPE html><html><body>log in</body></html>"), "a web page"),
    "a NUL": (data(b"time,a\n0,1\n0.5,\0\n"), "line 3: a NUL byte"),
    "an open quote": (data(b'time,a\n0,"1\n0.5,2\n'), "line 2"),
    "no workbook": (data(b"time,a\n0,1\n", "S01.xlsx"), "it is no workbook"),
    "cut Parquet": (parquet(lambda whole: whole[:-20]), "is no whole Parquet file: its end is missing"),
    "no Parquet": (data(b"time,a\n0,1\n", "S01.parquet"), "is no whole Parquet file"),
    "damaged Parquet": (parquet(flipped), r"S01\.parquet"),
    "a footer of noise": (parquet(lambda whole: whole[:-40] + b"\xff" * 32 + whole[-8:]), "cannot be read as Parquet"),
    "lists alone": (parquet(a=[[1.0]] * 4), "none of its columns becomes a feature"),
    "structs alone": (parquet(a=[{"x": 1.0}] * 4), "none of its columns becomes a feature"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_with_its_place(case: str, read: Read, tmp_path: Path) -> None:
    make, words = REFUSED[case]
    path = make(tmp_path)
    with pytest.raises(AffectError, match=words) as caught:
        read(path)
    assert path.name in caught.value.message


def test_a_frame_whose_time_goes_back_is_refused_and_its_numbers_can_be_taken(read: Read, tmp_path: Path) -> None:
    plain(tmp_path / "S01.csv", {"frame": [0, 1, 2], "time": [0, 0.5, 0.2], "a": [1, 2, 3]})
    with pytest.raises(AffectError, match=r"line 4: frame 2 is at 0\.2 s, and frame 1 at 0\.5 s") as caught:
        read(tmp_path / "S01.csv")
    assert caught.value.hint and "--time-column frame --fps N" in caught.value.hint
    assert read(tmp_path / "S01.csv", column="frame", fps=2)["S01"].features.time_s.tolist() == [0, 0.5, 1.0]


def test_rows_of_two_recordings_in_one_table_are_not_taken_for_one(read: Read, tmp_path: Path) -> None:
    openface(tmp_path / "S01.csv", Made(drawn(10, 48)))
    lines = (tmp_path / "S01.csv").read_text().splitlines()
    (tmp_path / "S01.csv").write_text("\n".join([*lines, *lines[1:]]))
    with pytest.raises(AffectError, match="frame 0 of face 0 stands already in line 2") as caught:
        read(tmp_path / "S01.csv")
    assert caught.value.hint and "column video" in caught.value.hint


def test_faces_one_behind_the_other_and_rows_out_of_order_are_put_in_order(read: Read, tmp_path: Path) -> None:
    plain(tmp_path / "S01.csv", {"time": [0, 0.5, 0, 0.5], "face": ["b", "b", "a", "a"], "x": [1, 2, 3, 4]})
    recording = read(tmp_path / "S01.csv")["S01"]
    assert recording.features.values[:, 0].tolist() == [1, 3, 2, 4]
    assert recording.features.track.tolist() == [0, 1, 0, 1]
    assert "face: 'b' is track 0, 'a' is track 1" in recording.notes


def test_a_row_without_some_of_its_features_has_no_face_and_that_is_said(read: Read, tmp_path: Path) -> None:
    plain(tmp_path / "S01.csv", {"time": TIMES, "a": [1, "", "NaN", 4], "b": [1, "-nan(ind)", 3, 4]})
    recording = read(tmp_path / "S01.csv")["S01"]
    assert recording.features.status.tolist() == [0, 1, 1, 0]
    assert "1 rows lack some of their features (a in 2, b in 1), and count as without a face" in recording.notes


def test_what_float16_takes_from_a_column_is_said(read: Read, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    fine, offset = random.standard_normal(200), 1900 + random.standard_normal(200)
    plain(tmp_path / "S01.csv", {"time": np.arange(200) / 5, "fine": fine, "x": offset})
    recording = read(tmp_path / "S01.csv")["S01"]
    assert np.isfinite(recording.features.values).all()
    (note,) = recording.notes
    assert note.startswith("stored as float16, which loses more than 1 % of the spread of 1 columns: x 2")


def test_one_bad_table_of_several_is_that_table_alone(read: Read, tmp_path: Path) -> None:
    pyfeat(tmp_path / "S01.csv", Made(drawn(10, 27)))
    with pytest.raises(AffectError, match="as tables of openface have"):
        read(tmp_path / "S01.csv", kind="openface", fps=25)


def test_a_frame_number_of_a_million_years_takes_no_memory(read: Read, tmp_path: Path) -> None:
    plain(tmp_path / "S01.csv", {"time": [0, 0.2, 0.4], "frame": [0, 1, 10**11], "a": [1, 2, 3]})
    with pytest.raises(AffectError, match="frames up to number 100000000000 in 3 rows"):
        read(tmp_path / "S01.csv")


def test_a_small_parquet_of_very_many_cells_is_refused_before_it_is_read(read: Read, tmp_path: Path) -> None:
    zeros = np.zeros(5_000_000)
    pq.write_table(pa.table({"time": zeros, "a": zeros}), tmp_path / "S01.parquet")
    assert (tmp_path / "S01.parquet").stat().st_size < 100_000
    with pytest.raises(AffectError, match=r"5000000 rows of 2 columns in \d+ bytes"):
        read(tmp_path / "S01.parquet")


def test_a_long_word_in_every_row_of_a_small_parquet_is_refused(read: Read, tmp_path: Path) -> None:
    words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, np.int32)), ["x" * 100_000])
    times = np.arange(100_000) / 25
    pq.write_table(pa.table({"video": words, "time": times, "a": times}), tmp_path / "S01.parquet")
    with pytest.raises(AffectError, match="the words of a column have more than"):
        read(tmp_path / "S01.parquet")
