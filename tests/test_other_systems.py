"""The main job on macOS and Windows, as far as they can be simulated here."""

import ast
import csv
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from affect.cache import entry_id, open_store
from affect.cache.ids import check_id, differ_in_case
from affect.tests.other_systems import DEVICE, ILLEGAL, LACKS, MACOS, NO_MODULES, WINDOWS, environment
from affect.tests.predictions import write_face_video

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = [
    path for place in ("cache", "configs", "pipeline", "stages") for path in sorted((ROOT / place).rglob("*.py"))
]
SYSTEM = ROOT / "cache" / "system.py"  # the one file that may ask for what not every system has
PEOPLE = ("ann", "ben", "cleo", "dora")
SMALL = ("--faces", "none", "--backbone", "timm:test_convnext", "--weights", "random")


@dataclass(frozen=True)
class Elsewhere:
    """A folder of a simulated system, and programs that run there."""

    kind: str
    folder: Path  # what is made here may only have names that Windows allows
    outside: Path

    def python(self, *words: str) -> "subprocess.CompletedProcess[str]":
        where = environment(self.kind, self.outside, self.folder)
        return subprocess.run(
            [sys.executable, *words], cwd=self.folder, env=where, text=True, capture_output=True, check=False
        )

    def affect(self, *words: object) -> str:
        done = self.python("-m", "affect", *map(str, words))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def works(self, code: str) -> None:
        done = self.python("-c", code)
        assert done.returncode == 0, done.stdout + done.stderr


def elsewhere(kind: str, place: Path) -> Elsewhere:
    (place / "work").mkdir()
    return Elsewhere(kind, place / "work", place)


@pytest.fixture(params=[MACOS, WINDOWS])
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Elsewhere:
    return elsewhere(request.param, tmp_path)


@pytest.fixture
def windows(tmp_path: Path) -> Elsewhere:
    return elsewhere(WINDOWS, tmp_path)


def test_videos_become_features_a_run_and_scores(system: Elsewhere) -> None:
    (system.folder / "videos").mkdir()
    for number, person in enumerate(PEOPLE):
        path = write_face_video(system.folder / "videos" / f"{person}.mp4", seconds=4.0)
        path.write_bytes(path.read_bytes() + bytes(number))  # other content, the same film
    with (system.folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["video", "subject", "start_s", "end_s", "split", "valence"])
        for number, person in enumerate(PEOPLE):
            split = {"cleo": "validation", "dora": "test"}.get(person, "train")
            rows.writerows([f"{person}.mp4", person, at, at + 1, split, (number + at) % 5 / 5] for at in range(4))
    words = ("extract-features", "videos", "--store", "zarr", *SMALL)
    assert "4 stored, 0 skipped, 0 failed" in system.affect(*words, "--jobs", 2)
    assert "4 stored, 0 skipped, 0 failed" in system.affect(*words, "--overwrite")
    assert "every checksum holds" in system.affect("inspect-cache", "zarr", "--verify")
    train = ("train-temporal", "--store", "zarr", "--labels", "labels.csv", "--run", "run", "--config", "small")
    settings = ("training.epochs=2", "clips.length=4", "labels.targets=[valence]")
    system.affect(*train, *(word for setting in settings for word in ("--set", setting)))
    for _ in range(2):  # the second time in place of older output
        words = ("predict", "videos/dora.mp4", "--run", "run", "--output", "out", "--store", "zarr", "--export", "eaf")
        system.affect(*words, "--overlay", "overlay.mp4")
    assert (system.folder / "out" / "predictions.csv").read_bytes().count(b"\n") > 1
    assert (system.folder / "out" / "annotations" / "dora.mp4.eaf").is_file()
    assert (system.folder / "overlay.mp4").stat().st_size > 1000
    assert b"\r" not in (system.folder / "out" / "predictions.csv").read_bytes()


def test_the_stores_own_tests_hold_on_windows_too(windows: Elsewhere) -> None:
    """Links, claims and locks: what is promised of a store, without handles of folders."""
    tests = [str(ROOT / "tests" / "cache" / name) for name in ("test_store_links.py", "test_claims.py")]
    done = windows.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not s3", "--basetemp", "bt", *tests)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


@pytest.mark.stress
def test_every_promise_of_a_store_holds_on_windows_too(windows: Elsewhere) -> None:
    tests = [str(ROOT / "tests" / "cache" / f"test_store_{name}.py") for name in ("conformance", "damage", "opening")]
    done = windows.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not s3", "--basetemp", "bt", *tests)
    assert done.returncode == 0, done.stdout[-3000:]


