"""What cannot be read now is not damaged: it is told apart, listed, and never replaced."""

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affect.cache import Store, create_store, open_store
from affect.cache.records import Recipe, VideoInfo
from affect.errors import BusyError, EntryError, InputError, UnreadableError
from affect.pipeline.events import VideoOutcome
from affect.pipeline.extract.extract import extract_into
from affect.pipeline.extract.inspect import inspect_store
from affect.pipeline.extract.plan import Todo, plan, plan_only
from affect.pipeline.extract.videos import Source, find_videos
from affect.pipeline.terminal import text
from affect.stages.features.fingerprint import fingerprint
from affect.stages.temporal.feature_table import FeatureTable

FORMATS = ["zarr", "hdf5"]
NAMES = ("a.mp4", "b.mp4", "visit/c.mp4")
NOBODY = 65534


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that another user may enter, too."""
    folder = Path(tempfile.mkdtemp(prefix="affect-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=FORMATS)
def store(request: pytest.FixtureRequest, place: Path, recipe: Recipe, draw: Any, info: VideoInfo) -> Store:
    """Three entries, and beside the store the videos that they are of."""
    from dataclasses import replace

    store = create_store(place / "store", recipe, request.param)
    for number, name in enumerate(NAMES):
        video = place / "videos" / name
        video.parent.mkdir(parents=True, exist_ok=True)
        video.write_bytes(name.encode())
        stat = video.stat()
        about = replace(
            info, fingerprint=fingerprint(video), file_bytes=stat.st_size, file_mtime_ns=stat.st_mtime_ns, persons={}
        )
        with store.writer(name, about.fingerprint) as writer:
            writer.append(draw(20, 30, seed=number), b"")
            writer.commit(about)
    return store


def sources(place: Path) -> list[Source]:
    return [Source(place / "videos" / name, name) for name in NAMES]


def inner(store: Store, name: str = "a.mp4") -> Path:
    """A file of an entry."""
    path = next(Path(store.location).glob(f"{name}.*"))
    return path / "values" / "c" / "0" / "0" if path.is_dir() else path


def as_another_user(act: Callable[[], Any]) -> Any:
    """What `act` gives, as JSON has it, in a child of this process without any rights of its own."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            os.write(write, json.dumps(act()).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        data = file.read()
    assert os.waitpid(pid, 0)[1] == 0
    return json.loads(data)


def told(act: Callable[[], object]) -> list[str]:
    try:
        act()
    except EntryError as error:
        return [type(error).__name__, error.message, str(error.hint)]
    return []


def outcomes(store: Store, place: Path, *, verify: bool) -> dict[str, list[str]]:
    """Id -> what a run would do with it."""
    found = {}
    for step in plan(store, sources(place), overwrite=False, verify=verify):
        if isinstance(step, VideoOutcome):
            found[step.id] = [step.status, step.reason]
        else:
            found[step.source.id] = ["todo", ""]
    return found


@pytest.mark.parametrize("verify", [False, True])
def test_an_entry_without_the_right_to_read_it_is_listed_and_kept(store: Store, place: Path, verify: bool) -> None:
    path = inner(store) if verify or store.format == "hdf5" else inner(store).parents[3] / "zarr.json"
    before = path.stat().st_ino
    path.chmod(0)
    again = open_store(store.location)
    kind, message, hint = as_another_user(lambda: told(lambda: again.read("a.mp4")))
    assert kind == "UnreadableError"
    assert "cannot be read now (Permission denied); nothing is known to be wrong with it" in message
    assert "right to read" in hint
    found = as_another_user(lambda: outcomes(again, place, verify=verify))
    assert found["a.mp4"][0] == "failed"
    assert "cannot be read now (Permission denied)" in found["a.mp4"][1]
    assert [found[name][0] for name in NAMES[1:]] == ["skipped", "skipped"]
    report = as_another_user(
        lambda: [
            list((seen := inspect_store(store.location, verify=True)).unreadable),
            list(seen.damaged),
            [video.id for video in seen.videos],
            text.of_store(seen, verified=True, tracks=False).failures,
        ]
    )
    assert report[:3] == [["a.mp4"], [], list(NAMES[1:])]
    assert "cannot be read now: a.mp4: " in report[3][0]
    assert "replaces none of them" in report[3][1]
    assert not any("extracts them again" in line for line in report[3])
    assert path.stat().st_ino == before


def test_a_folder_of_a_store_without_the_right_to_list_it_is_listed_by_its_name(store: Store, place: Path) -> None:
    folder = Path(store.location) / "visit"
    folder.chmod(0)
    again = open_store(store.location)
    assert as_another_user(again.ids) == ["a.mp4", "b.mp4", "visit"]
    kind, message, _ = as_another_user(lambda: told(lambda: again.info("visit")))
    assert kind == "UnreadableError"
    assert "visit cannot be read now (Permission denied)" in message
    assert as_another_user(lambda: told(lambda: again.writer("visit/c.mp4", "f")))[0] == "UnreadableError"
    assert as_another_user(lambda: list(inspect_store(store.location).unreadable)) == ["visit"]
    folder.chmod(0o755)


