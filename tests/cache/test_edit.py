"""A store is edited: what readers see meanwhile, what a killed call leaves, who is kept out, which ids are refused."""

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from affect.cache import Store, create_store, open_store
from affect.cache.edit import Change, plan_edit
from affect.cache.records import ALL_DTYPES, FrameFeatures, Recipe, VideoInfo
from affect.errors import BusyError, EntryError, InputError, StoreError
from affect.tests.forks import Forks

Make = Callable[..., Store]
HOSTILE = ["../x", "/etc", "a/../b", "", "a//b", ".journal/a.mp4", "a.mp4.zarr", "a.mp4.h5", "x y", "a\0b", "..", "a/"]
LONG = ["x" * 201, "/".join(["x" * 100] * 7), "/".join(["x" * 150] * 30)]  # the last could not even be listed


def tree(store: Store) -> dict[str, bytes]:
    root = Path(store.location)
    files = {item.relative_to(root).as_posix(): item.read_bytes() for item in root.rglob("*") if item.is_file()}
    return {name: data for name, data in files.items() if not name.startswith(".journal/.lock")}


def edit(store: Store, action: str, *words: str) -> None:
    for change in plan_edit(store.location, action, words):
        change.make()


def bytes_of(features: FrameFeatures) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in features.arrays().items()}


@pytest.fixture(params=["zarr", "hdf5", "zarr on s3", "hdf5 on s3"])
def make(request: pytest.FixtureRequest, tmp_path: Path, recipe: Recipe, draw: Any, info: VideoInfo) -> Iterator[Make]:
    """Makes a store with these entries, each drawn by its id; of another format where that is said."""
    kind, _, remote = request.param.partition(" ")
    if remote:
        request.getfixturevalue("s3")

    def made(*ids: str, seed: int = 0, store_format: str = kind, **more: Any) -> Store:
        name = next(tempfile._get_candidate_names())  # type: ignore[attr-defined]
        location = f"s3://features/{name}" if remote else tmp_path / name
        store = create_store(location, Recipe({**recipe.fields, **more}), store_format)
        for entry_id in ids:
            mine = replace(info, fingerprint=f"{entry_id} {seed}", recipe_digest=store.recipe.digest)
            with store.writer(entry_id, mine.fingerprint) as writer:
                writer.append(features_of(draw, entry_id, seed), b"")
                writer.commit(mine)
        return store

    yield made


def features_of(draw: Any, entry_id: str, seed: int = 0) -> FrameFeatures:
    found: FrameFeatures = draw(1500, 2000, size=16, seed=sum(map(ord, entry_id)) + seed)
    return found


def assert_whole(store: Store, entry_id: str, wanted: FrameFeatures) -> None:
    assert store.verify(entry_id) == []
    assert bytes_of(store.read(entry_id)) == bytes_of(wanted)


def test_what_is_removed_is_gone_with_all_that_was_begun_of_it(make: Make, draw: Any) -> None:
    store = make("day/a.mp4", "b.mp4")
    with store.writer("c.mp4", "c") as writer:
        writer.append(draw(5, 5), b"half")
    edit(store, "remove", "day/a.mp4", "c.mp4", "c.mp4")
    again = open_store(store.location)
    assert again.ids() == ["b.mp4"]
    assert_whole(again, "b.mp4", features_of(draw, "b.mp4"))
    with again.writer("c.mp4", "c") as writer:
        assert writer.state == b"", "a removed person's half video is not gone on with"
    if not store.location.startswith("s3:"):
        left = {path.name for path in Path(store.location).rglob("*") if "b.mp4" not in path.as_posix()}
        assert left == {"store.json", ".journal", ".lock"}


def test_what_is_renamed_is_the_same_under_its_new_id(make: Make, draw: Any) -> None:
    store = make("day/a.mp4")
    before = store.info("day/a.mp4")
    edit(store, "rename", "day/a.mp4", "night/deep/b.mp4")
    again = open_store(store.location)
    assert again.ids() == ["night/deep/b.mp4"] and again.info("night/deep/b.mp4") == before
    assert_whole(again, "night/deep/b.mp4", features_of(draw, "day/a.mp4"))
    assert again.writer("day/a.mp4", "a").frames == 0