# -- names

ODD = (
    "aux.mp4", "NUL/a.mp4", "x./b.mp4", "what?.mp4", "a:b.mp4", "tail .mp4 ", "com1", "Con.tar.mp4", "dots...",
    "a|b<c>", "back\\slash.mp4", 'quote".mp4', "lpt9.", "PRN /c.mp4", "new\nline", "d" * 251,
)  # fmt: skip


def test_names_that_windows_does_not_allow_have_entries_that_it_does(windows: Elsewhere) -> None:
    film = write_face_video(windows.outside / "film.mp4", seconds=0.4).read_bytes()
    names = [name for name in ODD if name.endswith(".mp4")]
    for number, name in enumerate(names):  # as they may come from a disk of Linux
        path = windows.outside / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(film + bytes(number))
    said = windows.affect("extract-features", windows.outside / "videos", "--store", "features", *SMALL)
    assert f"{len(names)} stored, 0 skipped, 0 failed" in said
    assert sorted(open_store(windows.folder / "features").ids()) == sorted(map(entry_id, names))


def test_ids_are_names_that_every_system_allows_and_stay_distinct() -> None:
    for name in ODD:
        for part in entry_id(name).split("/"):
            assert not ILLEGAL.search(part), part
            assert not DEVICE.fullmatch(part), part
        check_id(entry_id(name))
    alike = ["aux", "%61ux", "x.", "x%2E", "con.mp4", "%63on.mp4", "CON.mp4"]
    assert len({entry_id(name) for name in alike}) == len(alike)
    assert entry_id("auxiliary.mp4") == "auxiliary.mp4"
    assert entry_id("S01.console/a.mp4") == "S01.console/a.mp4"
    check_id("con.mp4")  # as stores of before have it


