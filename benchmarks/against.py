"""The default job of stage one against an earlier commit, and against the way of working of other tools.

    python benchmarks/against.py [--commit c19fa5a] [--seconds 157] [--repeats 3]

The job: 640x360, 25 frames a second, one face, 3.125 kept, faces found, the default backbone. Each repeat is a process
of its own, and they take turns. COMMIT is checked out beside this source. Other tools, of the same networks:

    frame by frame, as py-feat works: OpenCV reads, and of each kept frame the face is found, cut out and embedded
    whole frames, as video_features works: OpenCV reads, PIL scales, batches of 32 embedded; no face is sought
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from affect.benchmarks.extraction_speed import make_video
from affect.benchmarks.hardware import hardware, ratio, write_result

SOURCE = Path(__file__).parent.parent
KEPT_FPS = 3.125
# What a process of each kind does; it prints seconds of the clock, of the cores, megabytes at the most, and rows.
BEGIN = """
import json, resource, sys, time
from dataclasses import replace
from pathlib import Path
from affect.configs.schema import FeaturesConfig
from affect.stages.features.stream import FeatureExtractor
video, short, cores, settings = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
config = replace(FeaturesConfig(), sample_fps=3.125, **settings)
"""
PIPELINE = """
try:
    from affect.stages.features.heap import share_one_heap
    share_one_heap()  # as the command does for its process; earlier code did it by itself
except ImportError:
    pass
extractor = FeatureExtractor(config, "cpu", cores)
def run(path):
    rows = 0
    with extractor.stream(path) as stream:
        for block, _ in stream:
            rows += len(block.values)
    return rows
"""
FRAME_BY_FRAME = """
import cv2, numpy as np
from affect.stages.features.faces.crop import crop_matrix, cut_out
extractor = FeatureExtractor(config, "cpu", cores)
def run(path):
    reader, number, rows = cv2.VideoCapture(str(path)), 0, 0
    while True:
        there, frame = reader.read()
        if not there:
            return rows
        if number % 8 == 0:
            picture = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            found = extractor.detector.detect([picture])[0]
            for box, marks in zip(found.box_px[:1], found.landmarks_px[:1]):
                crop = cut_out(picture, crop_matrix("aligned", box, marks, 224), 224)
                rows += len(extractor.embedder.embed(crop[None]))
        number += 1
"""
WHOLE_FRAMES = """
import cv2, torch
from PIL import Image
from torchvision import transforms
from affect.stages.features.backbones.load import load_backbone
net = load_backbone(config.backbone, config.weights, config.preprocessing, config.taps)
scale = transforms.Compose([transforms.Resize(224), transforms.CenterCrop(224), transforms.PILToTensor()])
def run(path):
    reader, number, rows, batch = cv2.VideoCapture(str(path)), 0, 0, []
    with torch.no_grad():
        while True:
            there, frame = reader.read()
            if there and number % 8 == 0:
                batch.append(scale(Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))).permute(1, 2, 0))
            number += 1
            if batch and (len(batch) == 32 or not there):
                rows += len(net(net.preprocess(torch.stack(batch))))
                batch = []
            if not there:
                return rows
"""
END = """
run(short)
begun, worked = time.perf_counter(), time.process_time()
rows = run(video)
print(json.dumps([time.perf_counter() - begun, time.process_time() - worked,
                  resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, rows]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commit", default="c19fa5a")
    parser.add_argument("--seconds", type=int, default=157)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    machine = hardware()
    with tempfile.TemporaryDirectory() as folder:
        here, earlier = Path(folder, "here"), Path(folder, "earlier")
        for place in (here, earlier):
            place.mkdir()
        (here / "affect").symlink_to(SOURCE)
        archive = subprocess.run(["git", "archive", "--prefix=affect/", args.commit], cwd=SOURCE, check=True,
                                 capture_output=True)  # fmt: skip
        subprocess.run(["tar", "-x", "-C", str(earlier)], input=archive.stdout, check=True)
        video, short = make_video(Path(folder), args.seconds), make_video(Path(folder), 6, name="short.mp4")
        kinds: dict[str, tuple[Path, str, dict[str, Any]]] = {
            "earlier, torch": (earlier, PIPELINE, {}),
            "torch": (here, PIPELINE, {}),
            "openvino": (here, PIPELINE, {"engine": "openvino"}),
            "openvino bf16": (here, PIPELINE, {"engine": "openvino", "precision": "bf16"}),
            "frame by frame": (here, FRAME_BY_FRAME, {}),
            "whole frames": (here, WHOLE_FRAMES, {}),
        }
        found: dict[str, list[list[float]]] = {name: [] for name in kinds}
        for _ in range(args.repeats):
            for name, (path, work, settings) in kinds.items():
                words = [str(video), str(short), str(machine["cores"]), json.dumps(settings)]
                done = subprocess.run([sys.executable, "-c", BEGIN + work + END, *words], check=True, text=True,
                                      capture_output=True, env={**os.environ, "PYTHONPATH": str(path)},
                                      cwd=folder)  # fmt: skip
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
    seconds = {name: [row[0] for row in rows] for name, rows in found.items()}
    measured = {
        "video": f"640x360, 25 fps, {args.seconds} s, one face", "kept_fps": KEPT_FPS, "earlier": args.commit,
        "kinds": {
            name: {
                "seconds": round(statistics.median(seconds[name]), 2),
                "times_real_time": round(args.seconds / statistics.median(seconds[name]), 1),
                "seconds_of_the_cores": round(statistics.median(row[1] for row in rows), 2),
                "peak_mb": round(max(row[2] for row in rows)),
                "rows": int(rows[0][3]),
                "over_earlier": round(ratio(seconds["earlier, torch"], seconds[name]), 2),
            }
            for name, rows in found.items()
        },
        "repeats": args.repeats,
    }  # fmt: skip
    write_result("against", measured, machine)


if __name__ == "__main__":
    main()
