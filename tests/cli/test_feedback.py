"""`--verbose`, `--quiet` and `--log`, the lines of a batch log, and docs/feedback.md, whose commands run."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from affect import cli
from affect.cache.pseudonyms import Pseudonyms
from affect.cli import main
from affect.pipeline import events
from affect.pipeline.events import Begun, LeftToOther, Moved, Planned, ScoresPlanned, Step, VideoFailed, VideoOutcome
from affect.pipeline.terminal import bars as bars_module
from affect.pipeline.terminal.bars import bars
from affect.pipeline.terminal.told import told
from affect.stages.views import overview, story
from affect.tests.desk import make_desk
from affect.tests.generated import GeneratedData, generated_features
from affect.tests.predictions import made_person, made_prediction

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "feedback.md").read_text("utf-8")
TIMED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d .*")
KEY = "8f2c61d07be94a35c1e6f09d3b7a5824"
NAMES = ("annabelle", "Muster", "ward-seven", "bertram")
TINY = ("--device", "cpu", "--set", "model.width=8", "--set", "model.heads=2", "--set", "model.layers=1", "--set",
        "model.feed_forward=8", "--set", "clips.length=8", "--set", "evaluation.protocol=k-fold", "--set",
        "evaluation.folds=2", "--set", "training.seeds=1", "--set", "training.epochs=2")  # fmt: skip
Affect = Callable[..., Result]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    data = GeneratedData(subjects=6, videos=1, video_frames=(64, 64), feature_size=6)
    generated_features(folder / "store", folder / "labels.csv", data)
    (folder / "labels.yaml").unlink(missing_ok=True)  # so that ranges are taken from the values, which is said
    return folder


def train(affect: Affect, desk: Path, run: Path, *more: object) -> Result:
    return affect(
        "train-temporal", "--store", desk / "store", "--labels", desk / "labels.csv", "--run", run, *TINY, *more
    )


def lines(log: Path) -> list[str]:
    found = log.read_text("utf-8").splitlines()
    assert all(TIMED.fullmatch(line) for line in found), found
    return [line.split(" ", 1)[1] for line in found]


def test_a_log_holds_what_is_said_and_the_result_with_times_and_goes_on_in_the_next_command(
    affect: Affect, desk: Path, tmp_path: Path
) -> None:
    log = tmp_path / "größe.log"
    quiet = train(affect, desk, tmp_path / "run", "--log", log, "--quiet")
    assert quiet.exit_code == 0, quiet.output
    found = lines(log)
    assert found[0].startswith("affect ") and "torch " in found[0] and found[1].startswith("typed: ")
    settled = next(line for line in found if line.startswith("settled: "))
    assert "device=cpu" in settled and "training.epochs=2" in settled and "features.engine=" in settled
    assert [line for line in found if re.match(r"fold 0\d: (begun|done, 2 epochs, )", line)] != []
    assert sum(line.startswith("fold ") for line in found) == 4
    assert sum(line.startswith("warning: no range is given for ") for line in found) == 1, "of both targets, once"
    assert quiet.stdout.splitlines()[-1] in found and found[-1] == "ended with exit code 0"
    refused = train(affect, desk, tmp_path / "run", "--log", log)
    assert refused.exit_code == 2
    more = lines(log)
    assert more[: len(found)] == found and more[-1] == "ended with exit code 2"
    assert [line for line in more[len(found) :] if "already holds a run" in line and line.startswith("Error: ")]


def test_quiet_leaves_the_result_and_what_changes_its_meaning(affect: Affect, desk: Path, tmp_path: Path) -> None:
    usual = train(affect, desk, tmp_path / "usual")
    quiet = train(affect, desk, tmp_path / "quiet", "--quiet", "--set", "evaluation.allow_shared_subjects=true")
    assert "warning: no range" in usual.stdout and "labels.csv: " in usual.stderr
    assert not re.search("^(warning|note): ", quiet.stdout, re.M) and "held out: " in quiet.stdout
    assert "labels.csv: " not in quiet.stderr and "no range" not in quiet.output
    few = train(affect, desk, tmp_path / "few", "--quiet", "--set", "evaluation.protocol=leave-one-subject-out")
    assert few.exit_code == 0 and all(line.startswith("warning: ") for line in few.stderr.splitlines())


def test_verbose_says_it_on_the_error_stream_and_leaves_one_object_on_the_output(
    affect: Affect, desk: Path, tmp_path: Path
) -> None:
    said = train(affect, desk, tmp_path / "run", "--verbose", "--json")
    assert json.loads(said.stdout)["failed"] == {} and said.stdout.count("\n") == 1
    assert "settled: device=cpu" in said.stderr and "fold 01: done, 2 epochs" in said.stderr
    plain = train(affect, desk, tmp_path / "plain", "--json")
    assert plain.stderr == ""
    both = affect("info", "--verbose", "--quiet")
    assert both.exit_code == 2 and "--quiet" in both.stderr


@pytest.mark.parametrize(
    "place", ["folder", "other", "input", "empty/run", "store/a.log", "none/a.log", "pipe", "link"]
)
def test_a_log_replaces_nothing_and_lies_in_no_store_and_no_run(
    affect: Affect, desk: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "other").write_text("2026 affect: my notes\n", "utf-8")
    (tmp_path / "input").write_bytes((desk / "labels.csv").read_bytes())
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "store.json").write_bytes((desk / "store" / "store.json").read_bytes())
    (tmp_path / "empty" / "run").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    log = tmp_path / place / "a.log" if place == "empty/run" else tmp_path / place
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    result = train(affect, desk, tmp_path / "empty" / "run", "--log", log)
    assert result.exit_code == 2 and str(log) in result.stderr, result.output
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "elsewhere").exists()


def test_a_log_that_can_no_longer_be_written_is_said_once_and_costs_nothing(
    affect: Affect, desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("affect.cache.log_file.os.write", full)
    result = train(affect, desk, tmp_path / "run", "--log", tmp_path / "a.log")
    assert result.exit_code == 0 and result.stderr.count("the log ends here: no space left") == 1


def test_no_name_of_a_video_is_in_the_log_of_a_prediction_under_pseudonyms(
    affect: Affect, desk: Path, tmp_path: Path
) -> None:
    run, key, log = tmp_path / "run", tmp_path / "key", tmp_path / "a.log"
    assert train(affect, desk, run).exit_code == 0
    shutil.copytree(desk / "store", tmp_path / "store")
    name = "ward-seven/annabelle-Muster.mp4"
    assert affect("edit-cache", tmp_path / "store", "rename", "s0000/v000", name).exit_code == 0
    key.write_text(KEY, "utf-8")
    key.chmod(0o600)
    words = ("predict", name, tmp_path / "ward-seven" / "bertram.mp4", "--store", tmp_path / "store", "--run", run)
    how = ("--output", tmp_path / "out", "--pseudonymise", key, "--device", "cpu", "--log", log)
    result = affect(*words, *how, "--verbose")
    assert result.exit_code == 1, result.output  # one of them does not exist
    found = "\n".join(lines(log))
    assert "v-" in found and "clips scored" in found and "failed: " in found
    assert [name for name in NAMES if name in found or name in result.stderr.partition("failed: v-")[0]] == []
    assert affect(*words, *how, "--set", "clips.hop=x").exit_code == 2, "an error names what was typed, but not here"
    assert [name for name in NAMES if name in log.read_text("utf-8")] == []


def test_no_event_under_pseudonyms_tells_a_name() -> None:
    name, path = "ward-seven/annabelle Muster.mp4", Path("/data/ward-seven/annabelle Muster.mp4")
    why = f"{path}: 'annabelle Muster' cannot be read (ward-seven/{path.name})"
    made = made_prediction(made_person(1), source=path)
    plan = ScoresPlanned((name,), "/runs/bertram", "0" * 64, 1, made.targets, made.training_means, "main", 4, 4)
    happen = [
        plan, Step("note: the CPU computes"), Planned(1, {name: 9.0}, {"device": "cpu"}), Begun(name, 9.0, 0),
        Begun(name, 9.0, 32), LeftToOther(name), VideoOutcome(name, str(path), "failed", why),
        VideoOutcome(name, str(path), "done", frames=3, warnings=(why,)), VideoFailed(name, path, why),
        replace(made, video=name, warnings=(why,)),
    ]  # fmt: skip
    teller = story.Story()
    said = [line for event in happen for line in told(teller, event, Pseudonyms(KEY.encode()))]
    assert len(said) >= 12 and [line for line in said if any(word in line for word in NAMES)] == []
    assert sum("v-" in line for line in said) >= 9
    real = [line for event in happen for line in told(story.Story(), event, None)]
    assert len(real) == len(said) and any("annabelle" in line for line in real)


def test_a_name_cannot_forge_a_line(affect: Affect, tmp_path: Path) -> None:
    video = tmp_path / "a\n2026-01-01T00:00:00+00:00 forged\x1b[2J.mp4"
    video.write_bytes(b"no video")
    log = tmp_path / "a.log"
    affect("extract-features", video, "--store", tmp_path / "s", "--device", "cpu", "--log", log, "--verbose")
    assert not [line for line in lines(log) if line.startswith("forged")]
    assert log.read_text("utf-8").replace("\n", "").isprintable()


def happening(pause_s: float) -> Iterator[events.Planned | Begun | Moved | VideoOutcome]:
    names = [f"{letter}.mp4" for letter in "abc"]
    yield Planned(3, dict.fromkeys(names, 60.0))
    for name in names:
        yield Begun(name, 60.0, 0)
        for block in range(1, 4):
            time.sleep(pause_s)
            yield Moved(name, 20.0 * block, 60.0, 100 * block)
        yield VideoOutcome(name, name, "done", frames=300)


def test_where_nobody_looks_a_line_comes_at_its_time_and_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bars_module, "BATCH_LINE_EVERY_S", 0.3)
    monkeypatch.setattr("affect.stages.views.pace.LEAST_S", 0.01)
    assert len(list(bars(happening(0.2)))) == 16  # type: ignore[arg-type]  # a generator is an iterator
    said = capsys.readouterr().err.splitlines()
    assert 3 <= len(said) <= 12
    shape = (
        r"\d\d:\d\d:\d\d \d of 3 videos, \d:\d\d of 3:00 of video, (\d+\.\d s of video a second, )?"
        r"(\d:\d\d left|time left not known yet)(; [abc]\.mp4 \d:\d\d of 1:00 of video(, \d+\.\d frames/s)?)?"
    )
    assert [line for line in said if not re.fullmatch(shape, line)] == []
    assert len(said) == len(set(said))


@pytest.mark.parametrize("enabled", [True, False])
def test_a_short_command_or_one_that_is_not_to_be_seen_says_no_line(
    enabled: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bars_module, "BATCH_LINE_EVERY_S", 60.0 if enabled else 0.01)
    list(bars(happening(0.01), enabled=enabled))  # type: ignore[arg-type]  # as above
    assert capsys.readouterr().err == ""


def test_what_goes_on_before_there_is_a_plan_is_said_in_words() -> None:
    view = overview.Overview()
    assert view.rows(0.0)[0].name.startswith("getting ready: ")
    view.take(Planned(2, {"a": 60.0, "b": None}), 1.0)
    assert view.rows(1.0)[0].note == "0 of 2 videos, 0:00 of 2:00 of video, none has begun yet"
    view.take(Begun("a", 60.0, 0), 2.0)
    view.take(Moved("a", 6.0, 60.0, 32), 2.001)
    assert "frames/s" not in view.rows(2.001)[1].note and "a second" not in view.rows(2.001)[0].note
    view.take(Moved("a", 30.0, 60.0, 152), 12.001)
    assert view.rows(12.001)[1].note == "0:30 of 1:00 of video, 12.0 frames/s"
    view.take(VideoOutcome("b", "b", "skipped", "stored"), 12.002)
    assert view.rows(12.001)[0].note.startswith("0 of 1 videos, ")


def test_views_know_events_by_names_that_exist() -> None:
    from affect.cache.predictions import VideoPrediction
    from affect.cache.records import VideoCheck

    known = {name for name in dir(events) if isinstance(getattr(events, name), type)}
    assert (overview.TAKEN | story.TOLD) - known == {VideoCheck.__name__, VideoPrediction.__name__}


def test_every_command_of_the_page_runs_and_its_log_is_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from affect.pipeline.demo.film import DemoDataConfig

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "_program", lambda: ["affect"])
    make_desk(tmp_path, {"S01": "anna", "S02": "ben"}, DemoDataConfig(splits=(("train", 1), ("test", 1)), seconds=4.0))
    commands = [line[2:] for block in re.findall(r"```console\n(.*?)```", PAGE, re.S) for line in block.splitlines()
                if line.startswith("$ ")]  # fmt: skip
    assert len(commands) >= 2
    for command in commands:
        program, *words = command.split()
        assert program == "affect"
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, f"{command}\n{result.output}"
    kinds = [re.sub(r"[\d.:+-]+", "N", line.split(",")[0]) for line in re.findall(r"^(20\d\d-.*)$", PAGE, re.M)]
    found = {re.sub(r"[\d.:+-]+", "N", line.split(",")[0]) for line in Path("work.log").read_text("utf-8").splitlines()}
    assert len(kinds) >= 4 and set(kinds) <= found, set(kinds) - found