@pytest.mark.parametrize(
    "number", [errno.EIO, errno.ESTALE, errno.ENOLCK, errno.EAGAIN, errno.ETIMEDOUT, errno.ENOTCONN, errno.ENOMEM]
)
def test_a_file_system_that_gives_nothing_now_is_no_damage(
    store: Store, place: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(handle: int, count: int, offset: int) -> bytes:
        if "a.mp4" in str(Path(f"/proc/self/fd/{handle}").readlink()):
            raise OSError(number, os.strerror(number))
        return pread(handle, count, offset)

    pread = os.pread
    monkeypatch.setattr(os, "pread", fails)
    for act in (store.info, store.read, store.verify, lambda name: store.read_values(name, 0, 5)):
        with pytest.raises(UnreadableError, match=os.strerror(number)):
            act("a.mp4")
    assert outcomes(store, place, verify=True)["a.mp4"][0] == "failed"
    assert [word for _, word in plan_only(sources(place), store.location, overwrite=False)][1].startswith("skipped")


def test_reading_that_fails_in_the_middle_of_an_hdf5_file_is_no_damage(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if store.format == "zarr":
        pytest.skip("the library reads HDF5 alone")
    pread = os.pread
    for first in range(0, 40, 3):
        count = iter(range(10**6))

        def fails(handle: int, size: int, offset: int, first: int = first, count: Iterator[int] = count) -> bytes:
            if next(count) >= first:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return pread(handle, size, offset)

        monkeypatch.setattr(os, "pread", fails)
        try:
            store.read("a.mp4")
        except UnreadableError as error:
            assert "Input/output error" in error.message
        else:
            assert next(count) <= first
    monkeypatch.undo()
    assert store.verify("a.mp4") == []


def test_too_many_open_files_are_no_damage(store: Store) -> None:
    def act() -> list[str]:
        # The limit is on a descriptor's number, not on how many are open: above three a gap would let one through.
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 64))
        return told(lambda: store.read("a.mp4"))

    kind, message, hint = as_another_user(act)
    assert kind == "UnreadableError"
    assert "Too many open files" in message
    assert "ulimit -n" in hint


def test_too_little_memory_is_no_damage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "frombuffer", none)
    with pytest.raises(UnreadableError, match="more memory than there is"):
        store.read("a.mp4")


NO_LOCKS = """
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <dlfcn.h>
/* a file system without locks */
int flock(int fd, int operation) { errno = ENOLCK; return -1; }
static int passed_on(const char *name, int fd, int command, void *argument) {
  if (command == F_SETLK || command == F_SETLKW || command == 37 || command == 38) { errno = ENOLCK; return -1; }
  int (*real)(int, int, ...) = (int (*)(int, int, ...))dlsym(RTLD_NEXT, name);
  return real(fd, command, argument);
}
int fcntl(int fd, int command, ...) {
  va_list rest; va_start(rest, command); void *argument = va_arg(rest, void *); va_end(rest);
  return passed_on("fcntl", fd, command, argument);
}
int fcntl64(int fd, int command, ...) {
  va_list rest; va_start(rest, command); void *argument = va_arg(rest, void *); va_end(rest);
  return passed_on("fcntl64", fd, command, argument);
}
"""


