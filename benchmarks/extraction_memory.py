"""Most memory that `affect extract-features` holds on a 60-minute video and on a 6-minute one, ResNet-50 on the CPU.

    python benchmarks/extraction_memory.py [--minutes 6 60]

Goals: within 5 % of each other, and under 1.5 GB. Weights are random: they change no memory.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import imageio_ffmpeg

from affect.benchmarks.extraction_speed import make_video
from affect.benchmarks.hardware import hardware, write_result

PROGRAM = """
import json, re, sys
from pathlib import Path
from affect.cli import main
try:
    main(sys.argv[1:])
finally:
    peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
    print(json.dumps({"peak_mb": int(peak) / 1024}), file=sys.stderr)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, nargs=2, default=[6, 60])
    words = parser.parse_args()
    machine, peaks = hardware(), {}
    with tempfile.TemporaryDirectory() as folder:
        for minutes in words.minutes:
            place = Path(folder, str(minutes))
            place.mkdir()
            video = looped(make_video(place, 60, "160:120"), place / "long.mp4", minutes)
            peaks[minutes] = peak_mb(video, place / "store")
    short, long = (peaks[minutes] for minutes in words.minutes)
    measured = {
        "video": "160x120, 25 fps, faces none, 0.5 frames a second kept",
        "peak_mb": {f"{minutes} minutes": round(peak) for minutes, peak in peaks.items()},
        "long_over_short": round(long / short, 3),
    }
    write_result("extraction-memory", measured, machine)


def looped(minute: Path, video: Path, times: int) -> Path:
    """The same minute again and again."""
    words = ["-stream_loop", str(times - 1), "-i", str(minute), "-c", "copy", str(video)]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *words]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return video


def peak_mb(video: Path, store: Path) -> float:
    """Of the whole command, from its first import to its end."""
    options = ["--backbone", "resnet50", "--weights", "random", "--faces", "none", "--sample-fps", "0.5", "--json"]
    command = [sys.executable, "-c", PROGRAM, "extract-features", str(video), "--store", str(store), *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stderr.strip().splitlines()[-1])["peak_mb"])


if __name__ == "__main__":
    main()
