"""Tables of features from strangers, one thing of them changed: nothing runs, nothing is opened, nothing grows.

One case again:  pytest tests/hostile/test_feature_tables.py -k seed-17-
"""

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from affect.tests.feature_tables import Made, drawn, openface, plain
from affect.tests.hostile.changes import Mutator, Work, crowded, damaged, misplaced, table_text, trapped, values
from affect.tests.hostile.harness import Adversary, Ended, Place
from affect.tests.hostile.kit import ROOM, TIMES, write_victim
from affect.tests.hostile.witness import snapshot

FEW, MANY = 30, 300  # in `make test`, and beyond these in `make stress`
NAMES = ("features/S1.csv", "features/S2.csv", "features/S3.parquet")


def text_of_a_table(work: Work) -> tuple[str, str]:
    """A cell, a column or the form of a table in text."""
    path = work.file("features/S1.csv", "features/S2.csv")
    encoding = work.draw.choice(["utf-8", "utf-8-sig", "utf-16", "latin-1"])
    path.write_bytes(table_text(work, path).encode(encoding, "replace"))
    return f"{work.name(path)}: another table in {encoding}", ""


def another_parquet(work: Work) -> tuple[str, str]:
    """A sound Parquet file of what stands in no sound table."""
    path = work.folder / "features/S3.parquet"
    table = pq.read_table(path)
    name = work.draw.choice(table.column_names)
    rows, place = table.num_rows, table.column_names.index(name)
    odd = [value for value in values(work) if isinstance(value, (int, float, str)) and not isinstance(value, bool)]
    text = str(work.draw.choice(odd)).encode("utf-8", "replace").decode()
    way, column = work.draw.choice([
        ("null", pa.nulls(rows)), ("nan", pa.array([float("nan")] * rows)), ("huge", pa.array([1e300] * rows)),
        ("words", pa.array([text] * rows)), ("lists", pa.array([[1.0, 2.0]] * rows)),
        ("structs", pa.array([{"x": 1, "y": [1]}] * rows)), ("bytes", pa.array([b"\xff\xfe"] * rows)),
        ("dates", pa.array([0] * rows, pa.timestamp("ns"))), ("spans", pa.array([1] * rows, pa.duration("s"))),
        ("maps", pa.array([[("a", 1)]] * rows, pa.map_(pa.string(), pa.int32()))),
        ("long", pa.array([2**62] * rows)), ("negative", pa.array([-1] * rows)),
    ])  # fmt: skip
    table = table.set_column(place, work.draw.choice([name, text[:2000], name]), column)
    if work.draw.random() < 0.2:
        table = table.append_column("c", column).append_column("c", column)
    pq.write_table(table, path, compression=work.draw.choice(["snappy", "zstd", "gzip", "none"]))
    return f"S3.parquet: {name} is {way}", ""


MUTATORS: Sequence[Mutator] = (
    damaged(*NAMES), damaged("features/S3.parquet"), misplaced(*NAMES, links=False, sparse_bytes=1 << 30),
    text_of_a_table, text_of_a_table, another_parquet, another_parquet, crowded(["features"]),
    trapped(["new"], ["failures.csv", ".journal", "S1.zarr", "store.json"]),
)  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tables of the same columns, and the folder of the victim."""
    folder = tmp_path_factory.mktemp("sound")
    openface(folder / "features/S1.csv", Made(drawn(60, 14)))
    shutil.copy(folder / "features/S1.csv", folder / "features/S3.csv")
    lines = (folder / "features/S3.csv").read_text().replace(" ", "").encode()
    pq.write_table(pyarrow.csv.read_csv(pa.py_buffer(lines)), folder / "features/S3.parquet")
    (folder / "features/S3.csv").unlink()
    plain(folder / "features/S2.csv", {"video": ["S5", "S6"] * 20, "time": np.arange(40) / 10, "a": range(40)})
    write_victim(folder / "outside")
    return folder


def imported(adversary: Adversary, folder: Path) -> Ended:
    words = ["import-features", folder / "features", "--store", folder / "new"]
    place = Place(folder, writes=[folder / "new"], received=[folder / "features"])
    return adversary.run(words, place)


def test_the_tables_are_sound(adversary: Adversary, sound: Path, tmp_path: Path) -> None:
    folder = tmp_path / "case"
    shutil.copytree(sound / "features", folder / "features")
    ended = imported(adversary, folder)
    assert ended.faults() == [] and "2 stored, 0 skipped, 2 failed" in ended.out


@pytest.mark.parametrize(
    "seed", [*range(FEW), *(pytest.param(seed, marks=pytest.mark.stress) for seed in range(FEW, FEW + MANY))]
)
def test_a_changed_table_runs_nothing_and_takes_no_more_than_its_size_explains(
    seed: int, adversary: Adversary, sound: Path, tmp_path: Path
) -> None:
    folder, outside = tmp_path / "case", tmp_path / "outside"
    shutil.copytree(sound / "features", folder / "features")
    shutil.copytree(sound / "outside", outside)
    (folder / "new").mkdir()
    draw = random.Random(f"features {seed}")
    what, _ = draw.choice(MUTATORS)(Work(folder, outside, draw))
    victim = snapshot(outside)
    size = sum(item.lstat().st_blocks * 512 for item in folder.rglob("*"))
    ended = imported(adversary, folder)
    faults = ended.faults(most_bytes=ROOM * 2 + TIMES * size)
    assert not faults, f"{what}\n  " + "\n  ".join(faults)
    assert snapshot(outside) == victim, what