@pytest.fixture
def no_locks(place: Path) -> dict[str, str]:
    """An environment in which no file can be locked."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a file system without locks with")
    (place / "nolock.c").write_text(NO_LOCKS)
    made = [compiler, "-shared", "-fPIC", "-o", str(place / "nolock.so"), str(place / "nolock.c"), "-ldl"]
    subprocess.run(made, check=True, capture_output=True)
    return {**os.environ, "LD_PRELOAD": str(place / "nolock.so")}


def python(code: str, *words: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment, check=True
    )
    return done.stdout.strip()


def test_entries_on_a_file_system_without_locks_are_read(store: Store, no_locks: dict[str, str]) -> None:
    code = (
        "import sys, fcntl; from affect.cache import open_store; store = open_store(sys.argv[1])\n"
        "try: fcntl.flock(1, fcntl.LOCK_EX)\n"
        "except OSError: print(len(store.read('a.mp4').time_s), store.verify('a.mp4'))"
    )
    assert python(code, store.location, environment=no_locks) == "20 []"


def test_a_new_store_on_a_file_system_without_locks_says_what_to_do(place: Path, no_locks: dict[str, str]) -> None:
    code = (
        "import sys; from affect.cache import create_store; from affect.cache.records import Recipe\n"
        "from affect.errors import StoreError\n"
        "try: create_store(sys.argv[1], Recipe({}))\n"
        "except StoreError as error: print(error)"
    )
    said = python(code, str(place / "new"), environment=no_locks)
    assert "without file locks (No locks available)" in said
    assert "Hint: choose a --store on a disk of this machine" in said


HOLDER = "import h5py, sys; file = h5py.File(sys.argv[1], 'r+'); print('held', flush=True); sys.stdin.read()"


def test_an_entry_that_another_program_holds_open_is_no_damage(store: Store, place: Path) -> None:
    if store.format == "zarr":
        pytest.skip("only an HDF5 file is locked by who opens it")
    path = inner(store)
    before = path.stat().st_ino
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert len(store.read("a.mp4").time_s) == 20
        assert store.verify("a.mp4") == []
        assert outcomes(store, place, verify=True)["a.mp4"][0] == "skipped"
        holder.kill()
    # The library leaves a mark in the file of who dies while it is open; not a number has changed.
    assert store.verify("a.mp4") == []
    assert path.stat().st_ino == before


def test_an_entry_that_another_process_writes_is_waited_for(store: Store, place: Path) -> None:
    source = Source(place / "videos" / "a.mp4", "new.mp4")
    with store.writer("new.mp4", fingerprint(source.path)):
        with pytest.raises(BusyError):
            store.writer("new.mp4", "f")
        (step,) = plan(store, [source], overwrite=False, verify=True)
        assert isinstance(step, Todo)  # whose content is stored under another name, and is copied by whoever has it
        assert not step.replaces


def test_content_that_is_stored_in_a_damaged_entry_is_extracted_and_the_others_go_on(store: Store, place: Path) -> None:
    path = inner(store)
    data = bytearray(path.read_bytes())
    if store.format == "zarr":
        data[20] ^= 1
    else:
        import h5py

        with h5py.File(path, "r") as file:
            data[file["values"].id.get_chunk_info(0).byte_offset + 9] ^= 1
    path.write_bytes(data)
    renamed = Source(place / "videos" / "a.mp4", "renamed.mp4")
    steps = list(plan(store, [renamed, sources(place)[1]], overwrite=False, verify=False))
    assert isinstance(steps[0], Todo)
    assert isinstance(steps[1], VideoOutcome)
    assert "renamed.mp4" not in store.ids()


def test_training_leaves_out_what_cannot_be_read_and_says_why(store: Store) -> None:
    path = inner(store)
    path.chmod(0)
    again = open_store(store.location)
    alone = FeatureTable.from_store(again, NAMES[1:])  # which also loads what the other user may not

    def act() -> list[Any]:
        table = FeatureTable.from_store(again, NAMES, skip_unread=True)
        same = bool((table.frames.time_s == alone.frames.time_s).all()) and table.feature_size == alone.feature_size
        return [table.unread, list(table.ids), len(table), same, told(lambda: FeatureTable.from_store(again, NAMES))]

    unread, ids, frames, same, error = as_another_user(act)
    assert list(unread) == ["a.mp4"]
    assert "cannot be read now (Permission denied)" in unread["a.mp4"]
    assert (ids, frames, same) == (list(NAMES), 40, True)
    assert error[0] == "UnreadableError"


def test_a_folder_of_videos_that_cannot_be_listed_is_one_failed_video(place: Path, recipe: Recipe, draw: Any) -> None:
    folder = place / "in"
    for name in ("a.mp4", "sub/b.mp4", "closed/c.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "sub").chmod(0o444)  # its names can be listed, and nothing in it read
    (folder / "closed").chmod(0)
    found = as_another_user(lambda: [[source.id, str(source.path)] for source in find_videos([str(folder)])])
    assert [name for name, _ in found] == ["a.mp4", "closed", "sub/b.mp4"]
    store = create_store(place / "store", recipe)

    def act() -> list[list[str]]:
        ends = [list(extract_into(store, Source(Path(path), name), None))[-1] for name, path in found[1:]]  # type: ignore[arg-type]
        return [[end.status, end.reason] for end in ends if isinstance(end, VideoOutcome)]

    for status, reason in as_another_user(act):
        assert status == "failed"
        assert "Permission denied" in reason
    folder.chmod(0)

    def fails() -> str:
        try:
            find_videos([str(folder)])
        except InputError as error:
            return error.message
        return ""

    assert "cannot be listed (Permission denied)" in as_another_user(fails)
    for path in (folder, folder / "sub", folder / "closed"):
        path.chmod(0o755)


def test_features_that_are_damaged_are_left_out_of_training_too(store: Store) -> None:
    path = inner(store)
    path.write_bytes(path.read_bytes()[:-30])
    table = FeatureTable.from_store(open_store(store.location), NAMES, skip_unread=True)
    assert list(table.unread) == ["a.mp4"]
    assert "is damaged" in table.unread["a.mp4"]
    assert len(table) == 40
