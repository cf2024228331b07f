"""One suite for every store. The raw helpers read what lies on disk with plain zarr and h5py."""

import io
import itertools
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import h5py
import numpy as np
import pytest
import zarr

from affect.cache import Store, create_store, entry_id, open_store
from affect.cache.blobs import Held
from affect.cache.folder_store import FolderStore
from affect.cache.memory_store import MemoryStore
from affect.cache.people import TrackFacts
from affect.cache.records import DTYPES, FRAME_ARRAYS, FrameFeatures, Recipe, VideoInfo
from affect.errors import EntryError

PATHS = {name: f"frames/{name}" if name in FRAME_ARRAYS else name for name in DTYPES}
Raw = tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]


def assert_same(found: FrameFeatures, wanted: FrameFeatures) -> None:
    for name in DTYPES:
        mine, theirs = getattr(found, name), getattr(wanted, name)
        assert mine.dtype == theirs.dtype
        assert mine.shape == theirs.shape, name
        assert mine.tobytes() == theirs.tobytes(), name


def fill(store: Store, name: str, blocks: list[FrameFeatures], info: VideoInfo) -> FrameFeatures:
    with store.writer(name, info.fingerprint) as writer:
        for number, block in enumerate(blocks):
            writer.append(block, bytes([number]))
        writer.commit(info)
    return FrameFeatures.concatenate(blocks)


def with_points(block: FrameFeatures) -> FrameFeatures:
    points = np.random.default_rng(len(block.frame)).standard_normal((len(block.frame), 68, 2))
    return replace(block, points_px=points.astype(np.float32))


def assert_same_points(found: Any, wanted: Any) -> None:
    assert (found.dtype, found.shape) == (np.float32, wanted.shape)
    assert found.tobytes() == wanted.tobytes()


def raw_zarr(path: Path) -> Raw:
    group = zarr.open_group(path, mode="r")
    arrays: dict[str, Any] = {name: group[PATHS[name]][...] for name in DTYPES}  # type: ignore[index]
    return arrays, dict(group.attrs)


def raw_hdf5(file: Path | io.BytesIO) -> Raw:
    with h5py.File(file, "r") as opened:
        arrays = {name: opened[PATHS[name]][...] for name in DTYPES}
        attributes = {name: None if isinstance(value, h5py.Empty) else value for name, value in opened.attrs.items()}
    for name in {"persons", "tracks", "warnings", "versions", "arrays"} & attributes.keys():
        attributes[name] = json.loads(str(attributes[name]))
    return arrays, attributes


