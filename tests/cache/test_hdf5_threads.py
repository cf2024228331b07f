"""Several threads may read and write HDF5 entries: the library's older versions crash the process."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys, threading, time
from affect.cache import create_store, open_store
from affect.tests.generated import GeneratedData, generated_features

shape = GeneratedData(subjects=2, videos=2, video_frames=(400, 500), feature_size=64)
generated_features(sys.argv[1] + "/read", sys.argv[1] + "/labels.csv", shape, store_format="hdf5")
known = open_store(sys.argv[1] + "/read")
store = create_store(sys.argv[1] + "/written", known.recipe, "hdf5")
wanted = {name: known.read(name).values.tobytes() for name in known.ids()}
end, counts, wrong = time.monotonic() + float(sys.argv[2]), {"read": 0, "written": 0}, []

def read():
    store = open_store(sys.argv[1] + "/read")
    while time.monotonic() < end:
        for name, values in wanted.items():
            counts["read"] += 1
            if store.read(name).values.tobytes() != values:
                wrong.append(name)

def write():
    while time.monotonic() < end:
        features, info = known.read(next(iter(wanted))), known.info(next(iter(wanted)))
        counts["written"] += 1
        with store.writer(f"{counts['written']}.mp4", info.fingerprint) as writer:
            writer.append(features, b"")
            writer.commit(info)

threads = [threading.Thread(target=work) for work in (read, read, write)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not wrong and min(counts.values()) > 5, (wrong, counts)
print("sound")
"""


def test_two_threads_read_while_another_writes(tmp_path: Path) -> None:
    words = [sys.executable, "-X", "faulthandler", "-c", PROGRAM, str(tmp_path), "5"]
    ended = subprocess.run(words, check=False, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "sound\n", "")
