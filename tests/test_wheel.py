"""The package as a user has it: a wheel in an environment of its own, away from the checkout."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from affect.tests.predictions import write_face_video

ROOT = Path(__file__).resolve().parent.parent
SMALL = ("--faces", "none", "--backbone", "timm:test_convnext", "--weights", "random")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of a copy, since setuptools leaves a folder `build` behind."""
    folder = tmp_path_factory.mktemp("wheel")
    kept = shutil.ignore_patterns(".git", ".venv*", "*.egg-info", "__pycache__", ".*_cache")
    made = {ROOT / name for name in ("build", "dist", "demo")}

    def ignored(place: str, names: list[str]) -> set[str]:
        return kept(place, names) | {name for name in names if Path(place, name) in made}

    shutil.copytree(ROOT, folder / "a checkout", ignore=ignored)
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder)]
    done = subprocess.run(
        [sys.executable, *words, str(folder / "a checkout")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def test_a_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith("/METADATA"))
    for name in ("__init__.py", "cli.py", "py.typed", "cache/system.py", "configs/presets/small.yaml",
                 "stages/views/viewer_page/page.html"):  # fmt: skip
        assert f"affect/{name}" in names, name
    assert any(name.endswith("licenses/LICENSE") for name in names)
    described = metadata.partition("\n\n")[2]
    assert "# affect" in described and "Description-Content-Type: text/markdown" in metadata
    leads = re.findall(r"\]\(([^)]+)\)|(?:src|href)=\"([^\"]+)", described)
    assert not [target for target in leads if not "".join(target).startswith("https://")], "a link that an index breaks"
    assert not [
        name for name in names if name.startswith(("affect/tests", "affect/benchmarks", "affect/docs", "tests/"))
    ]
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist: ") and "extra ==" not in line]
    for tool in (
        "pytest",
        "moto",
        "boto3",
        "ray",
        "dask",
        "openvino",
        "ruff",
        "mypy",
        "playwright",
        "sphinx",
        "furo",
        "myst",
    ):
        assert not [line for line in needed if line.removeprefix("Requires-Dist: ").startswith(tool)], tool


def test_the_wheel_works_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "own")], check=True)
    python = tmp_path / "own" / ("Scripts" if os.name == "nt" else "bin") / Path(sys.executable).name
    place = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    home = Path(subprocess.run(place, capture_output=True, text=True, check=True).stdout.strip())
    install = ["-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, *install], check=True)
    (home / "parent.pth").write_text(sysconfig.get_path("purelib"), "utf-8")  # its libraries, not its affect
    where = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    (tmp_path / "elsewhere" / "videos").mkdir(parents=True)

    def run(*words: str) -> str:
        done = subprocess.run(words, cwd=tmp_path / "elsewhere", env=where, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    affect = str(python.with_name("affect"))
    assert Path(run(str(python), "-c", "import affect; print(affect.__file__)").strip()).is_relative_to(
        tmp_path / "own"
    )
    assert "extract-features" in run(affect, "--help")
    assert run(affect, "--version").strip().endswith("0.1.0")
    people = ("ann", "ben", "cleo", "dora")
    rows = ["video,subject,start_s,end_s,split,valence"]
    for number, person in enumerate(people):
        path = write_face_video(tmp_path / "elsewhere" / "videos" / f"{person}.mp4", seconds=4.0)
        path.write_bytes(path.read_bytes() + bytes(number))
        split = {"cleo": "validation", "dora": "test"}.get(person, "train")
        rows += [f"{person}.mp4,{person},{at},{at + 1},{split},{(number + at) % 5 / 5}" for at in range(4)]
    (tmp_path / "elsewhere" / "labels.csv").write_text("\n".join(rows) + "\n", "utf-8")
    assert "1 stored" in run(affect, "extract-features", "videos/ann.mp4", "--store", "default")  # as it comes
    assert "4 stored" in run(affect, "extract-features", "videos", "--store", "features", *SMALL)
    train = ("train-temporal", "--store", "features", "--labels", "labels.csv", "--run", "run", "--config", "small")
    run(affect, *train, "--set", "training.epochs=1", "--set", "clips.length=4", "--set", "labels.targets=[valence]")
    run(affect, "predict", "dora.mp4", "--run", "run", "--store", "features", "--output", "out")
    run(affect, "report", "run")
    assert (tmp_path / "elsewhere" / "out" / "viewer.html").stat().st_size > 10_000
