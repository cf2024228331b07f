"""A Python that can lock no file (neither `fcntl` nor `msvcrt`): stores are still written by one process at a time."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PRELUDE = """
import sys, time, warnings
warnings.simplefilter("ignore")
sys.modules["fcntl"] = None
from pathlib import Path
from affect.cache.blobs_local import LocalFolder
blobs = LocalFolder(Path("store"))
"""
COUNTER = """
for _ in range(25):
    while True:
        before = blobs.get(".journal/count", 99)
        if blobs.swap(".journal/count", str(int(before) + 1).encode(), before):
            break
"""
HOLDER = """
with blobs._fenced():
    print("held", flush=True)
    time.sleep(600)
"""


def started(code: str, folder: Path) -> subprocess.Popen[str]:
    where = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code], cwd=folder, env=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def test_no_step_of_several_processes_is_lost(tmp_path: Path) -> None:
    (tmp_path / "store" / ".journal").mkdir(parents=True)
    (tmp_path / "store" / ".journal" / "count").write_bytes(b"0")
    several = [started(COUNTER, tmp_path) for _ in range(4)]
    for process in several:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    assert (tmp_path / "store" / ".journal" / "count").read_bytes() == b"100"


def test_what_a_killed_process_has_taken_is_free_again(tmp_path: Path) -> None:
    (tmp_path / "store" / ".journal").mkdir(parents=True)
    (tmp_path / "store" / ".journal" / "count").write_bytes(b"0")
    holder = started(HOLDER, tmp_path)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    begun = time.monotonic()
    process = started(COUNTER, tmp_path)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert time.monotonic() - begun < 60
    assert (tmp_path / "store" / ".journal" / "count").read_bytes() == b"25"
