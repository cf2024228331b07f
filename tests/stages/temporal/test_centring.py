"""What ridge regression says of `clips.centre`: where people differ by a shift, where by their levels, of too few."""

import numpy as np
import pytest
import torch

from affect.cache.records import Array
from affect.configs.schema import ClipsConfig
from affect.stages.temporal import centring
from affect.stages.temporal.baselines import span_features
from affect.stages.temporal.centring import ccc_by_centre, one_span_each, span_features_otherwise
from affect.stages.temporal.clips import ClipTable, FeatureTable, index_clips
from affect.stages.temporal.ridge import fit_ridge

PEOPLE, SPANS, SIZE = 6, 30, 12


def clips_of(table: FeatureTable) -> ClipTable:
    """Spans of 3.2 s, with clips that overlap, of videos in another order than the table's."""
    videos = ["v100"] * 4 + ["v50"] * 3
    start_s = np.array([0, 3.2, 6.4, 20.0, 0, 3.2, 9.6])
    return index_clips(table, videos, start_s, start_s + 3.2, ClipsConfig(length=8, hop=2))


def test_the_other_way_round_is_what_the_spans_of_the_other_table_are(table: FeatureTable) -> None:
    plain, centred = clips_of(table), clips_of(table.centred())
    numbers = np.flatnonzero(plain.span != 2)[::-1]  # not all spans, and not in order
    _, with_means = span_features(plain, numbers)
    _, without = span_features(centred, numbers)
    assert np.abs(with_means - without).max() > 0.05
    np.testing.assert_allclose(span_features_otherwise(plain, numbers, with_means), without, atol=1e-3)
    np.testing.assert_allclose(span_features_otherwise(centred, numbers, without), with_means, atol=1e-3)


def test_a_tables_means_are_those_of_the_frames_that_show_somebody(table: FeatureTable) -> None:
    means = table.means()
    for number, name in enumerate(table.ids):
        frames = np.arange(table.frames.first[number], table.frames.first[number + 1])
        values = table.values(torch.from_numpy(frames[table.valid[frames]]))[0].double()
        expected = values.mean(0) if len(values) else np.zeros(table.feature_size)
        np.testing.assert_allclose(means[number], expected, atol=1e-5, err_msg=name)
    assert table.centred().means() is means is table.means(), "they are read once"


def world(*, shift: float, levels: float, people: int = PEOPLE) -> tuple[Array, Array, Array, list[str]]:
    """Features (n, D), the same without each person's mean, labels (n, 1) and people (n,).

    A label changes within a person, and between people as much as `levels`; features are the label along one
    direction, noise, and a `shift` that is the person's own.
    """
    draw = np.random.default_rng(1)
    person = np.repeat(np.arange(people), SPANS)
    label = draw.standard_normal(len(person)) + levels * draw.standard_normal(people)[person]
    features = np.outer(label, draw.standard_normal(SIZE)) + 0.3 * draw.standard_normal((len(person), SIZE))
    features += shift * draw.standard_normal((people, SIZE))[person]
    means = np.stack([features[person == number].mean(0) for number in range(people)])
    return features, features - means[person], label[:, None], [str(number) for number in person]


def told(*, shift: float, levels: float, people: int = PEOPLE, turned: bool = False) -> dict[str, float]:
    plain, centred, labels, names = world(shift=shift, levels=levels, people=people)
    mine, other = (centred, plain) if turned else (plain, centred)
    ridge = fit_ridge(mine, labels, names)
    return ccc_by_centre(ridge, mine, other, labels, names, centred=turned)


@pytest.mark.parametrize("turned", [False, True])
def test_a_shift_of_each_person_is_better_taken_away_and_a_level_that_carries_the_label_is_not(turned: bool) -> None:
    shifted, levels = told(shift=3, levels=0, turned=turned), told(shift=0, levels=2, turned=turned)
    assert shifted["person"] > shifted["none"] + 0.1
    assert levels["none"] > levels["person"] + 0.2


def test_with_fewer_than_three_people_nothing_is_said() -> None:
    assert told(shift=3, levels=0, people=2) == {}
    assert told(shift=3, levels=0, people=3).keys() == {"none", "person"}


def test_many_spans_are_thinned_out_for_both_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, centred, labels, names = world(shift=3, levels=0)
    ridge = fit_ridge(plain, labels, names)
    monkeypatch.setattr(centring, "MOST_COMPARED", len(plain) // 2)
    found = ccc_by_centre(ridge, plain, centred, labels, names, centred=False)
    assert found["none"] == fit_ridge(plain[::2], labels[::2], names[::2]).left_out_ccc != ridge.left_out_ccc
    assert found["person"] == fit_ridge(centred[::2], labels[::2], names[::2]).left_out_ccc


def test_recordings_with_one_span_are_named_where_they_are_more_than_half() -> None:
    assert one_span_each(["a", "b", "b", "c"]) == ["a", "c"]
    assert one_span_each(["a", "b", "b", "c", "d", "d"]) == []
    assert one_span_each([]) == []
