"""Each warning once, what changes the meaning of results first, and no page that begins with a wall of them."""

import re

import numpy as np
import pytest

from affect.cache.predictions import RangeCheck, ScoreReason
from affect.pipeline.train.training_set import LEVELS_LOST
from affect.stages.temporal.pauses import other_length
from affect.stages.temporal.splits import Finding, Fold
from affect.stages.views.html import warning
from affect.stages.views.rules import PEOPLE_SHARED
from affect.stages.views.warned import in_order, matters, together, weight


def fold(*sides: str) -> Fold:
    none = np.empty(0, np.int64)
    return Fold(0, none, none, none, {}, (Finding("anna", "people (1)", sides),))


TURNS = [PEOPLE_SHARED, *fold("train", "test").warnings]
PARTS = ["runs/a has no model of fold 01: its training failed", "fold 01 (anna) failed and is not part of any number"]
PARTS += ["4 of 5 models used: fold 03 is missing from runs/a"]
UNKNOWN = [RangeCheck(1, None).sentence, other_length(0.2, 16, 25.0), f"{ScoreReason.NO_NUMBER.sentence} for 2 of 9"]
LESS = [LEVELS_LOST, "a.mp4 is left out: it is damaged", "cut short: decoding ended at 1.00 s of the 9.00 s"]
LESS += fold("train", "validation").warnings
NOTES = ["no range is given for a, b: taken as -1 to 1 from their values; labels.ranges.a says it",
         "the longest labelled span holds 4 kept frames, so clips are that long, not 16"]  # fmt: skip


def test_what_turns_the_numbers_over_comes_first_and_notes_come_last() -> None:
    groups = [TURNS, PARTS, UNKNOWN, LESS, NOTES]
    weights = [{weight(words) for words in group} for group in groups]
    assert all(len(found) == 1 for found in weights), weights
    assert [found.pop() for found in weights] == [0, 1, 2, 3, 4]
    everything = [words for group in groups for words in group]
    assert in_order(everything[::-1] + everything) == [words for group in groups for words in group[::-1]]
    assert [matters(words) for words in everything] == [words not in NOTES for words in everything]


def test_what_is_said_of_several_is_said_once_with_their_names() -> None:
    said = [(f"{letter}.mp4", "the same") for letter in "abcde"] + [("b.mp4", "cut short: b"), ("a.mp4", "the same")]
    assert together(said) == ["b.mp4: cut short: b", "a.mp4, b.mp4, c.mp4 and 2 more: the same"]


@pytest.mark.parametrize(("many", "folded"), [(0, 0), (1, 0), (3, 0), (4, 1), (16, 13)])
def test_a_page_shows_three_and_folds_the_others(many: int, folded: int) -> None:
    page = warning([f"warning {number} <b>" for number in range(many)])
    opened, _, more = page.partition("<details>")
    assert opened.count("<p>") == many - folded and more.count("<p>") == folded and "<b>" not in page
    assert (f"{folded} more warning" in page) == bool(folded)
    assert len(re.findall("warning \\d+ &lt;b&gt;", page)) == many
