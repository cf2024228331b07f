"""Intervals, means over subjects and what has no meaning, as the terminal and the pages say them; and older runs."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from affect.cache.metrics import Metrics
from affect.configs.load import load_config
from affect.errors import ConfigError
from affect.pipeline.report.compare import compare
from affect.pipeline.report.data import read_evaluated_run
from affect.pipeline.report.report import compare_runs, write_report
from affect.pipeline.runs.folder import RunFolder
from affect.stages.temporal.intervals import METHOD
from affect.stages.views.text_table import metrics_table

from .conftest import held_out, write_run

BOTH = ("valence", "arousal")
MINUS = "\N{MINUS SIGN}"


def two_targets(error: float, people: int = 5) -> pd.DataFrame:
    clips, other = held_out(people, 12, error), held_out(people, 12, error, seed=5)
    for name in ("", "_label", "_blend", "_ridge", "_mean"):
        clips[f"arousal{name}"] = other[f"valence{name}"]
    return clips


def page_words(path: Path) -> str:
    body = path.read_text("utf-8").partition("<body>")[2]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))


def terminal(run: Path) -> str:
    return "\n".join(metrics_table(Metrics.from_json(json.loads((run / "metrics.json").read_text("utf-8")))))


def shown(low: float, high: float) -> str:
    return f"{low:.3f} to {high:.3f}"


def test_all_targets_and_means_over_subjects_have_intervals_in_the_file_the_terminal_and_the_page(
    tmp_path: Path,
) -> None:
    run = write_run(tmp_path / "run", two_targets(0.4), BOTH)
    values = json.loads((run / "metrics.json").read_text("utf-8"))
    together = values["spans"]["model"]["all targets"]["ccc"]
    own = values["subject_means"]["spans"]["model"]
    assert together["targets"] == 2 and together["low"] < together["value"] < together["high"]
    assert own["valence"]["ccc"]["subjects"] == own["all targets"]["ccc"]["subjects"] == 5
    alone = [of["model"]["valence"]["ccc"] for of in values["per_subject"]["spans"].values()]
    assert own["valence"]["ccc"]["value"] == pytest.approx(np.mean(alone))
    lines, words = terminal(run), page_words(write_report(run))
    for score in (together, own["valence"]["ccc"], own["all targets"]["ccc"]):
        assert f"{score['value']:.3f}" in lines and shown(score["low"], score["high"]) in lines
        assert shown(score["low"], score["high"]).replace("-", MINUS) in words
    assert "Mean over subjects of what each has alone" in words and METHOD in words
    difference = re.search(r"ridge, paired: difference in CCC .*? all targets (\S+) \[(\S+), (\S+)\]", words)
    assert difference
    value, low, high = (float(number.replace(MINUS, "-")) for number in difference.groups())
    assert low < value < high


def test_a_comparison_has_all_targets_and_means_over_subjects(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, two_targets(error), BOTH) for name, error in (("a", 0.5), ("b", 0.3))]
    better = compare(runs).runs[1]
    gain = better.differences["all targets"]["ccc"]
    assert gain.value == pytest.approx(np.mean([better.differences[name]["ccc"].value for name in BOTH]))
    assert gain.low < gain.value < gain.high and better.scores["all targets"]["mae"].bounded
    assert better.subject_mean.value == pytest.approx(np.mean(list(better.subject_ccc.values())))
    assert better.subject_mean.bounded
    words = page_words(compare_runs(runs, tmp_path / "both.html"))
    assert f"+{gain.value:.3f}" in words and f"{better.subject_mean.value:.3f}" in words


CASES = {
    "labels": ({"valence_label": 0.5}, 3, "labels are constant"),
    "predictions": ({"valence": 0.25}, 3, "predictions are constant"),
    "one person": ({}, 1, "one subject: no interval"),
    "infinite": ({"valence": np.inf}, 3, "24 of 24 predictions are infinite"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_has_no_meaning_is_said_in_words_and_not_as_a_number(tmp_path: Path, case: str) -> None:
    harm, people, reason = CASES[case]
    run = write_run(tmp_path / "run", held_out(people, 8, 0.2).assign(**harm), ("valence",))
    line = re.split(r"  +", terminal(run).splitlines()[3])
    assert line[:2] == ["", "model"] and line[3] == reason
    words = page_words(write_report(run))
    assert reason in words
    nothing = f"Nothing can be said about 3 people never seen: {reason}."
    expected = {"labels": nothing, "one person": "1 person never seen"}
    assert expected.get(case, "Held out best on 3 people never seen: blend") in words
    assert not re.search(r"\bnan\b|\binf\b", words)
    if people > 1:
        assert line[2] == "-" and "0.000" not in words.partition("Metrics Agreement")[0]
    clips, networks = held_out(people, 8, 0.2).assign(**harm), ("evaluation.method=model",)
    runs = [write_run(tmp_path / name, clips, ("valence",), settings=networks) for name in ("one", "other")]
    assert reason in page_words(compare_runs(runs, tmp_path / "both.html"))


def older(run: Path) -> Path:
    """The same run as versions wrote it whose intervals came from resampling."""
    config = (run / "config.yaml").read_text("utf-8")
    (run / "config.yaml").write_text(config.replace("evaluation:\n", "evaluation:\n  bootstrap: 1000\n"), "utf-8")
    values: dict[str, Any] = json.loads((run / "metrics.json").read_text("utf-8"))
    del values["subject_means"], values["sha256"]
    values["interval"] = "95 %, bootstrap over subjects"
    for level in ("clips", "spans", "videos"):
        del values[level]["ccc over ridge"], values[level]["blend"]
        for method in ("model", "ridge", "mean"):
            for target, scores in values[level][method].items():
                del scores["icc21"]
                for score in scores.values():
                    del score["no_interval"]
                    if target == "all targets":
                        del score["low"], score["high"], score["reason"]
    (run / "metrics.json").write_text(json.dumps(values), "utf-8")
    return run


def without_blend(values: Any) -> Any:
    """Without the method that runs of before did not have, and the digest that goes with it."""
    if not isinstance(values, dict):
        return values
    return {name: without_blend(value) for name, value in values.items() if name not in ("blend", "sha256")}


def test_a_run_of_before_is_read_and_its_intervals_are_made_anew(tmp_path: Path) -> None:
    new, old = (write_run(tmp_path / name, two_targets(0.4), BOTH) for name in ("new", "old"))
    evaluated, fresh = read_evaluated_run(older(old)), read_evaluated_run(new)
    assert "blend" not in evaluated.metrics.spans.scores and evaluated.config == fresh.config
    assert without_blend(evaluated.metrics.to_json()) == without_blend(fresh.metrics.to_json())
    assert evaluated.method == "model"
    assert fresh.notes == () and len(evaluated.notes) == 1 and "bootstrap over subjects" in evaluated.notes[0]
    assert evaluated.metrics.interval_method == METHOD
    words = page_words(write_report(old))
    assert evaluated.notes[0] in words and "disagrees" not in words
    compare_runs([new, old], tmp_path / "both.html")
    RunFolder.create(old, load_config(), {"labels_sha256": "same"}, resume=True)  # and can be gone on with


def test_a_setting_that_is_gone_is_refused_where_a_person_names_it() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting evaluation\.bootstrap") as refused:
        load_config(None, ["evaluation.bootstrap=100"])
    assert refused.value.hint and "leave it out" in refused.value.hint


def captions(path: Path) -> list[str]:
    return [unescape(words) for words in re.findall(r"<figcaption>([^<]*)</figcaption>", path.read_text("utf-8"))]


def test_one_person_has_no_interval_and_no_caption_or_sentence_promises_one(tmp_path: Path) -> None:
    run = write_run(tmp_path / "one", two_targets(0.3, 1), BOTH)
    page, words = write_report(run), page_words(run / "report.html")
    assert {"valence: CCC (no interval: one subject)", "arousal: CCC (no interval: one subject)"} <= set(captions(page))
    assert "No value has an interval: one subject." in words and "95 % interval" not in words
    other = write_run(tmp_path / "other", two_targets(0.2, 1), BOTH)
    both = page_words(compare_runs([run, other], tmp_path / "both.html"))
    assert "No value has an interval: one subject." in both and "95 %" not in both


def test_differences_have_an_axis_of_their_own_and_every_page_one_order_of_metrics(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, two_targets(error), BOTH) for name, error in (("a", 0.3), ("b", 0.25))]
    text = write_report(runs[0]).read_text("utf-8")
    pictures = re.findall(r'<svg [^>]*aria-label="([^"]*)".*?</svg>', text)
    mixed = [words for words in pictures if "ridge regression" in words and "paired" in words]
    assert mixed == [] and sum("paired: difference in CCC" in words for words in pictures) == 1
    order = ["CCC", "PCC", "RMSE", "MAE", "ICC(3,1)", "ICC(2,1)"]
    for page in (text, compare_runs(runs, tmp_path / "both.html").read_text("utf-8")):
        heads = re.findall(r"<thead>(.*?)</thead>", page)
        tables = [re.findall(r'<th scope="col">([^<]*)', head) for head in heads]
        assert [head for head in tables if "CCC" in head] and all(head == order for head in tables if "CCC" in head)
    names = [name for name in re.split(r"  +", terminal(runs[0]).splitlines()[1]) if name in order]
    assert names == order