def test_names_that_differ_in_case_alone_are_said_and_never_one_entry(tmp_path: Path) -> None:
    from affect.pipeline.extract.plan import plan
    from affect.pipeline.extract.videos import search_videos

    for name in ("A.mp4", "a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(name.encode())
    found = search_videos([str(tmp_path)])
    assert [source.id for source in found.sources] == ["A.mp4", "a.mp4", "b.mp4"]
    assert "A.mp4 and a.mp4 differ in case alone: a store of both cannot be copied" in found.left_out[0]
    assert differ_in_case(["x"], ["X", "x"]) == {"x": "X"}
    assert differ_in_case(["x", "y"], ["x"]) == {}

    from affect.cache.memory_store import MemoryStore
    from affect.cache.records import Recipe

    store = MemoryStore(Recipe({}))
    store.folds_case = True  # as a disk of macOS
    for overwrite in (False, True):
        steps = list(plan(store, found.sources, overwrite=overwrite, verify=False))
        failed = [step for step in steps if getattr(step, "status", "") == "failed"]
        assert [step.id for step in failed] == ["a.mp4"]  # type: ignore[union-attr]
        assert "A.mp4" in failed[0].reason and "Hint:" in failed[0].reason  # type: ignore[union-attr]
        assert len(steps) == 3


def test_a_disk_of_linux_tells_a_from_a_capital(tmp_path: Path) -> None:
    from affect.cache.blobs_local import LocalFolder

    blobs = LocalFolder(tmp_path)
    (tmp_path / "store.json").write_text("{}")
    assert not blobs.folds_case("store.json")
    os.link(tmp_path / "store.json", tmp_path / "STORE.JSON")  # found by both names, as where case is nothing
    assert blobs.folds_case("store.json")


# -- files that are open, and locks

STORE = """
import numpy as np, sys, threading, time
from affect.cache import create_store, open_store
from affect.cache.records import FrameFeatures, Recipe, VideoInfo
recipe = Recipe({"made": True})
def block(seed):
    n = 4
    return FrameFeatures(time_s=np.arange(n) / 5, index=np.arange(n), status=np.zeros(n, np.uint8),
        values=np.full((n, 3), seed, np.float16), frame=np.arange(n), track=np.zeros(n, np.int32),
        box_px=np.zeros((n, 4), np.float32), score=np.ones(n, np.float32), landmarks_px=np.zeros((n, 5, 2), np.float32))
def fill(store, seed, overwrite=False):
    info = VideoInfo(recipe_digest=recipe.digest, fingerprint="f", file_bytes=1, file_mtime_ns=1, header_frames=None,
        decoded_frames=4, duration_s=None, average_fps=5.0, width_px=9, height_px=9, rotation_deg=0, codec="made",
        persons={0: 0})
    with store.writer("a.mp4", "f", overwrite=overwrite) as writer:
        if not writer.frames:  # else the journal has it
            writer.append(block(seed), b"")
        writer.commit(info)
"""


@pytest.mark.parametrize("store_format", ["zarr", "hdf5"])
def test_an_entry_that_a_reader_has_open_is_replaced_once_it_lets_go(windows: Elsewhere, store_format: str) -> None:
    windows.works(f"""{STORE}
store = create_store("store", recipe, {store_format!r})
fill(store, 1)
name = "a.mp4.zarr/zarr.json" if {store_format!r} == "zarr" else "a.mp4.h5"
held = open("store/" + name, "rb")
threading.Timer(1.0, held.close).start()
started = time.monotonic()
fill(store, 2, overwrite=True)
assert time.monotonic() - started > 0.8, "it was replaced while it was open, which Windows does not allow"
assert (store.read("a.mp4").values == 2).all() and store.verify("a.mp4") == []
""")


def test_an_entry_that_stays_open_elsewhere_is_kept_and_said_to_be_in_use(windows: Elsewhere) -> None:
    windows.works(f"""{STORE}
from affect.cache import system
from affect.errors import StoreError
system.IN_USE[32] = 0.2
store = create_store("store", recipe, "hdf5")
fill(store, 1)
with open("store/a.mp4.h5", "rb"):
    try:
        fill(store, 2, overwrite=True)
    except StoreError as error:
        assert "is in use" in str(error) and "Hint: close it" in str(error), error
    else:
        raise AssertionError("nothing was refused")
assert (store.read("a.mp4").values == 1).all()
fill(store, 2, overwrite=True)
assert (store.read("a.mp4").values == 2).all()
""")


@pytest.mark.parametrize("store_format", ["zarr", "hdf5"])
def test_what_is_read_beside_a_writer_is_of_one_moment(windows: Elsewhere, store_format: str) -> None:
    windows.works(f"""{STORE}
store = create_store("store", recipe, {store_format!r})
fill(store, 1)
done = threading.Event()
def write():
    for seed in range(2, 8):
        fill(store, seed, overwrite=True)
    done.set()
writer = threading.Thread(target=write)
writer.start()
seen = set()
while not done.is_set():
    values = open_store("store").read("a.mp4").values
    assert len(set(values.ravel().tolist())) == 1, values
    seen.add(float(values[0, 0]))
writer.join()
assert len(seen) > 1, seen
""")


HOLDER = """
import sys, time
from pathlib import Path
from affect.cache.locks import held
with held(Path("it.lock"), "it"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_names_its_holder_and_ends_with_it(system: Elsewhere) -> None:
    where = environment(system.kind, system.outside, system.folder)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER], cwd=system.folder, env=where, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    again = f"""
from pathlib import Path
from affect.cache.locks import held
from affect.errors import InputError
try:
    with held(Path("it.lock"), "it"): raise AssertionError("both hold it")
except InputError as error:
    assert "process {holder.pid} on" in str(error), error
"""
    system.works(again)
    holder.kill()
    holder.communicate()
    assert (system.folder / "it.lock").exists()
    system.works(
        "from pathlib import Path\nfrom affect.cache.locks import held\nwith held(Path('it.lock'), 'it'): pass\n"
        "assert not Path('it.lock').exists()"
    )


def test_a_process_is_told_from_a_later_one_of_its_number(system: Elsewhere) -> None:
    system.works("""
import os, subprocess, sys, time
from affect.cache import system
mine = system.started(os.getpid())
assert mine and system.started(os.getpid()) == mine
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
assert system.started(other.pid) not in (None, mine)
other.kill()
time.sleep(0.5)
assert system.started(other.pid) is None, "it is dead, though nobody has waited for it"
other.wait()
assert system.started(other.pid) is None
assert system.cores() >= 1 and system.free_memory_bytes() > 1 << 20
""")


# -- what the simulation is worth


def test_the_simulated_systems_lack_and_refuse_what_the_real_ones_do(windows: Elsewhere) -> None:
    (windows.folder / "probe.py").write_text("")
    taken = (LACKS[WINDOWS], NO_MODULES[WINDOWS])
    code = f"""
import builtins, os, sys
from affect.cache import system
assert not system.HANDLES and isinstance(system.open_folder("."), system.NamedFolder)
def asked(words):  # as if a line of the package did
    exec(compile(words, system.__file__, "exec"), {{"os": os}})
for name in {taken[0]!r}:
    try: asked(f"os.{{name}}")
    except AttributeError: pass
    else: raise AssertionError(name)
for name in {taken[1]!r}:
    try: asked(f"import {{name}}")
    except ModuleNotFoundError: pass
    else: raise AssertionError(name)
def refused(error, step):
    try: step()
    except error: return
    raise AssertionError(step)
open("a", "w").close(); open("b", "w").close(); os.mkdir("d"); open("d/x", "w").close()
with open("a"), open("d/x"):
    for step, *names in ((os.replace, "b", "a"), (os.rename, "a", "c"), (os.remove, "a"), (os.rename, "d", "e")):
        refused(PermissionError, lambda: step(*names))
for name in ("nul.txt", "a?b"): refused(OSError, lambda: open(name, "w"))
refused(OSError, lambda: os.mkdir("x."))
refused(PermissionError, lambda: os.open("d", os.O_RDONLY | os.O_BINARY))
refused(NotImplementedError, lambda: os.open("a", os.O_RDONLY | os.O_BINARY, dir_fd=3))
refused(AssertionError, lambda: asked("os.open('a', os.O_RDONLY)"))
refused(AssertionError, lambda: os.kill(os.getpid(), 0))
refused(FileNotFoundError, lambda: asked("open('/proc/self/stat')"))
refused(FileNotFoundError, lambda: asked("os.stat('/proc/self/stat')"))
os.replace("a", "b")
"""
    windows.works(code)


def names_of(source: Path) -> set[str]:
    """Names of `os` and `signal` that a file asks for, modules it imports, keywords it gives, and words with /proc."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("os", "signal"):
            found.add(f"{node.value.id}.{node.attr}")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.name for alias in node.names} | {getattr(node, "module", None) or ""}
        elif isinstance(node, ast.keyword):
            found.add(f"{node.arg}=")
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node.value.startswith(("/proc", "/dev/", "/sys"))
        ):
            found.add(node.value)
    return found


