"""What an entry says of itself, and what no entry can say: each check of the layout, tried by breaking one thing."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from affect.cache import create_store
from affect.cache.layout import (
    ENTRY_VERSION,
    DamageError,
    attributes_of,
    contradictions,
    info_of,
    specs_of,
    write_arrays,
)
from affect.cache.memory_store import MemoryStore
from affect.cache.records import Array, Recipe, VideoInfo
from affect.errors import EntryError

IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "a row of a frame behind the last": ({"frame": [0, 1, 3]}, "frame has numbers outside 0 to 2"),
    "a row of a frame before the first": ({"frame": [-1, 1, 2]}, "frame has numbers outside 0 to 2"),
    "rows that go back": ({"frame": [0, 2, 1]}, "frame is not in order"),
    "times that go back": ({"time_s": [0.0, 0.5, 0.4]}, "time_s goes back"),
    "a time that is none": ({"time_s": [0.0, np.nan, 1.0]}, "values that are no times"),
    "a time without end": ({"time_s": [0.0, 1.0, np.inf]}, "values that are no times"),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_what_cannot_be_is_named(what: str) -> None:
    arrays, expected = IMPOSSIBLE[what]
    (found,) = contradictions({name: np.array(values) for name, values in arrays.items()}, 3)
    assert expected in found


def test_equal_frames_and_times_are_in_order_and_nobody_is_no_contradiction() -> None:
    arrays: dict[str, Array] = {"frame": np.array([0, 0, 2]), "time_s": np.array([0.0, 0.0, 1.0])}
    assert contradictions(arrays, 3) == []
    assert contradictions({"frame": np.zeros(0, np.int64), "time_s": np.zeros(0)}, 0) == []


def test_rows_out_of_order_are_refused_where_they_are_read(
    tmp_path: Path, recipe: Recipe, info: VideoInfo, draw: Any
) -> None:
    store = create_store(tmp_path / "store", recipe, "hdf5")
    with store.writer("a.mp4", info.fingerprint) as writer:
        writer.append(draw(20, 30), b"")
        writer.commit(info)
    with h5py.File(tmp_path / "store" / "a.mp4.h5", "r+") as file:
        file["frame"][:] = file["frame"][...][::-1]
    with pytest.raises(EntryError, match="is damaged: frame is not in order"):
        store.read("a.mp4", values=False)


def test_a_store_in_memory_is_verified_by_the_same_rules(recipe: Recipe, info: VideoInfo, draw: Any) -> None:
    block = draw(20, 30)
    block.time_s[3] = np.nan
    store = MemoryStore(recipe)
    with store.writer("a.mp4", info.fingerprint) as writer:
        writer.append(block, b"")
        writer.commit(info)
    assert store.verify("a.mp4") == ["frames/time_s goes back, or has values that are no times"]


def sealed(info: VideoInfo, **changed: Any) -> dict[str, Any]:
    """Attributes whose seal holds although something in them is not as it is written today."""
    made = attributes_of(info, {}, changed)
    return dict(json.loads(json.dumps(made)))


def test_sealed_attributes_say_what_is_known_of_the_video(info: VideoInfo) -> None:
    assert info_of(sealed(info), info.recipe_digest) == info


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"complete": False}, "do not say that it is complete"),
        ({"complete": 1}, "do not say that it is complete"),
        ({"entry_version": ENTRY_VERSION + 1}, f"entry version {ENTRY_VERSION + 1}, newer than {ENTRY_VERSION}"),
        ({"recipe_digest": "0" * 64}, "made by recipe 000000000000"),
    ],
)
def test_attributes_of_another_kind_of_entry_are_refused(
    info: VideoInfo, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(DamageError, match=message):
        info_of(sealed(info, **changed), info.recipe_digest)


@pytest.mark.parametrize("change", [{"codec": "vp9"}, {"more": 1}, {"attributes_sha256": None}])
def test_attributes_that_were_changed_after_the_seal_are_refused(info: VideoInfo, change: dict[str, Any]) -> None:
    with pytest.raises(DamageError, match="do not match their checksum"):
        info_of({**sealed(info), **change}, info.recipe_digest)


class Heap:
    """A composer that keeps what it is given."""

    def __init__(self) -> None:
        self.pieces: dict[str, list[tuple[int, Array]]] = {}

    def write(self, name: str, start: int, rows: Array) -> None:
        self.pieces.setdefault(name, []).append((start, rows))

    def extra(self) -> dict[str, Any]:
        return {}

    def finish(self, attributes: dict[str, Any]) -> None: ...

    def abandon(self) -> None: ...


def test_fewer_rows_than_were_announced_are_a_mistake_of_ours(draw: Any) -> None:
    with pytest.raises(AssertionError, match="values: 30 rows came, 31 were announced"):
        write_arrays(Heap(), {"values": specs_of(20, 31, 8)["values"]}, [draw(20, 30)])


def test_rows_are_written_once_in_order_and_a_file_at_a_time(draw: Any) -> None:
    specs, heap = specs_of(3000, 3000, 2048), Heap()
    blocks = [draw(700, 700, size=2048, first=700 * number, seed=number) for number in range(4)]
    blocks.append(draw(200, 200, size=2048, first=2800))
    write_arrays(heap, specs, blocks)
    for name, spec in specs.items():
        pieces = heap.pieces[name]
        assert [start for start, _ in pieces] == list(range(0, 3000, spec.file_rows))
        wanted = np.concatenate([getattr(block, name) for block in blocks])
        assert np.concatenate([rows for _, rows in pieces]).tobytes() == wanted.tobytes()
