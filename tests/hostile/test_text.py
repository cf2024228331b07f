"""Text from outside, wherever it leaves: nothing in a name is obeyed by what shows it."""

import io
import itertools
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from affect.cache.csv_cells import from_cells, to_cells
from affect.cache.manifest import Manifest, read_manifest, write_manifest
from affect.cache.predictions import VideoPrediction
from affect.cache.records import Target
from affect.cli import main
from affect.configs.load import load_config
from affect.configs.plain_text import cell, from_cell, sentence, spelled
from affect.pipeline.events import Moved, Planned, VideoOutcome
from affect.pipeline.report.data import read_evaluated_run
from affect.pipeline.report.report import write_report
from affect.pipeline.terminal.bars import bars
from affect.pipeline.train.train import train
from affect.stages.views.annotations import elan, webvtt
from affect.stages.views.plot import plot_person
from affect.stages.views.rules import escaped
from affect.stages.views.viewer import video_block
from affect.tests.generated import GeneratedData, generated_features
from affect.tests.predictions import made_person, made_prediction

TINY = (
    "model.width=8",
    "model.heads=2",
    "model.layers=1",
    "model.feed_forward=8",
    "training.epochs=1",
    "evaluation.protocol=k-fold",
    "evaluation.folds=2",
)
OBEYED = [*map(chr, [*range(32), *range(127, 160), 0x61C, 0x200E, 0x200F, 0x2028, 0x2029])]
OBEYED += [chr(code) for code in [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]]
TITLE = "\x1b]0;owned\x07"
NAMES = [
    TITLE,
    "a\nFAKE 1 stored",
    "\u202egnp.exe",
    "$\\frac{$",
    "=cmd|' /C calc'!A0",
    "[red]x[/nope]",
    "\x9b2J",
    "<b>&amp;",
    "-->",
]
FORMULAS = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "'=1", "''=1", "\uff1d1"]


def affect(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def named(name: str, **more: object) -> VideoPrediction:
    """A prediction whose video, targets, units and warnings are all called this."""
    made = made_prediction(made_person(1), made_person(2))
    targets = tuple(Target(f"{name}{number}", -1, 7, name) for number in range(2))
    return replace(made, video=name or "v", targets=targets, warnings=(name,), **more)  # type: ignore[arg-type]


def plain(text: str) -> bool:
    return not any(letter in text for letter in OBEYED if letter != "\n")


@pytest.mark.parametrize("letter", OBEYED, ids=lambda letter: f"U+{ord(letter):04X}")
def test_what_is_obeyed_is_spelled_as_json_does(letter: str) -> None:
    assert plain(spelled(f"a{letter}b")) and "\n" not in spelled(letter)
    assert json.loads(f'"{spelled(letter)}"') == letter
    assert plain(escaped(letter)) and plain(sentence(f"a{letter}b"))


def test_other_text_stays_as_it_is() -> None:
    for text in ("Grüße, 你好, مرحبا, שלום", "n\N{COMBINING TILDE}", "😀\u200d🔬", "a  b"):
        assert spelled(text) == text


@pytest.mark.parametrize(
    "command", ["check-videos", "report", "inspect-cache", "extract-features", TITLE, f"--{TITLE}"]
)
def test_no_command_prints_a_control_character_of_what_it_was_given(command: str, tmp_path: Path) -> None:
    bad = tmp_path / f"a{TITLE}\nFAKE 1 stored, 0 failed.mp4"
    bad.write_bytes(b"no video")
    more = ["--store", tmp_path / f"s{TITLE}"] if command == "extract-features" else []
    result = affect(command, bad, *more)
    assert result.exit_code
    assert plain(result.output), repr(result.output)
    assert not [line for line in result.output.splitlines() if line.startswith("FAKE")]


@pytest.mark.parametrize("option", [["--jobs", f"{TITLE}"], [f"--nothing{TITLE}"], ["--format", TITLE]])
def test_clicks_own_errors_are_spelled_out(option: list[str], tmp_path: Path) -> None:
    result = affect("extract-features", tmp_path, "--store", tmp_path / "s", *option)
    assert result.exit_code == 2 and plain(result.output) and "owned" in result.output


def test_json_keeps_the_name_and_has_no_control_character(tmp_path: Path) -> None:
    bad = tmp_path / f"a{TITLE}\u202e\x9b.mp4"
    bad.write_bytes(b"no video")
    result = affect("check-videos", bad, "--json")
    assert plain(result.stdout)
    assert json.loads(result.stdout)["videos"][0]["path"] == str(bad)


@pytest.mark.parametrize("name", NAMES)
def test_progress_shows_a_name_and_no_markup(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from affect.pipeline.terminal import bars as module

    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=200, color_system=None)
    monkeypatch.setattr(module, "Console", lambda **more: console)
    events = [Planned(1), Moved(name, 1.0, 2.0, 3), VideoOutcome(name, name, "done")]
    assert list(bars(event for event in events)) == events
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", written.getvalue())
    assert spelled(name)[:10] in shown and "\x1b" not in shown and "\x07" not in shown


@pytest.mark.parametrize("name", NAMES)
def test_an_elan_document_is_well_formed_and_says_the_name(name: str, tmp_path: Path) -> None:
    document = ET.fromstring(elan(named(name), tmp_path, datetime.now(UTC)))
    tiers = [tier.attrib["TIER_ID"] for tier in document.iter("TIER")]
    assert f"person 1 {spelled(name)}0" in tiers


@pytest.mark.parametrize("name", ["a\n\nb", "a\r\rb", "x 00:00:00.000 --> 00:00:59.000", "-->", "\n00:00 --> 00:09\nb"])
def test_a_name_forges_no_caption(name: str) -> None:
    said = webvtt(named(name))
    blocks = said.strip().split("\n\n")
    assert blocks[0] == "WEBVTT" and "\r" not in said
    for block in blocks[1:]:
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} --> \d\d:\d\d:\d\d\.\d{3}", block.split("\n")[0])
        assert block.count("-->") == 1
    assert len(blocks) == len(webvtt(named("a")).strip().split("\n\n"))