@pytest.mark.parametrize("store_format", ["zarr", "hdf5"])
def test_entries_are_copied_from_a_store_of_any_format(make: Make, draw: Any, store_format: str) -> None:
    store, other = make("a.mp4", "both.mp4"), make("x/b.mp4", "both.mp4", store_format=store_format)
    with store.writer("x/b.mp4", "x/b.mp4 0") as writer:  # an extraction that was stopped, of the same video
        writer.append(draw(7, 7, size=16), b"half")
    plan = plan_edit(store.location, "merge", [other.location])
    assert [(change.id, change.changes) for change in plan] == [("both.mp4", False), ("x/b.mp4", True)]
    for change in plan:
        change.make()
    again = open_store(store.location)
    assert again.ids() == ["a.mp4", "both.mp4", "x/b.mp4"] and again.info("x/b.mp4") == other.info("x/b.mp4")
    for entry_id in again.ids():
        assert_whole(again, entry_id, features_of(draw, entry_id))
    assert other.ids() == ["both.mp4", "x/b.mp4"], "the other store stays as it is"


def test_nothing_is_done_where_an_id_is_taken_or_the_recipe_is_another(make: Make, draw: Any) -> None:
    store, same, other = make("a.mp4", "b.mp4"), make("b.mp4", "c.mp4", seed=1), make("d.mp4", view="hflip")
    with pytest.raises(InputError, match=r"another recording as b\.mp4"):
        edit(store, "merge", same.location)
    with pytest.raises(StoreError, match='view is "hflip" there and "plain" here'):
        edit(store, "merge", other.location)
    with pytest.raises(InputError, match=r"another recording as b\.mp4"):
        edit(store, "rename", "a.mp4", "b.mp4")
    with pytest.raises(InputError, match="one name where"):
        edit(store, "rename", "a.mp4", "A.mp4")
    for action, words in (("rename", ["a.mp4"]), ("rename", ["a.mp4", "x", "y"]), ("merge", ["x", "y"])):
        with pytest.raises(InputError, match="words"):
            edit(store, action, *words)
    assert store.ids() == ["a.mp4", "b.mp4"]
    for entry_id in store.ids():
        assert_whole(store, entry_id, features_of(draw, entry_id))


def test_an_entry_that_is_being_written_is_busy(make: Make, draw: Any, info: VideoInfo) -> None:
    store, other = make("a.mp4"), make("new.mp4")
    with store.writer("a.mp4", "again", overwrite=True) as writer, store.writer("new.mp4", "n") as begun:
        begun.append(draw(3, 3), b"")
        for action, words in (
            ("remove", ["a.mp4"]), ("remove", ["new.mp4"]), ("rename", ["a.mp4", "c.mp4"]), ("merge", [other.location]),
        ):  # fmt: skip
            with pytest.raises(BusyError, match=f"being written by process {os.getpid()}"):
                edit(open_store(store.location), action, *words)
        writer.append(draw(4, 4), b"")
        writer.commit(replace(info, fingerprint="again"))
    assert_whole(store, "a.mp4", draw(4, 4))
    with store.writer("c.mp4", "c"), pytest.raises(BusyError):
        edit(store, "rename", "a.mp4", "c.mp4")
    assert store.ids() == ["a.mp4"]


@pytest.mark.parametrize("name", [*HOSTILE, *LONG])
def test_no_id_leads_out_of_the_store(name: str, make: Make) -> None:
    store = make("a.mp4", "a.mp4/b")
    for action, words in (("remove", ["a.mp4", name]), ("rename", [name, "c"]), ("rename", ["a.mp4", name])):
        with pytest.raises(InputError, match=r"holds no entry|cannot be an id"):
            edit(store, action, *words)
    assert store.ids() == ["a.mp4", "a.mp4/b"]


def test_a_reader_sees_the_whole_entry_or_none(make: Make, draw: Any) -> None:
    store, other = make("a.mp4"), make("a.mp4")
    wanted, failures, seen = bytes_of(features_of(draw, "a.mp4")), [], []

    def change() -> None:
        for _ in range(3):
            edit(store, "rename", "a.mp4", "b.mp4")
            edit(store, "rename", "b.mp4", "a.mp4")
            edit(store, "remove", "a.mp4")
            edit(store, "merge", other.location)

    thread = threading.Thread(target=change)
    thread.start()
    reader = open_store(store.location)
    while thread.is_alive():
        for name in ("a.mp4", "b.mp4"):
            try:
                seen.append(bytes_of(reader.read(name)))
            except EntryError as error:
                failures.append(error.message)
    thread.join()
    assert seen and all(found == wanted for found in seen)
    assert all("holds no entry" in failure for failure in failures), set(failures)
    assert_whole(store, "a.mp4", features_of(draw, "a.mp4"))


