"""What Ctrl-C and SIGTERM leave, and the line that goes on: it is taken from the screen, typed, and ends the same."""

import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from affect import cli
from affect.cache import open_store
from affect.cache.records import DTYPES
from affect.cli import main
from affect.configs.plain_text import command_line
from affect.tests.generated import GeneratedData, generated_features
from affect.tests.predictions import write_face_video

FOLDER = 'it\'s a "study" $HOME'  # what a shell would not leave alone
SMALL = ("--backbone", "pixels", "--sample-fps", "source", "--device", "cpu")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a short video, its features, and the command as a program of its own."""
    place = tmp_path_factory.mktemp("desk")
    (place / FOLDER).mkdir()
    write_face_video(place / FOLDER / "film.mp4", seconds=10.0)
    command = place / "bin" / "affect"
    command.parent.mkdir()
    command.write_text(
        f"#!{sys.executable}\nimport sys\nfrom affect.cli import main\nsys.exit(main())\n", "utf-8"
    )  # as an installer writes it
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    generated_features(place / "made", place / "made.csv", GeneratedData(subjects=6, video_frames=(64, 64)))
    assert run(place, [sys.executable, "-m", "affect", "extract-features", FOLDER, "--store", "whole", *SMALL])[0] == 0
    return place


def environment(desk: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{desk / 'bin'}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}


def run(desk: Path, words: list[str] | str) -> tuple[int, str]:
    done = subprocess.run(
        words, cwd=desk, env=environment(desk), shell=isinstance(words, str), capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    return done.returncode, done.stderr


def stopped(desk: Path, words: list[str], when: Callable[[], bool], how: signal.Signals) -> tuple[int, list[str]]:
    """Exit code, and what was said, of a command that gets a signal when something is there."""
    process = subprocess.Popen(
        words, cwd=desk, env=environment(desk), stderr=subprocess.PIPE, text=True,
        preexec_fn=_hears_of_ctrl_c,  # noqa: PLW1509 - it sets a signal alone
    )  # fmt: skip
    deadline = time.monotonic() + 200
    while not when():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(how)
    _, said = process.communicate(timeout=30)
    assert "Traceback" not in said
    return process.returncode, said.splitlines()


def _hears_of_ctrl_c() -> None:
    """A shell lets what it runs in the background ignore it, and so what that starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def blocks(store: Path) -> int:
    return len(list((store / ".journal").rglob("block-*")))


def same(one: Path, other: Path) -> None:
    first, second = open_store(one), open_store(other)
    assert first.ids() == second.ids() != []
    for name in first.ids():
        mine, yours = first.read(name), second.read(name)
        assert all(np.array_equal(getattr(mine, array), getattr(yours, array)) for array in DTYPES)


SCRIPT, MODULE = ["affect"], [sys.executable, "-m", "affect"]


# Which signal it is and how the program was started have nothing to do with each other.
@pytest.mark.parametrize(
    ("program", "how"), [(SCRIPT, signal.SIGTERM), (MODULE, signal.SIGINT)], ids=["script", "module"]
)
def test_the_line_that_is_printed_goes_on_with_an_extraction(
    desk: Path, program: list[str], how: signal.Signals
) -> None:
    store = desk / f"features {how.name} {len(program)}"
    words = [*program, "extract-features", FOLDER, "--store", store.name, *SMALL]
    code, said = stopped(desk, words, lambda: blocks(store) >= 2, how)
    assert code == {signal.SIGINT: 130, signal.SIGTERM: 143}[how]
    assert said[-2] == "Stopped. What was committed is kept; the same command goes on from there:"
    assert shlex.split(said[-1]) == words
    kept = blocks(store)
    assert kept >= 2 and open_store(store).ids() == []
    code, error = run(desk, f"{said[-1]} --verbose")
    assert code == 0 and "film.mp4: goes on behind " in error, error
    same(store, desk / "whole")


