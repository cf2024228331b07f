"""The harness sees what it is there to see, and lets sound input through."""

import os
from pathlib import Path

import pytest

from affect.tests.hostile.harness import Adversary, Place
from affect.tests.hostile.kit import COMMANDS, Kit, needed
from affect.tests.hostile.mutations import KINDS, TURNS, mutate, planned
from affect.tests.hostile.test_mutations import FEW, silent_changes
from affect.tests.hostile.watch import MARK
from affect.tests.hostile.witness import Witness, snapshot

SEEN = {  # what a program does -> what the watch says of it
    "open(victim / 'secret.txt').read()": "opens ",
    "open(victim / 'new.txt', 'w')": "opens for writing",
    "os.open(victim / 'new.txt', os.O_CREAT | os.O_WRONLY)": "opens for writing",
    "os.open('secret.txt', os.O_RDONLY, dir_fd=os.open('.', os.O_RDONLY))": "opens ",
    "open('link.txt').read()": "opens ",
    "(victim / 'plots').rmdir()": "os.rmdir",
    "(victim / 'made').mkdir()": "os.mkdir",
    "os.rename('mine.txt', victim / 'mine.txt')": "os.rename",
    "os.replace(victim / 'secret.txt', 'out/mine.txt')": "os.rename",
    "os.unlink(victim / 'nothing.txt')": "os.remove",
    "os.unlink('nothing.txt', dir_fd=os.open('/', os.O_RDONLY))": "os.remove",
    "os.symlink('/', victim / 'root')": "os.symlink",
    "os.link('mine.txt', victim / 'mine.txt')": "os.link",
    "os.chmod(victim, 0o755)": "os.chmod",
    "os.truncate(victim / 'secret.txt', 10)": "os.truncate",
    "os.listdir(victim)": "lists",
    "list(os.scandir('/root' if os.path.isdir('/root') else '/'))": "lists",
    "import shutil; shutil.rmtree(victim / 'plots', ignore_errors=True)": "opens",
    "open('/etc/hostname').read()": "opens",
    "subprocess.run(['true'])": "subprocess.Popen",
    "os.system('true')": "os.system",
    "os.fork()": "os.fork",
    "os.execv('/bin/true', ['true'])": "os.exec",
    "socket.create_connection(('127.0.0.1', 9), 1)": "socket.",
    "socket.getaddrinfo('localhost', 80)": "socket.getaddrinfo",
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')": "urllib.Request",
    "sys.path.insert(0, 'got'); import received_code": "opens code",
    "exec(compile(open('got/received_code.py').read(), '<text>', 'exec'))": "compiles code",
    "import runpy; runpy.run_path('got/notes.txt')": "compiles code",
    "pickle.loads(open('got/x.pickle', 'rb').read())": "unpickles",
    "import torch; torch.load('got/x.pickle', weights_only=False)": "unpickles",
    "ctypes.CDLL(os.path.abspath('got/x.so'))": "loads a library",
    "os.chdir('/')": "os.chdir",
    "os.kill(os.getppid(), 15) if False else sys.audit('os.kill', 1, 15)": "os.kill",
}
ALLOWED = (
    "open('got/notes.txt').read(); os.listdir('got')",
    "open('out/new.txt', 'w').write('x'); os.replace('out/new.txt', 'out/newer.txt'); os.mkdir('out/folder')",
    "import tempfile; tempfile.TemporaryDirectory().cleanup(); tempfile.NamedTemporaryFile().close()",
    "import colorsys, xml.dom.minidom; open('/proc/self/status').read(); os.urandom(3)",
    "socket.socketpair()",
    "folder = os.open('out', os.O_RDONLY); os.fsync(folder); os.unlink('mine.txt', dir_fd=folder)",
)
BEGIN = "import ctypes, os, pathlib, pickle, socket, subprocess, sys; victim = pathlib.Path('victim').resolve()\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder with something received, an output, and a victim that nobody named."""
    for name in ("got", "out", "victim/plots"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "victim" / "secret.txt").write_text("secret")
    (tmp_path / "got" / "received_code.py").write_text(f"x = '{MARK}'\n")
    (tmp_path / "got" / "notes.txt").write_text(f"x = '{MARK}'\n")
    (tmp_path / "got" / "x.pickle").write_bytes(b"cos\ngetcwd\n(tR.")
    (tmp_path / "got" / "link.txt").symlink_to(tmp_path / "victim" / "secret.txt")
    (tmp_path / "link.txt").symlink_to(tmp_path / "victim" / "secret.txt")
    for name in ("got/x.so", "out/mine.txt", "mine.txt"):
        (tmp_path / name).write_text("mine")
    return Place(tmp_path, writes=[tmp_path / "out"], received=[tmp_path / "got"])


