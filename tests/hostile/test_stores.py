"""Stores by mail from strangers: whatever lies in them, one entry fails with a word and the others go on.

A seal is no signature: whoever changes an entry can seal it again, as all that is changed here is.
"""

import copy
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import h5py
import numcodecs  # type: ignore[import-untyped]
import numpy as np
import pytest

from affect.cache import Store, create_store, open_store
from affect.cache.checked import parsed
from affect.cache.json_files import read_json
from affect.cache.records import DTYPES, FrameFeatures, Recipe, VideoInfo
from affect.errors import EntryError, RunError, StoreError, UnreadableError, VideoError
from affect.pipeline.extract.inspect import inspect_store
from affect.stages.features.blocks import Progress

Json = Any
RECIPE = Recipe({"view": "plain", "sample_fps": 3.125})
FORMATS = ["zarr", "hdf5"]


def features(frames: int = 40, rows: int = 50, size: int = 8) -> FrameFeatures:
    generator = np.random.default_rng(frames)
    return FrameFeatures(
        np.arange(frames) / 3.0, np.arange(frames), np.zeros(frames, np.uint8),
        generator.standard_normal((rows, size)).astype(np.float16), np.sort(generator.integers(0, frames, rows)),
        np.zeros(rows, np.int32), np.sort(generator.random((rows, 4), np.float32)),
        generator.random(rows, np.float32), generator.random((rows, 5, 2), np.float32),
    )  # fmt: skip


def info() -> VideoInfo:
    return VideoInfo(
        RECIPE.digest, "f" * 64, 1, 1, 40, 40, 13.3, 25.0, 64, 48, 0, "h264", persons={0: 0}, warnings=("w",),
        versions={"av": "1"},
    )  # fmt: skip


def make(location: Path, store_format: str) -> Store:
    store = create_store(location, RECIPE, store_format)
    for name in ("a.mp4", "b.mp4"):
        with store.writer(name, info().fingerprint) as writer:
            writer.append(features(), b"")
            writer.commit(info())
    return store