def test_the_line_that_is_printed_goes_on_with_training_and_has_resume_where_a_run_is_there(desk: Path) -> None:
    runs = ["run stopped", "run whole"]
    sizes = ("model.width=16", "model.heads=2", "model.layers=1", "model.feed_forward=16", "training.patience=0")
    given = ("training.epochs=60", "training.seeds=1", "evaluation.protocol=k-fold", "evaluation.folds=2", *sizes)
    settings = [word for setting in given for word in ("--set", setting)]
    words = [*SCRIPT, "train-temporal", "--store", "made", "--labels", "made.csv", "--device", "cpu", *settings]
    state = desk / runs[0] / "folds" / "00" / "checkpoint.pt"
    code, said = stopped(desk, [*words, "--run", runs[0]], state.exists, signal.SIGINT)
    assert code == 130 and said[-2] == "Stopped. What was committed is kept; this goes on from there:"
    assert shlex.split(said[-1]) == [*words[:2], "--resume", *words[2:], "--run", runs[0]]
    code, error = run(desk, said[-1])
    assert code == 0, error
    assert run(desk, [*words, "--run", runs[1]])[0] == 0
    metrics = [(desk / name / "metrics.json").read_bytes() for name in runs]
    assert metrics[0] == metrics[1]


def test_the_line_that_is_printed_goes_on_with_a_prediction(desk: Path) -> None:
    (desk / "film.csv").write_text(
        "video,subject,start_s,end_s,split,mood\n"
        + "".join(
            f"film.mp4,{split},{start},{start + 1},{split},{start % 5 / 5}\n"
            for number, split in enumerate(("train", "validation", "test"))
            for start in range(3 * number, 3 * number + 3)
        ),
        "utf-8",
    )
    train = ["affect", "train-temporal", "--store", "whole", "--labels", "film.csv", "--run", "of film"]
    train += ["--set", "training.epochs=1", "--set", "evaluation.allow_shared_subjects=true", "--config", "small"]
    code, error = run(desk, [*train, "--set", "training.seeds=1"])
    assert code == 0, error
    words = ["affect", "predict", f"{FOLDER}/film.mp4", "--run", "of film", "--device", "cpu", "--output"]
    features = desk / "out" / "features"
    code, said = stopped(desk, [*words, "out"], lambda: blocks(features) >= 2, signal.SIGINT)
    assert code == 130 and shlex.split(said[-1]) == [*words, "out"]
    code, error = run(desk, said[-1])
    assert code == 0, error
    assert run(desk, [*words, "undisturbed"])[0] == 0
    tables = [(desk / name / "predictions.csv").read_bytes() for name in ("out", "undisturbed")]
    assert tables[0] == tables[1] and tables[0].count(b"\n") > 3


def interrupted(*words: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a command says that is stopped as soon as it begins."""

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    name = words[0]
    monkeypatch.setattr(main.commands[name], "callback", stop)
    monkeypatch.setattr(cli, "_program", lambda: ["affect"])
    result = CliRunner().invoke(main, list(words))
    assert result.exit_code == 130
    return result.stderr.splitlines()


@pytest.mark.parametrize(
    "words",
    [
        ("extract-features", "v", "--store", "s", "--overwrite"),
        ("check-videos", "v"),
        ("predict", "v", "--run", "r", "--output", "o", "--pseudonymise", "key"),
        ("train-temporal", "--store", "s", "--labels", "l", "--run", "nowhere"),
    ],
    ids=["--overwrite", "nothing to keep", "nothing is stored", "no run yet"],
)
def test_what_begins_again_is_said_to(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    assert interrupted(*words, monkeypatch=monkeypatch) == [
        "Stopped. This begins again:", f"affect {' '.join(words)}"
    ]  # fmt: skip


def test_of_torchrun_no_line_of_one_process_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    said = interrupted("train-temporal", "--store", "s", "--labels", "l", "--run", "r", monkeypatch=monkeypatch)
    assert len(said) == 1 and "the same torchrun command with --resume" in said[0]


ODD = ["plain", "a b", "it's", '"', "a\nb", "\x1b[31m", "$HOME", "-x", "", "\u202eabc", "a\\b\n", "\udcff", "*", "ä"]


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_a_shell_reads_every_name_back_from_one_line(shell: str) -> None:
    words = [word for word in ODD if shell == "bash" or command_line([word], windows=False)[:1] != "$"]
    line = command_line([sys.executable, "-c", "import os, sys; print(list(map(os.fsencode, sys.argv[1:])))", *words],
                        windows=False)  # fmt: skip
    assert line.isprintable()
    said = subprocess.run([shell, "-c", line], capture_output=True, text=True, check=True).stdout
    assert said.strip() == repr(list(map(os.fsencode, words)))


def test_on_windows_words_are_quoted_as_cmd_wants_it() -> None:
    line = command_line(["affect", "predict", r"C:\my videos\a.mp4", "R&D", "50%", "plain"], windows=True)
    assert line == r'affect predict "C:\my videos\a.mp4" "R&D" "50%" plain'