@pytest.mark.parametrize("program", SEEN)
def test_the_watch_sees(program: str, adversary: Adversary, place: Place) -> None:
    ended = adversary.python(BEGIN + program, place)
    assert any(step.startswith(SEEN[program]) for step in ended.steps), ended
    assert any(fault.startswith("outside: ") for fault in ended.faults())


@pytest.mark.parametrize("program", ALLOWED)
def test_the_watch_lets_through(program: str, adversary: Adversary, place: Place) -> None:
    ended = adversary.python(BEGIN + program, place)
    assert (ended.faults(), ended.code) == ([], 0), ended


def test_a_traceback_a_hang_a_death_and_too_much_memory_are_faults(adversary: Adversary, place: Place) -> None:
    def faults(program: str) -> str:
        return "; ".join(adversary.python(BEGIN + program, place, limit_s=3).faults(most_bytes=200 << 20))

    assert "a traceback" in faults("1 / 0")
    assert "hung" in faults("os.mkfifo('out/fifo'); open('out/fifo')")
    assert "hung" in faults("while True: pass")
    assert "ended with -9" in faults("os.abort() if False else sys.exit(os.kill(os.getpid(), 9))")
    assert "took" in faults("x = bytes(b'1' * 300_000_000)")
    assert "MemoryError" in faults("x = bytearray(20 << 30)")
    assert "without a word" in faults("sys.exit(2)")


@pytest.mark.parametrize(
    "program",
    [
        "import h5py; h5py.File('victim/secret.h5', 'r')",
        "import h5py; h5py.File('victim/new.h5', 'w')",
        "import av; av.open('victim/secret.mp4')",
        "import safetensors; safetensors.safe_open('victim/secret.txt', framework='numpy')",
        "import cv2; cv2.imread('victim/secret.txt')",
        "import pyarrow.parquet as pq; pq.read_table('victim/secret.txt')",
        "ctypes.CDLL(None).unlink(b'victim/secret.txt')",
        "ctypes.CDLL(None).rename(b'mine.txt', b'victim/plots/mine.txt')",
    ],
)
def test_the_witness_sees_what_libraries_do_behind_the_watch(program: str, adversary: Adversary, place: Place) -> None:
    import h5py

    with h5py.File(place.folder / "victim" / "secret.h5", "w") as file:
        file["x"] = 1
    (place.folder / "victim" / "secret.mp4").write_text("no video")
    witness = Witness(place.folder / "victim")
    adversary.python(BEGIN + program, place)
    assert witness.seen()
    assert witness.seen() == []
    witness.close()


def test_a_snapshot_differs_when_anything_in_a_folder_does(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "link").symlink_to("a")
    os.mkfifo(tmp_path / "fifo")
    before = snapshot(tmp_path)
    assert snapshot(tmp_path) == before
    (tmp_path / "a").chmod(0o600)
    assert snapshot(tmp_path) != before
    (tmp_path / "a").chmod(0o644)
    (tmp_path / "a").write_text("2")
    assert snapshot(tmp_path) != before


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_on_sound_input_does_nothing_that_the_watch_minds(name: str, kit: Kit, witness: Witness) -> None:
    witness.seen()
    ended = kit.baseline(name).ended
    assert ended.faults() == []
    assert ended.code == (2 if name == "import" else 0), ended  # a checkpoint of the paper's size takes too long here
    assert witness.seen() == []


def test_scores_that_change_are_found_and_a_warning_is_a_word(kit: Kit, adversary: Adversary, tmp_path: Path) -> None:
    sound = kit.baseline("predict")
    command = COMMANDS["predict"]
    folder = kit.fresh(tmp_path / "case", needed("predict"))
    ended = adversary.run(command.words(folder), command.place(folder))
    assert silent_changes(command, sound, ended, folder) == []
    table = folder / "output" / "predictions.csv"
    text = table.read_text()
    table.write_text(text.replace("0.", "0.1", 1))
    assert len(silent_changes(command, sound, ended, folder)) == 1
    table.write_text(text.splitlines()[0])
    assert len(silent_changes(command, sound, ended, folder)) == 2


def test_a_seed_always_makes_the_same_change_and_few_seeds_take_every_turn(kit: Kit, tmp_path: Path) -> None:
    for seed in range(0, 40, 7):
        made = []
        for number in range(2):
            folder = kit.fresh(tmp_path / f"{seed}-{number}" / "case", needed(planned(seed)[1][0]))
            made.append(mutate(seed, folder, kit.outside))
        assert made[0] == made[1]
    first = {(planned(seed)[0], planned(seed)[1][0]) for seed in range(FEW)}
    assert {kind for kind, _ in first} == set(KINDS) == set(TURNS)
    assert {command for _, command in first} >= {command for kind in KINDS.values() for command in kind.commands}