class StoreContract:
    """What any store does. Subclasses say how to make one, open it again, and read an entry without it."""

    @pytest.fixture
    def store(self, recipe: Recipe) -> Iterator[Store]:
        raise NotImplementedError

    def again(self, store: Store) -> Store:
        return open_store(store.location)

    def raw(self, store: Store, name: str) -> Raw:
        raise NotImplementedError

    def test_what_was_appended_is_read_back_byte_for_byte(self, store: Store, draw: Any, info: VideoInfo) -> None:
        wanted = fill(store, "a.mp4", [draw(30, 50, seed=1), draw(20, 0, first=30), draw(9, 9, first=50)], info)
        again = self.again(store)
        assert again.ids() == ["a.mp4"]
        assert again.info("a.mp4") == info
        assert_same(again.read("a.mp4"), wanted)
        assert again.verify("a.mp4") == []

    def test_plain_readers_see_the_same_arrays_and_attributes(self, store: Store, draw: Any, info: VideoInfo) -> None:
        wanted = fill(store, "a.mp4", [draw(30, 50)], info)
        arrays, attributes = self.raw(store, "a.mp4")
        assert_same(FrameFeatures(**arrays), wanted)
        assert attributes["complete"] == 1
        assert VideoInfo.from_json(attributes) == info

    def test_points_of_a_face_are_kept_where_there_are_any(self, store: Store, draw: Any, info: VideoInfo) -> None:
        blocks = [
            with_points(draw(30, 50, seed=1)),
            with_points(draw(20, 0, first=30)),
            with_points(draw(9, 9, first=50)),
        ]
        wanted = fill(store, "with.mp4", blocks, info)
        without = fill(store, "without.mp4", [draw(5, 5)], info)
        again = self.again(store)
        for values in (True, False):
            assert_same_points(again.read("with.mp4", values=values).points_px, wanted.points_px)
            assert again.read("without.mp4", values=values).optional == ()
        names = ("track", "points_px")
        assert_same_points(again.entry("with.mp4", names).arrays["points_px"], wanted.points_px)
        assert set(again.entry("without.mp4", names).arrays) == {"track"}
        assert_same(again.read("without.mp4"), without)
        assert again.verify("with.mp4") == again.verify("without.mp4") == []

    def test_a_stopped_writer_goes_on_with_points(self, store: Store, draw: Any, info: VideoInfo) -> None:
        first, second = with_points(draw(5, 5)), with_points(draw(4, 4, first=5))
        with store.writer("a.mp4", info.fingerprint) as writer:
            writer.append(first, b"1")
        with store.writer("a.mp4", info.fingerprint) as writer:
            assert (writer.state, writer.frames) == (b"1", 5)
            writer.append(second, b"2")
            writer.commit(info)
        wanted = FrameFeatures.concatenate([first, second])
        assert_same_points(self.again(store).read("a.mp4").points_px, wanted.points_px)

    def test_a_video_without_faces_and_one_without_frames_are_entries_too(
        self, store: Store, draw: Any, info: VideoInfo
    ) -> None:
        nobody = fill(store, "nobody.mp4", [draw(40, 0, size=16)], info)
        empty = fill(store, "empty.mp4", [FrameFeatures.empty(16)], info)
        assert_same(self.again(store).read("nobody.mp4"), nobody)
        assert_same(self.again(store).read("empty.mp4"), empty)
        assert self.again(store).read_values("empty.mp4", 0, 0).shape == (0, 16)
        assert store.verify("nobody.mp4") == store.verify("empty.mp4") == []

    def test_values_need_not_be_read_and_rows_can_be_read_alone(self, store: Store, draw: Any, info: VideoInfo) -> None:
        wanted = fill(store, "a.mp4", [draw(900, 1500, size=2048)], info)
        light = store.read("a.mp4", values=False)
        assert light.values.shape == (1500, 0)
        assert light.landmarks_px.tobytes() == wanted.landmarks_px.tobytes()
        for start, stop in [(0, 1500), (0, 0), (1499, 1500), (250, 260), (200, 1300)]:
            assert store.read_values("a.mp4", start, stop).tobytes() == wanted.values[start:stop].tobytes()

    def test_many_entries_come_in_the_order_asked_and_a_missing_one_is_its_error(
        self, store: Store, draw: Any, info: VideoInfo
    ) -> None:
        wanted = {
            name: fill(store, name, [draw(30 + number, 40, seed=number)], info) for number, name in enumerate("abc")
        }
        found = list(self.again(store).entries(["c", "a", "gone", "b"], ("time_s", "track")))
        assert [entry.id for entry in found if not isinstance(entry, EntryError)] == ["c", "a", "b"]
        assert isinstance(found[2], EntryError)
        for entry in found:
            if not isinstance(entry, EntryError):
                assert entry.info == info
                assert entry.frames == len(wanted[entry.id].time_s)
                assert set(entry.arrays) == {"time_s", "track"}
                for name, array in entry.arrays.items():
                    assert array.tobytes() == getattr(wanted[entry.id], name).tobytes()

    def test_nothing_is_seen_of_an_entry_before_its_commit(self, store: Store, draw: Any, info: VideoInfo) -> None:
        with store.writer("a.mp4", info.fingerprint) as writer:
            writer.append(draw(5, 5), b"")
            assert self.again(store).ids() == []
            with pytest.raises(EntryError, match=r"no entry 'a\.mp4'"):
                self.again(store).info("a.mp4")
        assert self.again(store).ids() == []

    def test_a_released_writer_is_resumed_behind_its_last_block(self, store: Store, draw: Any, info: VideoInfo) -> None:
        blocks = [draw(10, 12), draw(10, 7, first=10, seed=1), draw(10, 30, first=20, seed=2)]
        with store.writer("a.mp4", info.fingerprint) as writer:
            assert (writer.frames, writer.rows, writer.state) == (0, 0, b"")
            writer.append(blocks[0], b"one")
            writer.append(blocks[1], b"\0two\xff")
        with self.again(store).writer("a.mp4", info.fingerprint) as writer:
            assert (writer.frames, writer.rows, writer.state) == (20, 19, b"\0two\xff")
            writer.append(blocks[2], b"three")
            writer.commit(info)
        assert_same(store.read("a.mp4"), FrameFeatures.concatenate(blocks))

    def test_a_journal_begun_on_another_device_is_begun_again(self, store: Store, draw: Any, info: VideoInfo) -> None:
        with store.writer("a.mp4", info.fingerprint, device="one card") as writer:
            writer.append(draw(10, 12), b"one")
        with self.again(store).writer("a.mp4", info.fingerprint, device="one card") as writer:
            assert (writer.frames, writer.state) == (10, b"one")
        with self.again(store).writer("a.mp4", info.fingerprint, device="another card") as writer:
            assert (writer.frames, writer.rows, writer.state) == (0, 0, b"")
            writer.append(draw(5, 4, seed=1), b"other")
            writer.commit(info)
        assert_same(store.read("a.mp4"), draw(5, 4, seed=1))

    def test_progress_of_another_video_is_not_resumed(self, store: Store, draw: Any, info: VideoInfo) -> None:
        with store.writer("a.mp4", "another") as writer:
            writer.append(draw(10, 12), b"one")
        with self.again(store).writer("a.mp4", info.fingerprint) as writer:
            assert (writer.frames, writer.rows, writer.state) == (0, 0, b"")
        wanted = fill(store, "a.mp4", [draw(3, 3, seed=5)], info)
        assert_same(store.read("a.mp4"), wanted)

    def test_arrays_do_not_depend_on_how_blocks_were_cut(self, store: Store, draw: Any, info: VideoInfo) -> None:
        whole = draw(700, 700, size=2048)
        fill(store, "whole.mp4", [whole], info)
        time.sleep(1.1)  # older HDF5 libraries keep the second in which a file was made
        cuts = [0, 1, 300, 301, 699, 700]
        pieces = [_cut(whole, start, stop) for start, stop in itertools.pairwise(cuts)]
        fill(store, "cut.mp4", pieces, info)
        assert_same(store.read("cut.mp4"), store.read("whole.mp4"))
        assert self.fingerprint_of_bytes(store, "cut.mp4") == self.fingerprint_of_bytes(store, "whole.mp4")

    def fingerprint_of_bytes(self, store: Store, name: str) -> object:
        return None

    def test_a_complete_entry_is_written_again_only_when_asked(self, store: Store, draw: Any, info: VideoInfo) -> None:
        fill(store, "a.mp4", [draw(5, 5)], info)
        with pytest.raises(EntryError, match="stored already"):
            store.writer("a.mp4", info.fingerprint)
        block = draw(7, 3, seed=9)
        with store.writer("a.mp4", info.fingerprint, overwrite=True) as writer:
            writer.append(block, b"")
            assert len(store.read("a.mp4").time_s) == 5
            writer.commit(info)
        assert_same(self.again(store).read("a.mp4"), block)

    def test_two_writers_of_one_entry_exclude_each_other(self, store: Store, draw: Any, info: VideoInfo) -> None:
        with store.writer("a.mp4", info.fingerprint) as writer:
            with pytest.raises(EntryError, match="is being written by"):
                self.again(store).writer("a.mp4", info.fingerprint)
            with self.again(store).writer("b.mp4", info.fingerprint) as other:
                other.append(draw(2, 2), b"")
            writer.append(draw(3, 3), b"")
            writer.commit(info)
        assert store.ids() == ["a.mp4"]

    def test_neither_reading_nor_verifying_sees_a_mixture_while_an_entry_is_replaced(
        self, store: Store, draw: Any, info: VideoInfo
    ) -> None:
        versions = [draw(60, 60, size=512, seed=1), draw(60, 60, size=512, seed=2)]
        wanted = {(block.values.tobytes(), block.score.tobytes()) for block in versions}
        fill(store, "a.mp4", versions[:1], info)
        failures: list[str] = []

        def replace() -> None:
            for number in range(1, 7):
                with store.writer("a.mp4", info.fingerprint, overwrite=True) as writer:
                    writer.append(versions[number % 2], b"")
                    writer.commit(info)

        thread = threading.Thread(target=replace)
        thread.start()
        reader = self.again(store)
        while thread.is_alive():
            try:
                found = reader.read("a.mp4")
                assert (found.values.tobytes(), found.score.tobytes()) in wanted
                failures += reader.verify("a.mp4")
            except EntryError as error:
                failures.append(error.message)
        thread.join()
        assert all("holds no entry" in failure for failure in failures), set(failures)

    @pytest.mark.parametrize(
        "path", ["../x.mp4", "/etc/x.mp4", "a b/é%03d.mp4", "a//b", ".", "n" * 400, "d/" * 400 + "x", "f.zarr/g.h5/x"]
    )
    def test_any_path_of_a_video_makes_an_entry_inside_the_store(
        self, store: Store, draw: Any, info: VideoInfo, path: str
    ) -> None:
        name = entry_id(path)
        wanted = fill(store, name, [draw(4, 4)], info)
        assert self.again(store).ids() == [name]
        assert_same(store.read(name), wanted)
        assert store.verify(name) == []

    @pytest.mark.parametrize("name", ["../x", "/x", "a/../b", "", "a//b", ".journal/a", "a.zarr/b", "x y"])
    def test_what_is_no_id_is_refused(self, store: Store, name: str) -> None:
        for act in (store.info, store.read, lambda name: store.writer(name, "f")):
            with pytest.raises(EntryError, match="is not the id"):
                act(name)