@pytest.fixture(params=FORMATS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return make(tmp_path / "store", request.param)


@pytest.fixture
def zarr_store(tmp_path: Path) -> Store:
    return make(tmp_path / "store", "zarr")


@pytest.fixture
def hdf5_store(tmp_path: Path) -> Store:
    return make(tmp_path / "store", "hdf5")


def entry_of(store: Store, name: str = "a.mp4") -> Path:
    return next(Path(store.location).glob(f"{name}.*"))


def sealed(attributes: dict[str, Json]) -> dict[str, Json]:
    plain = {name: value for name, value in attributes.items() if name != "attributes_sha256"}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return {**plain, "attributes_sha256": hashlib.sha256(text.encode()).hexdigest()}


def attributes_in(entry: Path) -> dict[str, Json]:
    if entry.is_dir():
        return dict(json.loads((entry / "zarr.json").read_text())["attributes"])
    return dict(json.loads(entry.read_bytes().partition(b"\n")[0]))


def put_attributes(entry: Path, attributes: dict[str, Json]) -> None:
    """In a Zarr entry as they are; in the user block of an HDF5 one as far as there is room."""
    if entry.is_dir():
        root = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        (entry / "zarr.json").write_text(json.dumps(root, indent=1))
        return
    data = entry.read_bytes()
    begin = data.index(b"\x89HDF\r\n\x1a\n")
    line = json.dumps(attributes).encode() + b"\n"
    if len(line) > begin:
        pytest.skip("these attributes do not fit into the user block")
    entry.write_bytes(line.ljust(begin, b"\0") + data[begin:])


def change(store: Store, edit: Callable[[dict[str, Json]], object]) -> None:
    attributes = attributes_in(entry_of(store))
    edit(attributes)
    put_attributes(entry_of(store), sealed(attributes))


def assert_one_is_refused(store: Store, word: str = "is damaged") -> None:
    """The first entry is refused wherever it is read, the second stands, and a look at the store goes on."""
    again = open_store(store.location)
    (first, second) = again.entries(["a.mp4", "b.mp4"], tuple(DTYPES))
    assert isinstance(first, EntryError), first
    assert word in first.message
    assert len(first.message) < 1000
    assert not isinstance(second, EntryError)
    assert again.verify("b.mp4") == []
    report = inspect_store(store.location, verify=True)
    assert set(report.damaged) == {"a.mp4"}
    assert [video.id for video in report.videos] == ["b.mp4"]
    with pytest.raises(EntryError):
        again.read("a.mp4")
    with pytest.raises(EntryError):
        again.read_values("a.mp4", 0, 5)


def in_a_small_process(store: Store) -> None:
    """As `assert_one_is_refused`, in a child that may not take much more memory than it has, nor long."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(20)
            has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (has + (1 << 30), resource.RLIM_INFINITY))
            again = open_store(store.location)
            first, second = again.entries(["a.mp4", "b.mp4"], tuple(DTYPES))
            assert isinstance(first, EntryError) and not isinstance(second, EntryError), first
            try:
                assert again.verify("a.mp4")
            except UnreadableError as error:
                assert "symbolic link" in error.message
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


EDITS: dict[str, Callable[[dict[str, Json]], object]] = {
    "no rows in a chunk": lambda said: said["arrays"]["frames/time_s"].update(chunk_rows=0),
    "rows in a chunk below none": lambda said: said["arrays"]["frame"].update(chunk_rows=-5),
    "another cut into chunks": lambda said: said["arrays"]["frame"].update(chunk_rows=7),
    "a length below none": lambda said: said["arrays"]["frames/time_s"].update(shape=[-3]),
    "a length that is no number": lambda said: said["arrays"]["frames/time_s"].update(shape=["40"]),
    "a truth for a length": lambda said: said["arrays"]["values"].update(shape=[True, 8]),
    "more dimensions": lambda said: said["arrays"]["values"].update(shape=[50, 8, 1]),
    "a million times a million rows": lambda said: [
        said["arrays"][name].update(shape=[10**12, *said["arrays"][name]["shape"][1:]], chunk_rows=131072)
        for name in said["arrays"]
    ],
    "rows that do not agree": lambda said: said["arrays"]["track"].update(shape=[49], chunk_rows=49),
    "objects for numbers": lambda said: said["arrays"]["values"].update(dtype="object"),
    "another kind of number": lambda said: said["arrays"]["score"].update(dtype="float64"),
    "no arrays": lambda said: said.pop("arrays"),
    "arrays that are a list": lambda said: said.update(arrays=[1, 2]),
    "an array less": lambda said: said["arrays"].pop("track"),
    "an array more": lambda said: said["arrays"].update({"../../x": said["arrays"]["track"]}),
    "no width": lambda said: said.pop("width_px"),
    "a width that is text": lambda said: said.update(width_px="64"),
    "a height below none": lambda said: said.update(height_px=-1),
    "a duration that is no number": lambda said: said.update(duration_s=float("nan")),
    "a rate without end": lambda said: said.update(average_fps=float("inf")),
    "a codec that is a mapping": lambda said: said.update(codec={"x": [1]}),
    "people that are a list": lambda said: said.update(persons=[1]),
    "a person that is text": lambda said: said.update(persons={"0": "x"}),
    "a track that is text": lambda said: said.update(persons={"x": 0}),
    "a track of another alphabet": lambda said: said.update(persons={"\u0661": 0}),
    "a person larger than numbers are": lambda said: said.update(persons={"0": 10**30}),
    "warnings that are text": lambda said: said.update(warnings="w"),
    "a warning that is none": lambda said: said.update(warnings=[None]),
    "versions that are numbers": lambda said: said.update(versions={"av": 18}),
    "a version of the entry that is text": lambda said: said.update(entry_version="1"),
    "a version of the entry that is none": lambda said: said.update(entry_version=None),
    "a version of the entry below the first": lambda said: said.update(entry_version=0),
    "a recipe that is no digest": lambda said: said.update(recipe_digest=[["x"]]),
    "an attribute that nobody knows": lambda said: said.update(run="runpy:run_path"),
    "frames below none": lambda said: said.update(decoded_frames=-7),
    "truth in words": lambda said: said.update(cut_short="yes"),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_entry_that_says_what_cannot_be_is_one_entry_less(store: Store, what: str) -> None:
    change(store, EDITS[what])
    assert_one_is_refused(store)


def test_an_entry_nested_too_deeply_is_one_entry_less(store: Store) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    entry = entry_of(store)
    file = entry / "zarr.json" if entry.is_dir() else entry
    file.write_text(f'{{"zarr_format": 3, "node_type": "group", "attributes": {{"x": {deep}}}}}\n')
    assert_one_is_refused(store)


def test_an_entry_nested_as_deeply_as_it_can_be_parsed_is_one_entry_less(store: Store) -> None:
    value: Json = 1
    for _ in range(300):
        value = [value]
    change(store, lambda said: said.update(warnings=value))
    assert_one_is_refused(store)


def mutate(value: Json, generator: random.Random, depth: int = 0) -> Json:
    """The value with something in it changed into something else."""
    if isinstance(value, dict) and value and (depth == 0 or generator.random() < 0.9):
        key = generator.choice(sorted(value))
        return {**value, key: mutate(value[key], generator, depth + 1)}
    if isinstance(value, list) and value and generator.random() < 0.8:
        place = generator.randrange(len(value))
        return [*value[:place], mutate(value[place], generator, depth + 1), *value[place + 1 :]]
    strange: list[Json] = [
        None, True, -1, 0, 1, 2**31, 2**63, 10**40, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "x", "../..",
        "\x1b]0;x\x07", "\ud800", [], {}, [[]], {"": []}, "9" * 5000, [0] * 1000,
    ]  # fmt: skip
    return copy.deepcopy(generator.choice(strange))


def assert_mutations_are_harmless(store: Store, generator: random.Random, count: int) -> None:
    original = attributes_in(entry_of(store))
    wanted = store.read("a.mp4")
    file = entry_of(store) if entry_of(store).is_file() else entry_of(store) / "zarr.json"
    pristine = file.read_bytes()
    for number in range(count):
        changed = mutate(original, generator)
        if len(json.dumps(changed)) > 3500 and store.format == "hdf5":
            continue
        put_attributes(entry_of(store), sealed(changed))
        try:
            found = open_store(store.location).read("a.mp4")
            assert all(getattr(found, name).tobytes() == getattr(wanted, name).tobytes() for name in DTYPES), number
        except EntryError:
            pass
        inspect_store(store.location, verify=True)
        file.write_bytes(pristine)


def test_whatever_is_changed_in_attributes_ends_in_our_error_or_in_the_same_numbers(store: Store) -> None:
    assert_mutations_are_harmless(store, random.Random(5), 100)


@pytest.mark.stress
def test_a_thousand_changes_of_attributes_end_in_our_error_or_in_the_same_numbers(store: Store) -> None:
    assert_mutations_are_harmless(store, random.Random(6), 1000)


def test_whatever_is_changed_in_the_description_of_a_store_ends_in_our_error(tmp_path: Path) -> None:
    create_store(tmp_path / "store", RECIPE)
    path, generator = tmp_path / "store" / "store.json", random.Random(7)
    original = json.loads(path.read_text())
    for _ in range(200):
        changed = mutate(original, generator)
        if isinstance(changed.get("recipe"), dict):
            text = json.dumps(changed["recipe"], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
            changed["digest"] = hashlib.sha256(text.encode()).hexdigest()
        path.write_text(json.dumps(changed))
        try:
            assert open_store(tmp_path / "store").ids() == []
        except StoreError as error:
            assert len(error.message) < 1000


@pytest.mark.parametrize("text", ["[" * 100_000, '{"recipe": ' + "[" * 900 + "]" * 900 + "}", "\xff", "9" * 5000])
def test_a_description_of_a_store_that_cannot_be_parsed_is_our_error(tmp_path: Path, text: str) -> None:
    create_store(tmp_path / "store", RECIPE)
    (tmp_path / "store" / "store.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(StoreError, match=r"store\.json"):
        open_store(tmp_path / "store")


def redescribe(entry: Path, name: str, edit: Callable[[dict[str, Json]], object]) -> None:
    """Another description of an array, under a digest that is its own."""
    path = entry / name / "zarr.json"
    said = json.loads(path.read_text())
    edit(said)
    path.write_text(json.dumps(said, indent=2))
    attributes = attributes_in(entry)
    attributes["metadata_sha256"][f"{name}/zarr.json"] = hashlib.sha256(path.read_bytes()).hexdigest()
    put_attributes(entry, sealed(attributes))


DESCRIPTIONS: dict[str, tuple[str, Callable[[dict[str, Json]], object]]] = {
    "bytes without a checksum": (
        "values", lambda said: said.update(codecs=[{"name": "bytes", "configuration": {"endian": "little"}}]),
    ),
    "a codec that nobody knows": ("values", lambda said: said.update(codecs=[{"name": "numcodecs.pickle"}])),
    "another codec in a small array": ("frames/time_s", lambda said: said["codecs"].pop(1)),
    "other keys of chunks": ("track", lambda said: said["chunk_key_encoding"].update(name="v2")),
    "another fill value": ("values", lambda said: said.update(fill_value=1.0)),
    "other chunks": ("frame", lambda said: said["chunk_grid"]["configuration"].update(chunk_shape=[25])),
    "attributes of its own": ("score", lambda said: said.update(attributes={"x": 1})),
    "a transformer": ("values", lambda said: said.update(storage_transformers=[{"name": "x"}])),
}  # fmt: skip


@pytest.mark.parametrize("what", DESCRIPTIONS)
def test_an_array_described_otherwise_than_our_writer_does_is_refused_at_every_read(
    zarr_store: Store, what: str
) -> None:
    name, edit = DESCRIPTIONS[what]
    redescribe(entry_of(zarr_store), name, edit)
    with pytest.raises(EntryError, match="is damaged"):
        open_store(zarr_store.location).entry("a.mp4", [name.rpartition("/")[2]])
    assert_refused_by_a_look(zarr_store)


def assert_refused_by_a_look(store: Store) -> None:
    report = inspect_store(store.location, verify=True)
    assert set(report.damaged) == {"a.mp4"}
    assert [video.id for video in report.videos] == ["b.mp4"]


def test_a_description_changed_without_its_digest_is_refused_at_every_read(zarr_store: Store) -> None:
    path = entry_of(zarr_store) / "frames" / "time_s" / "zarr.json"
    path.write_text(path.read_text().replace('"fill_value": 0.0', '"fill_value": 1.0'))
    with pytest.raises(EntryError, match="time_s"):
        open_store(zarr_store.location).entry("a.mp4", ["time_s"])


class _Pickled:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, ("pwned",)


def test_a_pickle_in_a_zarr_array_of_the_second_format_never_runs(
    zarr_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if hasattr(numcodecs.pickles, "ALLOW_UNSAFE_PICKLE_DECODE"):  # as releases before 0.16.6 were
        monkeypatch.setattr(numcodecs.pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True)
    entry = entry_of(zarr_store)
    shutil.rmtree(entry / "values" / "c")
    (entry / "values" / "zarr.json").unlink()
    (entry / "values" / ".zarray").write_text(
        json.dumps({
            "zarr_format": 2, "shape": [50, 8], "chunks": [50, 8], "dtype": "|O", "fill_value": None, "order": "C",
            "filters": [{"id": "pickle"}], "compressor": None,
        })
    )  # fmt: skip
    (entry / "values" / "0.0").write_bytes(numcodecs.Pickle().encode(np.array([_Pickled()], dtype=object)))
    change(zarr_store, lambda said: said["arrays"]["values"].update(dtype="object"))
    assert_one_is_refused(zarr_store)
    change(zarr_store, lambda said: said["arrays"]["values"].update(dtype="float16"))
    assert_one_is_refused(zarr_store)
    assert not (tmp_path / "pwned").exists()


def with_crc(data: bytes) -> bytes:
    return data + int(google_crc32c.value(data)).to_bytes(4, "little")


def test_a_chunk_that_says_it_is_larger_than_the_layout_is_not_unpacked(zarr_store: Store) -> None:
    chunk = entry_of(zarr_store) / "frame" / "c" / "0"
    packed = bytearray(chunk.read_bytes()[:-4])
    struct.pack_into("<I", packed, 4, 2**31 - 1)
    chunk.write_bytes(with_crc(bytes(packed)))
    in_a_small_process(zarr_store)
    with pytest.raises(EntryError, match="says 2147483647 bytes"):
        zarr_store.entry("a.mp4", ["frame"])


@pytest.mark.parametrize("field", range(16))
def test_a_header_of_a_chunk_is_what_our_writer_makes_or_refused(zarr_store: Store, field: int) -> None:
    chunk, wanted = entry_of(zarr_store) / "frame" / "c" / "0", zarr_store.read("a.mp4").frame
    packed = bytearray(chunk.read_bytes()[:-4])
    for value in (0, 1, 0x7F, 0xFF):
        changed = packed.copy()
        changed[field] = value
        chunk.write_bytes(with_crc(bytes(changed)))
        try:
            assert zarr_store.entry("a.mp4", ["frame"]).arrays["frame"].tolist() == wanted.tolist()
        except EntryError as error:
            assert "is damaged: frame" in error.message


def test_a_shard_whose_index_leads_elsewhere_is_refused(zarr_store: Store) -> None:
    shard = entry_of(zarr_store) / "values" / "c" / "0" / "0"
    data = shard.read_bytes()
    for offset, length in [(2**64 - 1, 2**64 - 1), (0, 2**40), (len(data) - 30, 804), (2**63, 804)]:
        shard.write_bytes(data[:-20] + with_crc(struct.pack("<QQ", offset, length)))
        with pytest.raises(EntryError, match="lies outside it"):
            zarr_store.read("a.mp4")
    shard.write_bytes(data + data[-20:])
    with pytest.raises(EntryError, match=r"has \d+ bytes"):
        zarr_store.read("a.mp4")


BOMBS: dict[str, Callable[[Path], object]] = {
    "a link to a device that never ends": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": os.mkfifo,
    "forty gigabytes of nothing": lambda path: path.open("wb").truncate(40 << 30),
    "a folder": Path.mkdir,
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to itself": lambda path: path.symlink_to(path),
}


@pytest.mark.parametrize("name", ["zarr.json", "values/zarr.json", "frames/time_s/c/0", "values/c/0/0", "track/c"])
@pytest.mark.parametrize("what", BOMBS)
def test_what_is_no_file_of_an_entry_is_refused_at_once(zarr_store: Store, name: str, what: str) -> None:
    path = entry_of(zarr_store) / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if (name, what) == ("track/c", "a folder"):
        return  # an empty one; its chunk is missing
    BOMBS[what](path)
    in_a_small_process(zarr_store)


@pytest.mark.parametrize("what", BOMBS)
def test_what_is_no_file_of_an_hdf5_store_is_refused_at_once(hdf5_store: Store, what: str) -> None:
    path = entry_of(hdf5_store)
    path.unlink()
    BOMBS[what](path)
    in_a_small_process(hdf5_store)


@pytest.mark.parametrize("what", BOMBS)
def test_what_is_no_description_of_a_store_is_refused_at_once(zarr_store: Store, what: str) -> None:
    path = Path(zarr_store.location) / "store.json"
    path.unlink()
    BOMBS[what](path)
    with pytest.raises(StoreError, match=r"store\.json"):
        open_store(zarr_store.location)
    with pytest.raises(StoreError):
        create_store(zarr_store.location, RECIPE)
    assert not (path.parent / "nothing").exists()


def test_an_endless_user_block_is_refused_at_once(hdf5_store: Store) -> None:
    path = entry_of(hdf5_store)
    path.write_bytes(b"{")
    os.truncate(path, 40 << 30)
    in_a_small_process(hdf5_store)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the user's, of which no byte may show."""
    path = tmp_path / "secret.txt"
    path.write_bytes(b"PATIENT " * 100)
    return path


def _external(file: h5py.File, secret: Path) -> None:
    del file["track"]
    file.create_dataset("track", (50,), np.int32, external=[(str(secret), 0, 200)])


def _external_link(file: h5py.File, secret: Path) -> None:
    with h5py.File(secret.with_suffix(".h5"), "w", libver=("v110", "v110")) as other:
        plan = {"chunks": (50,), "fletcher32": True, "compression": "gzip", "compression_opts": 4, "shuffle": True}
        other.create_dataset("track", data=np.full(50, 7, np.int32), **plan)
    del file["track"]
    file["track"] = h5py.ExternalLink(str(secret.with_suffix(".h5")), "track")


def _soft_link(file: h5py.File, secret: Path) -> None:
    file["elsewhere"] = file["track"]
    del file["track"]
    file["track"] = h5py.SoftLink("/elsewhere")


def _linked_group(file: h5py.File, secret: Path) -> None:
    file["elsewhere"] = file["frames"]
    del file["frames"]
    file["frames"] = h5py.SoftLink("/elsewhere")


def _virtual(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout((50,), np.int32)
    layout[:] = h5py.VirtualSource(str(secret.with_suffix(".h5")), "track", (50,))
    del file["track"]
    file.create_virtual_dataset("track", layout)


def _unchecked(file: h5py.File, secret: Path) -> None:
    del file["track"]
    file.create_dataset("track", data=np.zeros(50, np.int32), chunks=(50,))


def _contiguous(file: h5py.File, secret: Path) -> None:
    del file["values"]
    file.create_dataset("values", data=np.zeros((50, 8), np.float16))


def _scaled(file: h5py.File, secret: Path) -> None:
    del file["track"]
    file.create_dataset("track", data=np.zeros(50, np.int32), chunks=(50,), scaleoffset=4)


def _growing(file: h5py.File, secret: Path) -> None:
    del file["values"]
    values = np.zeros((50, 8), np.float16)
    file.create_dataset("values", data=values, maxshape=(None, 8), chunks=(50, 8), fletcher32=True)


def _other_type(file: h5py.File, secret: Path) -> None:
    del file["values"]
    file.create_dataset("values", data=np.zeros((50, 8), ">f2"), chunks=(50, 8), fletcher32=True)


def _group(file: h5py.File, secret: Path) -> None:
    del file["values"]
    file.create_group("values")


def _skipped_filter(file: h5py.File, secret: Path) -> None:
    file["values"].id.write_direct_chunk((0, 0), b"\x3c\x00" * 400, filter_mask=1)


def _bomb(file: h5py.File, secret: Path) -> None:
    pack = zlib.compressobj(1)
    packed = b"".join([*(pack.compress(bytes(1 << 24)) for _ in range(80)), pack.flush()])
    file["track"].id.write_direct_chunk((0,), bytes(numcodecs.fletcher32.Fletcher32().encode(packed)), filter_mask=0)


def _attribute(file: h5py.File, secret: Path) -> None:
    file["track"].attrs["x"] = np.zeros(1000)


HDF5_TRICKS = [
    _external, _external_link, _soft_link, _linked_group, _virtual, _unchecked, _contiguous, _scaled, _growing,
    _other_type, _group, _skipped_filter, _bomb, _attribute,
]  # fmt: skip


@pytest.mark.parametrize("trick", HDF5_TRICKS, ids=lambda trick: trick.__name__.strip("_"))
def test_an_hdf5_entry_of_other_datasets_than_our_writer_makes_is_refused(
    hdf5_store: Store, secret: Path, trick: Callable[[h5py.File, Path], None]
) -> None:
    with h5py.File(entry_of(hdf5_store), "r+") as file:
        trick(file, secret)
    found = open_store(hdf5_store.location).verify("a.mp4")
    assert found
    assert not any(str(number) in str(found) for number in np.frombuffer(secret.read_bytes()[:8], np.int32))
    in_a_small_process(hdf5_store)


def _stretch(said: dict[str, Json], rows: int) -> None:
    from affect.cache.layout import specs_of

    for spec in specs_of(40, rows, 8).values():
        said["arrays"][spec.path].update(shape=list(spec.shape), chunk_rows=spec.chunk_rows)


@pytest.mark.parametrize("rows", [10**5, 10**9, 10**12])
def test_rows_that_no_file_holds_are_refused_at_once(store: Store, rows: int) -> None:
    change(store, lambda said: _stretch(said, rows))
    in_a_small_process(store)


STATES = [b"x", b"[]", b"[1, 2, 3]", b"null", b"[" * 100_000, b'[2, "9", 0, null]', b"[2, 9, 0, 5]", b"\xff", b"{}"]


@pytest.mark.parametrize("state", STATES, ids=range(len(STATES)))
def test_the_state_of_a_journal_that_is_none_of_ours_fails_one_video(state: bytes) -> None:
    with pytest.raises(VideoError, match="none of ours"):
        Progress.from_bytes(state)


def test_a_root_that_names_descriptions_elsewhere_is_refused(zarr_store: Store, secret: Path) -> None:
    digest = hashlib.sha256(secret.read_bytes()).hexdigest()
    change(zarr_store, lambda said: said["metadata_sha256"].update({"../../secret.txt": digest}))
    assert_one_is_refused(zarr_store, "descriptions of its arrays")


@pytest.mark.parametrize("text", ['{"a": "\\ud800"}', '{"\\uDFFF": 1}', '{"a": ["x\\ud83dy"]}'])
def test_half_a_surrogate_pair_is_refused_where_it_is_read(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        parsed(text.encode())
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(RunError, match="damaged"):
        read_json(tmp_path / "metrics.json")
    assert parsed(b'{"a": "\\ud83d\\ude00"}') == {"a": "\N{GRINNING FACE}"}
