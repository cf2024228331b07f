"""Who may write an entry: one live process, whatever stalls, dies or hurries."""

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from affect.cache import Store, claims, create_store, open_store
from affect.cache.records import Recipe, VideoInfo
from affect.errors import EntryError

LOCATIONS = ["folder", "s3"]


@pytest.fixture(params=LOCATIONS)
def store(request: pytest.FixtureRequest, recipe: Recipe, tmp_path: Path) -> Store:
    if request.param == "folder":
        return create_store(tmp_path / "store", recipe)
    request.getfixturevalue("s3")
    return create_store(f"s3://features/claims-{time.monotonic_ns()}", recipe)


def claim_of(store: Any, name: str = "a.mp4") -> dict[str, str]:
    found: dict[str, str] = json.loads(store.blobs.get(f".journal/{name}.journal/claim", 4096))
    return found


def plant(store: Any, name: str = "a.mp4", **fields: str) -> None:
    """A claim as another process would have left it."""
    owner = {"host": "another boot-1 pid:[1]", "pid": "1", "started": "5", "token": "t", **fields}
    store.blobs.put(f".journal/{name}.journal/claim", json.dumps(owner).encode())


def test_a_claim_says_who_holds_it_and_goes_with_the_writer(store: Any, info: VideoInfo) -> None:
    with store.writer("a.mp4", info.fingerprint):
        claim = claim_of(store)
        assert claim["pid"] == str(os.getpid())
        with pytest.raises(EntryError, match=f"process {os.getpid()} on .* which is running"):
            store.writer("a.mp4", info.fingerprint)
    with pytest.raises(FileNotFoundError):
        claim_of(store)


def test_the_claim_of_a_killed_process_is_taken_over_at_once(tmp_path: Path, recipe: Recipe, draw: Any) -> None:
    store = create_store(tmp_path / "store", recipe)
    script = (
        "import sys, time; from affect.cache import open_store\n"
        "writer = open_store(sys.argv[1]).writer('a.mp4', 'f'); print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, store.location], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(EntryError, match=f"process {process.pid} on"):
        store.writer("a.mp4", "f")
    process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
    with store.writer("a.mp4", "f"):  # the dead one has not even been waited for
        pass
    process.communicate()


def test_a_number_given_to_another_process_since_does_not_hold_a_claim(store: Any) -> None:
    with store.writer("a.mp4", "f"):
        mine = claim_of(store)
    plant(store, host=mine["host"], pid=str(os.getppid()), started="1")
    with store.writer("a.mp4", "f"):
        assert claim_of(store)["pid"] == str(os.getpid())


def test_the_claim_of_another_host_stands_until_it_is_silent(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(store)
    with pytest.raises(EntryError, match=r"process 1 on another, heard of \d+ s ago \(free after 120 s"):
        store.writer("a.mp4", "f")
    monkeypatch.setattr(claims, "SILENT_S", -1.0)
    with store.writer("a.mp4", "f"):
        assert claim_of(store)["pid"] == str(os.getpid())


def test_a_claim_that_is_no_json_is_held_until_it_is_silent(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store.blobs.put(".journal/a.mp4.journal/claim", b"\0\1")
    with pytest.raises(EntryError, match=r"process \? on unknown-host"):
        store.writer("a.mp4", "f")
    monkeypatch.setattr(claims, "SILENT_S", -1.0)
    store.writer("a.mp4", "f").release()


def test_a_held_claim_is_renewed(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "RENEW_S", 0.1)
    with store.writer("a.mp4", "f"):
        time.sleep(2.1)  # an object store tells times in whole seconds
        assert store.blobs.silence_s(".journal/a.mp4.journal/claim") <= 1.0


def test_an_owner_that_stood_still_stops_without_damage(store: Any, draw: Any, info: VideoInfo) -> None:
    stalled = store.writer("a.mp4", info.fingerprint)
    stalled.append(draw(5, 5), b"stalled")
    plant(store)  # another host thought it dead, took over, and finished first
    with pytest.raises(EntryError, match="taken over by process 1 on another"):
        stalled.append(draw(5, 5, first=5), b"late")
    with pytest.raises(EntryError, match="taken over by process 1 on another"):
        stalled.commit(info)
    stalled.release()
    assert claim_of(store)["token"] == "t"
    assert store.ids() == []


def test_an_owner_that_wakes_up_after_the_other_finished_changes_nothing(
    store: Any, draw: Any, info: VideoInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalled = store.writer("a.mp4", info.fingerprint)
    stalled.append(draw(5, 5), b"stalled")
    monkeypatch.setattr(claims, "started", lambda pid: None)  # seen from the other run, this process is gone
    with open_store(store.location).writer("a.mp4", info.fingerprint) as other:
        assert other.state == b"stalled"
        monkeypatch.undo()
        wanted = draw(9, 9, first=5)
        other.append(wanted, b"other")
        with pytest.raises(EntryError, match="taken over"):
            stalled.append(draw(3, 3, first=5), b"late")
        other.commit(info)
    with pytest.raises(EntryError, match="taken over"):
        stalled.commit(info)
    stalled.release()
    assert len(store.read("a.mp4").time_s) == 14
    assert store.verify("a.mp4") == []


def test_of_many_that_hurry_one_wins(store: Any) -> None:
    won: list[Any] = []
    barrier = threading.Barrier(8)

    def hurry() -> None:
        mine = open_store(store.location)
        barrier.wait()
        with contextlib.suppress(EntryError):
            won.append(mine.writer("a.mp4", "f"))

    threads = [threading.Thread(target=hurry) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    won[0].release()


SHARED_RUN = """
import sys
import numpy as np
from affect.cache import create_store
from affect.cache.records import FrameFeatures, Recipe, VideoInfo
from affect.errors import EntryError
recipe = Recipe({"view": "plain"})
store = create_store(sys.argv[1], recipe)
for number in range(12):
    name = f"v/{number}.mp4"
    if name in store.ids():
        continue
    try:
        writer = store.writer(name, "f")
    except EntryError:
        continue
    with writer:
        print(name, flush=True)
        for first in range(0, 30, 10):
            if first >= writer.frames:
                numbers = np.arange(first, first + 10)
                block = FrameFeatures(
                    numbers / 3.0, numbers, np.zeros(10, np.uint8), np.ones((10, 64), np.float16), numbers,
                    np.zeros(10, np.int32), np.zeros((10, 4), np.float32), np.ones(10, np.float32),
                    np.zeros((10, 5, 2), np.float32))
                writer.append(block, b"x")
        writer.commit(VideoInfo(recipe.digest, "f", 1, 1, None, 1, 1.0, 25.0, 4, 4, 0, "h264"))
"""


def test_two_runs_on_one_store_do_every_video_once(tmp_path: Path) -> None:
    location = str(tmp_path / "store")
    runs = [
        subprocess.Popen([sys.executable, "-c", SHARED_RUN, location], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = [run.communicate()[0].split() for run in runs]
    assert all(run.returncode == 0 for run in runs)
    names = sorted(name for words in said for name in words)
    assert names == sorted(f"v/{number}.mp4" for number in range(12))
    store = open_store(location)
    assert store.ids() == names
    assert all(store.verify(name) == [] for name in names)


def test_a_store_can_be_sent_to_another_process(store: Any) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(store.ids) == []