def _cut(block: FrameFeatures, start: int, stop: int) -> FrameFeatures:
    rows = (block.frame >= start) & (block.frame < stop)
    return FrameFeatures(
        **{name: getattr(block, name)[start:stop] if name in FRAME_ARRAYS else getattr(block, name)[rows]
           for name in DTYPES}
    )  # fmt: skip


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self, recipe: Recipe) -> Iterator[Store]:
        yield MemoryStore(recipe)

    def again(self, store: Store) -> Store:
        return store

    def raw(self, store: Store, name: str) -> Raw:
        features = store.read(name)
        arrays = {field: getattr(features, field) for field in DTYPES}
        return arrays, {**store.info(name).to_json(), "complete": True}


class InFolders(StoreContract):
    """Stores that another process may change."""

    @pytest.mark.parametrize("verified", [False, True])
    def test_an_entry_that_was_away_whenever_it_was_read_is_read_once_it_is_there(
        self, store: Store, draw: Any, info: VideoInfo, monkeypatch: pytest.MonkeyPatch, verified: bool
    ) -> None:
        wanted, away = fill(store, "a.mp4", [draw(5, 5)], info), iter(range(5))
        assert isinstance(store, FolderStore)
        head = store._format.head

        def head_of_what_moves(held: Held) -> bytes:
            if next(away, None) is not None:
                raise FileNotFoundError
            return head(held)

        monkeypatch.setattr(store._format, "head", head_of_what_moves)
        if verified:
            assert store.verify("a.mp4") == []
        else:
            assert_same(store.read("a.mp4"), wanted)
        assert next(away, None) is None