def test_who_has_an_entry_open_reads_it_to_its_end(tmp_path: Path, recipe: Recipe, draw: Any, info: VideoInfo) -> None:
    for store_format in ("zarr", "hdf5"):
        store = create_store(tmp_path / store_format, recipe, store_format)
        with store.writer("a.mp4", info.fingerprint) as writer:
            writer.append(features_of(draw, "a.mp4"), b"")
            writer.commit(info)
        blobs, entry_format = store.blobs, store._format  # type: ignore[attr-defined]
        for action, words in (("rename", ["a.mp4", "b.mp4"]), ("remove", ["b.mp4"])):
            with blobs.hold(store.key(words[0])) as held:  # type: ignore[attr-defined]
                head = store._head(entry_format.head(held))  # type: ignore[attr-defined]
                with entry_format.reader(held, head) as reader:
                    edit(store, action, *words)
                    if action == "rename" or store_format == "hdf5":  # of a folder, the files are gone: an error
                        found = reader.read("values", 0, 2000)
                        assert found.tobytes() == features_of(draw, "a.mp4").values.tobytes()


@pytest.fixture
def local(tmp_path: Path, recipe: Recipe, draw: Any, info: VideoInfo) -> Callable[..., Store]:
    """A store in a folder, in Zarr."""

    def made(name: str, *ids: str) -> Store:
        store = create_store(tmp_path / name, recipe)
        for entry_id in ids:
            mine = replace(info, fingerprint=entry_id)
            with store.writer(entry_id, entry_id) as writer:
                writer.append(features_of(draw, entry_id), b"")
                writer.commit(mine)
        return store

    return made


def test_a_plan_changes_nothing(local: Callable[..., Store]) -> None:
    store, other = local("store", "a.mp4"), local("other", "b.mp4")
    before = tree(store)
    for action, words in (("remove", ["a.mp4"]), ("rename", ["a.mp4", "c"]), ("merge", [other.location])):
        plan = plan_edit(store.location, action, words, dry_run=True)
        assert [type(change) for change in plan] == [Change] and tree(store) == before


def test_a_damaged_entry_is_removed_and_never_copied(local: Callable[..., Store]) -> None:
    store, other = local("store", "a.mp4"), local("other", "b.mp4", "c.mp4")
    for damaged, name in ((store, "a.mp4"), (other, "b.mp4")):
        next(item for item in Path(damaged.location, f"{name}.zarr", "values").rglob("0") if item.is_file()).unlink()
    broken, sound = plan_edit(store.location, "merge", [other.location])
    with pytest.raises(EntryError, match=r"damaged|missing"):
        broken.make()
    sound.make()
    assert store.ids() == ["a.mp4", "c.mp4"] and store.verify("c.mp4") == []
    edit(store, "remove", "a.mp4")
    assert store.ids() == ["c.mp4"]


def test_a_copy_does_not_make_a_damaged_entry_look_sound(local: Callable[..., Store]) -> None:
    store, other = local("store"), local("other", "b.mp4", "c.mp4")
    one, two = (next(Path(other.location, f"{name}.mp4.zarr", "score", "c").iterdir()) for name in "bc")
    shutil.copy(two, one)  # whole, with its own checksum, and of another video
    broken, _ = plan_edit(store.location, "merge", [other.location])
    with pytest.raises(EntryError, match=r"b\.mp4"):
        broken.make()
    assert store.ids() == []


def test_nothing_is_changed_through_a_link(local: Callable[..., Store], tmp_path: Path) -> None:
    store, away = local("store", "a.mp4"), local("away", "b.mp4", "deep/c.mp4")
    before = tree(away)
    Path(store.location, "b.mp4.zarr").symlink_to(Path(away.location, "b.mp4.zarr"))
    Path(store.location, "deep").symlink_to(Path(away.location, "deep"))
    with pytest.raises(EntryError, match="symbolic link"):
        edit(store, "rename", "b.mp4", "x.mp4")
    for action, words in (
        ("rename", ["deep/c.mp4", "x.mp4"]), ("rename", ["a.mp4", "deep/x.mp4"]), ("remove", ["deep/c.mp4"]),
    ):  # fmt: skip
        with pytest.raises((EntryError, InputError, StoreError)):
            edit(store, action, *words)
    edit(store, "remove", "b.mp4")
    assert tree(away) == before and store.ids() == ["a.mp4"]
    shutil.rmtree(tmp_path / "away")