@pytest.mark.parametrize("name", [*NAMES, "😀你", "n" * 5000, "$x$ $$", "\\"])
def test_a_plot_is_drawn_whatever_a_target_is_called(name: str, recwarn: pytest.WarningsRecorder) -> None:
    made = named(name)
    assert plot_person(made, made.persons[0]).startswith(b"\x89PNG")
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("name", [*NAMES, "</script>"])
def test_the_viewer_shows_a_name_and_obeys_none(name: str, tmp_path: Path) -> None:
    block = video_block(named(name), tmp_path)
    text = block.partition(">")[2].rpartition("</script>")[0]
    value = json.loads(text)
    assert "<" not in text and plain(block.rstrip("\n"))
    for shown in (value["name"], value["warnings"][0], value["targets"][0]["name"], value["targets"][0]["unit"]):
        assert plain(shown) and "\n" not in shown


@pytest.mark.parametrize("text", [*FORMULAS, *NAMES, "", "a=1", "'a", "'"])
def test_a_cell_is_never_computed_and_gives_its_text_back(text: str) -> None:
    assert not re.match(r"[=+\-@\t\r\n\uff1d]", cell(text))
    assert from_cell(cell(text)) == text == from_cell(cell(from_cell(cell(text))))


def test_a_table_keeps_its_numbers_and_gives_its_names_back() -> None:
    table = pd.DataFrame({"=t": [-1.5, 2.0], "subject": ["=a", "b"], "n": [-1, 2]})
    written = to_cells(table).to_csv(index=False)
    assert written.splitlines()[:2] == ["'=t,subject,n", "-1.5,'=a,-1"]
    pd.testing.assert_frame_equal(from_cells(pd.read_csv(io.StringIO(written))), table)


def test_a_label_table_written_and_read_holds_the_same_names(tmp_path: Path) -> None:
    videos = ["=a.mp4", "-b.mp4", "'=c.mp4", "'d.mp4"]
    made = Manifest(
        videos, ["+1", "@x", "'-2", "p"], np.zeros(4), np.ones(4), None, (Target("=v"),), np.arange(4.0)[:, None]
    )
    write_manifest(made, tmp_path / "labels.csv")
    read = read_manifest(tmp_path / "labels.csv")
    assert (read.videos, read.subjects, read.target_names) == (videos, made.subjects, ("=v",))
    for row in (tmp_path / "labels.csv").read_text().splitlines():
        assert not [word for word in row.split(",")[:2] if word[0] in "=+-@"]


def cells_of(path: Path) -> list[str]:
    table = pd.read_csv(path, dtype=str, keep_default_na=False, header=None)
    return [text for text in itertools.chain(*table.to_numpy().tolist()) if not re.fullmatch(r"-?[\d.e-]+", text)]


def test_no_table_of_a_run_is_computed_and_its_report_has_the_names_as_they_are(tmp_path: Path) -> None:
    data = GeneratedData(subjects=4, video_frames=(64, 64), feature_size=8)
    made = generated_features(tmp_path / "store", tmp_path / "labels.csv", data).manifest
    odd = replace(made, subjects=[f"={name}" for name in made.subjects], targets=(Target("@v"), Target("\nw")))
    write_manifest(odd, tmp_path / "labels.csv")
    config = load_config(None, TINY)
    run = tmp_path / "run"
    for _ in train(str(tmp_path / "store"), tmp_path / "labels.csv", run, config, device="cpu"):
        pass
    tables = [*run.rglob("*.csv")]
    assert len(tables) == 3
    for path in tables:
        assert not [text for text in cells_of(path) if text[:1] in tuple("=+-@\n")], path
    page = write_report(run).read_text("utf-8")
    assert ">Subject =s0000 " in page and "@v" in page
    read = read_evaluated_run(run)
    assert set(read.metrics.spans.per_subject) == set(read.level("spans")["subject"]) == set(odd.subjects)