class OnDisk(InFolders):
    store_format = ""

    @pytest.fixture
    def store(self, recipe: Recipe, tmp_path: Path) -> Iterator[Store]:
        yield create_store(tmp_path / "store", recipe, self.store_format)

    def test_a_finished_run_leaves_entries_and_nothing_else(self, store: Store, draw: Any, info: VideoInfo) -> None:
        fill(store, "x/a.mp4", [draw(5, 5)], info)
        with store.writer("y/b.mp4", info.fingerprint) as writer:
            writer.append(draw(5, 5), b"")
        with store.writer("y/b.mp4", "other") as writer:
            pass
        left = {path.relative_to(store.location).as_posix() for path in Path(store.location).rglob("*")}
        entry = {path for path in left if path.startswith("x/a.mp4.")}
        assert entry and left - entry == {"store.json", ".journal", ".journal/.lock", "x"}


class TestZarr(OnDisk):
    store_format = "zarr"

    def raw(self, store: Store, name: str) -> Raw:
        return raw_zarr(Path(store.location) / f"{name}.zarr")

    def fingerprint_of_bytes(self, store: Store, name: str) -> object:
        root = Path(store.location) / f"{name}.zarr"
        return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    def test_every_chunk_carries_a_crc32c(self, store: Store, draw: Any, info: VideoInfo) -> None:
        fill(store, "a.mp4", [draw(40, 40, size=2048)], info)
        for path in (Path(store.location) / "a.mp4.zarr").rglob("zarr.json"):
            metadata = json.loads(path.read_text())
            if metadata["node_type"] == "array":
                assert '"crc32c"' in json.dumps(metadata["codecs"])