def test_one_file_asks_for_what_not_every_system_has() -> None:
    everywhere = {"os.O_RDONLY", "os.O_RDWR", "os.O_WRONLY", "os.O_CREAT", "os.O_EXCL", "os.O_APPEND"}
    lacking = {f"os.{name}" for names in LACKS.values() for name in names} | {*NO_MODULES[WINDOWS], "dir_fd="}
    lacking |= {"src_dir_fd=", "dst_dir_fd=", "os.name", "os.kill", "os.replace", "os.rename", "os.fsync", "os.open"}

    def asks(source: Path) -> set[str]:
        names = names_of(source)
        flags = {name for name in names if name.startswith("os.O_")} - everywhere
        return flags | {name for name in names if name in lacking or name.startswith(("/", "signal."))}

    assert asks(SYSTEM) >= {"fcntl", "dir_fd=", "os.O_NOFOLLOW", "/proc", "os.name"}
    assert {path.relative_to(ROOT).as_posix(): asks(path) for path in PACKAGE if path != SYSTEM and asks(path)} == {}


def text_without_encoding(source: Path) -> list[int]:
    """Lines that open a file as text in whatever encoding the system has."""
    lines = []
    for call in (node for node in ast.walk(ast.parse(source.read_text("utf-8"))) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        words = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
        said = any(keyword.arg == "encoding" for keyword in call.keywords)
        own = isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in (
            "os",
            "av",
            "tarfile",
            "Image",
            "here",
        )
        if name == "read_text":
            said = said or bool(words)
        elif name == "write_text":
            said = said or len(call.args) > 1
        elif name in ("open", "fdopen") and not own and (words or not call.args):
            said = said or any("b" in str(word) for word in words)
        else:
            continue
        if not said:
            lines.append(call.lineno)
    return lines


def test_every_text_file_is_opened_in_an_encoding_that_is_said() -> None:
    found = {path.relative_to(ROOT).as_posix(): text_without_encoding(path) for path in [*PACKAGE, ROOT / "cli.py"]}
    assert {path: lines for path, lines in found.items() if lines} == {}
