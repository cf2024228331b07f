"""The measurement of the relational loss: what a row is made of, and what the page says of it."""

import json
from pathlib import Path

import numpy as np
import pytest

from affect.benchmarks.relational import Row, Scored, agreement, scored, smoothed, table
from affect.benchmarks.relational_page import RIDGE, sections
from affect.tests.generated import GeneratedData, generated_features

DATA = GeneratedData(subjects=4, videos=1, video_frames=(96, 96))
WORDS = ("evaluation.protocol=k-fold", "evaluation.folds=2", "training.epochs=4", "clips.context=0")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Scored]]:
    """Two rows of two seeds on generated features."""
    folder = tmp_path_factory.mktemp("relational")
    store, labels = folder / "features", folder / "labels.csv"
    generated_features(store, labels, DATA)
    rows = (Row("none", (*WORDS, "loss.relational_weight=0")), Row("longer", WORDS, 10.24))
    made = {
        row.name: [scored(str(store), str(labels), row.words, row.seconds, seed) for seed in (0, 1)] for row in rows
    }
    return {name: [item for item in items if item is not None] for name, items in made.items()}


def test_every_span_is_held_out_once_with_its_label(found: dict[str, list[Scored]]) -> None:
    for items in found.values():
        assert len(items) == 2
        for item, usual in zip(items, found["none"], strict=True):
            assert item.label.shape == item.score.shape == item.ridge.shape == (4 * 96 // 16, 2)
            assert len(np.unique(item.place[:, 1])) == 4 and set(item.place[:, 0]) == {0, 1}
            np.testing.assert_array_equal(item.label, usual.label)
    assert not np.allclose(found["none"][0].score, found["longer"][0].score)


def test_scores_are_smoothed_inside_a_video_alone() -> None:
    place = np.array([[0, 0]] * 4 + [[0, 1]] * 2)
    score = np.array([[0.0], [3.0], [6.0], [0.0], [10.0], [20.0]])
    found = smoothed(Scored(place, score, score, score), 3)
    assert found[:, 0].tolist() == [1.5, 3.0, 3.0, 3.0, 15.0, 15.0]


def test_a_gain_is_the_difference_of_means_on_the_same_seeds(found: dict[str, list[Scored]]) -> None:
    rows = {row["row"]: row for row in table("smoothing", found)}
    assert list(rows)[:2] == ["none", "longer"] and list(rows)[-1] == RIDGE and len(rows) == 6
    by_hand = [agreement(item.score, item.label)["pcc"] for item in found["longer"]]
    usual = [agreement(item.score, item.label)["pcc"] for item in found["none"]]
    assert rows["longer"]["pcc"]["gain"] == pytest.approx(np.mean(by_hand) - np.mean(usual))
    assert by_hand[0] == pytest.approx(
        np.mean([np.corrcoef(found["longer"][0].score[:, k], found["longer"][0].label[:, k])[0, 1] for k in (0, 1)])
    )
    assert rows["none"]["pcc"]["gain"] == 0


def test_the_page_has_the_newest_table_and_names_what_did_not_help(tmp_path: Path) -> None:
    def row(name: str, low: float, high: float) -> dict[str, object]:
        values = {"mean": 0.5, "gain": (low + high) / 2, "low": low, "high": high, "better": 7}
        return {"row": name, "seeds": 10, "pcc": values, "ccc": values}

    machine = {"processor": "a processor", "cores": 2, "torch": "2"}
    for day, name in (("2026-01-01", "earlier"), ("2026-01-02", "cosine")):
        rows = [
            row("none", 0, 0),
            row(name, 0.01, 0.02),
            row("expw", -0.1, 0.1),
            row("y-aware", -0.2, -0.1),
            row(RIDGE, 1, 1),
        ]
        measured = {"table": "terms", "recordings": "two people", "about": "Of two people.", "preset": "small",
                    "held_out": 19, "backbone": "a net", "sample_fps": 5.0, "left_out": [], "rows": rows}  # fmt: skip
        content = json.dumps({"hardware": machine, "measured": measured})
        (tmp_path / f"{day}-relational-terms-two-people.json").write_text(content)
    page = "\n".join(sections(tmp_path))
    assert "earlier" not in page and "### two people" in page and "2026-01-02-relational-terms-two-people.json" in page
    assert "| cosine | 0.500 | +0.015 [+0.010, +0.020] | 7 of 10 |" in page
    assert "- PCC, compared with `none`: **more**: cosine; **less**: y-aware; **not told apart**: expw." in page
    assert "## Longer clips" not in page