class TestHdf5(OnDisk):
    store_format = "hdf5"

    def raw(self, store: Store, name: str) -> Raw:
        return raw_hdf5(Path(store.location) / f"{name}.h5")

    def fingerprint_of_bytes(self, store: Store, name: str) -> object:
        return (Path(store.location) / f"{name}.h5").read_bytes()

    def test_every_array_carries_a_fletcher32(self, store: Store, draw: Any, info: VideoInfo) -> None:
        fill(store, "a.mp4", [draw(40, 40, size=2048)], info)
        with h5py.File(Path(store.location) / "a.mp4.h5", "r") as file:
            assert all(file[path].fletcher32 and file[path].chunks for path in PATHS.values())

    def test_thousands_of_tracks_fit_into_the_attributes(self, store: Store, draw: Any, recipe: Recipe) -> None:
        persons = {number: number // 2 for number in range(20_000)}
        tracks = {number: TrackFacts(100 + number, 64.5, 99, number % 7) for number in range(20_000)}
        crowd = VideoInfo(recipe.digest, "f", 1, 1, 1, 1, 1.0, 25.0, 64, 64, 0, "h264", persons=persons, tracks=tracks)
        fill(store, "crowd.mp4", [draw(4, 4)], crowd)
        assert store.info("crowd.mp4") == crowd
        assert store.verify("crowd.mp4") == []
        assert VideoInfo.from_json(self.raw(store, "crowd.mp4")[1]) == crowd


@pytest.mark.usefixtures("s3")
class OnS3(InFolders):
    store_format = ""

    @pytest.fixture
    def store(self, recipe: Recipe, s3: str) -> Iterator[Store]:
        prefix = next(tempfile._get_candidate_names())  # type: ignore[attr-defined]
        yield create_store(f"s3://features/{prefix}", recipe, self.store_format)

    def objects(self, store: Store, name: str, folder: Path) -> None:
        client = boto3.client("s3")
        prefix = store.location.removeprefix("s3://features/") + f"/{name}."
        for item in client.list_objects_v2(Bucket="features", Prefix=prefix)["Contents"]:
            target = folder / item["Key"].removeprefix(prefix)
            target.parent.mkdir(parents=True, exist_ok=True)
            client.download_file("features", item["Key"], str(target))

    def test_a_finished_run_leaves_entries_and_nothing_else(self, store: Store, draw: Any, info: VideoInfo) -> None:
        fill(store, "x/a.mp4", [draw(5, 5)], info)
        prefix = store.location.removeprefix("s3://features/")
        found = boto3.client("s3").list_objects_v2(Bucket="features", Prefix=f"{prefix}/")["Contents"]
        left = {item["Key"].removeprefix(f"{prefix}/") for item in found}
        entry = {key for key in left if key.startswith("x/a.mp4.")}
        assert entry and left - entry == {"store.json"}


class TestZarrOnS3(OnS3):
    store_format = "zarr"

    def raw(self, store: Store, name: str) -> Raw:
        with tempfile.TemporaryDirectory() as folder:
            self.objects(store, name, Path(folder))
            return raw_zarr(Path(folder) / "zarr")


class TestHdf5OnS3(OnS3):
    store_format = "hdf5"

    def raw(self, store: Store, name: str) -> Raw:
        with tempfile.TemporaryDirectory() as folder:
            self.objects(store, name, Path(folder))
            return raw_hdf5(Path(folder) / "h5")