# Every step that changes something on disk, or in the bucket, and the process is gone right before the one of a number.
DIES = """
import os, shutil, signal, sys
import obstore
left = int(sys.argv[1])
def counting(step):
    def stepped(*words, **more):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*words, **more)
    return stepped
for place, names in ((os, ("replace", "rename", "unlink", "rmdir")), (obstore, ("put", "copy", "delete"))):
    for name in names:
        setattr(place, name, counting(getattr(place, name)))
from affect.cache.edit import plan_edit
for change in plan_edit(sys.argv[2], sys.argv[3], sys.argv[4:]):
    change.make()
"""


Killed = Callable[..., bool]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    """Whether it was, as in `killed(step, store, action, *words)`; else it had come to its end."""
    forks = Forks(
        tmp_path_factory.mktemp("forks"), ["obstore", "affect.cache.edit", "affect.cache.zarr_format", "h5py"]
    )

    def run(step: int, store: Store, action: str, *words: str) -> bool:
        code = forks.run(DIES, "edit", step, store.location, action, *words)
        assert code in (0, -signal.SIGKILL), forks.said
        return code != 0

    yield run
    forks.close()


def strides(store: Store, *, zarr: int, zarr_on_s3: int) -> range:
    """The steps at which a call is killed: each of them, or some where an entry has many files."""
    remote = store.location.startswith("s3:")
    return range(0, 1000, 1 if store.format == "hdf5" else zarr_on_s3 if remote else zarr)


def test_killed_at_any_step_a_rename_leaves_the_entry_whole_under_one_of_its_names(
    make: Make, killed: Killed, draw: Any
) -> None:
    wanted, store = features_of(draw, "a.mp4"), make()
    remote = store.location.startswith("s3:")
    for step in strides(store, zarr=1, zarr_on_s3=5):
        store = make("a.mp4")
        died = killed(step, store, "rename", "a.mp4", "b.mp4")
        again = open_store(store.location)
        assert again.ids() in [["a.mp4"], ["b.mp4"], *([["a.mp4", "b.mp4"]] if remote else [])]
        for entry_id in again.ids():
            assert_whole(again, entry_id, wanted)
        if "a.mp4" in again.ids():
            edit(again, "rename", "a.mp4", "b.mp4")
        assert again.ids() == ["b.mp4"]
        assert_whole(again, "b.mp4", wanted)
        if not died:
            return
    pytest.fail("it never ends")


def test_killed_at_any_step_a_merge_leaves_whole_entries_and_the_same_call_ends_it(
    make: Make, killed: Killed, draw: Any
) -> None:
    other = make("a.mp4", "b.mp4")
    for step in strides(other, zarr=11, zarr_on_s3=29):
        store = make()
        died = killed(step, store, "merge", other.location)
        for entry_id in open_store(store.location).ids():
            assert_whole(store, entry_id, features_of(draw, entry_id))
        edit(store, "merge", other.location)
        assert store.ids() == ["a.mp4", "b.mp4"]
        for entry_id in store.ids():
            assert_whole(store, entry_id, features_of(draw, entry_id))
        if not died:
            return
    pytest.fail("it never ends")


def test_killed_at_any_step_a_removal_is_ended_by_the_same_call(make: Make, killed: Killed, draw: Any) -> None:
    for step in strides(make(), zarr=3, zarr_on_s3=1):
        store = make("a.mp4", "b.mp4")
        died = killed(step, store, "remove", "a.mp4")
        again = open_store(store.location)
        if "a.mp4" in again.ids():
            assert_whole(again, "a.mp4", features_of(draw, "a.mp4"))
            edit(again, "remove", "a.mp4")
        else:
            try:
                edit(again, "remove", "a.mp4")
            except InputError as error:
                assert "holds no entry" in error.message  # nothing was left of it
        assert again.ids() == ["b.mp4"]
        if not store.location.startswith("s3:"):
            rest = {name for name in tree(again) if not name.startswith("b.mp4.")}
            assert rest == {"store.json"}, "no bytes of whom was removed stay behind"
        if not died:
            return
    pytest.fail("it never ends")


def test_all_arrays_are_copied() -> None:
    assert set(FrameFeatures.__dataclass_fields__) == set(ALL_DTYPES)
