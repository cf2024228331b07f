"""How many clips of new people are flagged: few of people like those of the training, most of others."""

import numpy as np
import pytest
import torch
from torch import Tensor

from affect.cache.predictions import RangeCheck
from affect.stages.temporal.reference_distribution import MOST_ROWS, QUANTILE, ReferenceDistribution, spread_clips
from affect.tests.generated import generated_clip_means

FRAMES, CLIPS, SIZE = 16, 30, 64


def people(count: int, seed: int, effect: float = 0.5) -> list[Tensor]:
    """(CLIPS, SIZE) mean features of each clip of some people of one world, which differ in level and in gain."""
    made = generated_clip_means(count, seed, effect, clips=CLIPS, frames=FRAMES, size=SIZE)
    return [torch.from_numpy(rows) for rows in made]


def fitted(training: list[Tensor]) -> tuple[ReferenceDistribution, RangeCheck]:
    reference = ReferenceDistribution(SIZE)
    whose = np.repeat(np.arange(len(training)), [len(rows) for rows in training])
    return reference, reference.fit(torch.cat(training), whose)


def flagged(reference: ReferenceDistribution, others: list[Tensor]) -> float:
    return float(np.mean([float((reference(rows) > 1).float().mean()) for rows in others]))


def flagged_before(reference: ReferenceDistribution, others: list[Tensor], calibrating: int) -> float:
    """What is flagged of all but the first people by a threshold that is these people's own quantile."""
    distances = [reference.distance(rows) for rows in others]
    threshold = torch.cat(distances[:calibrating]).quantile(QUANTILE)
    return float(np.mean([float((rows > threshold).float().mean()) for rows in distances[calibrating:]]))


@pytest.fixture(scope="module", params=[0.5, 1.0])
def worlds(request: pytest.FixtureRequest) -> list[tuple[list[Tensor], list[Tensor]]]:
    """Forty people of a world, and four of another, for some worlds."""
    return [(people(40, 100 + world, request.param), people(4, 900 + world, request.param)) for world in range(4)]


@pytest.mark.parametrize(("count", "draws"), [(3, 6), (6, 4), (10, 2), (20, 2)])
def test_few_clips_of_new_people_are_flagged_and_about_as_many_as_is_said(
    worlds: list[tuple[list[Tensor], list[Tensor]]], count: int, draws: int
) -> None:
    new, said, strangers, before = [], [], [], []
    for number, (everybody, elsewhere) in enumerate(worlds):
        for draw in range(draws):
            order = np.random.default_rng([number, draw, count]).permutation(len(everybody))
            training, others = ([everybody[i] for i in part] for part in np.split(order, [count]))
            reference, check = fitted(training)
            assert check.people == count and check.rate is not None
            said.append(check.rate)
            new.append(flagged(reference, others))
            strangers.append(flagged(reference, elsewhere))
            before.append(flagged_before(reference, others, max(1, count // 4)))
    assert np.mean(new) < 0.06, new
    assert abs(np.mean(said) - np.mean(new)) < 0.05 and min(said) >= 0.01
    assert np.mean(strangers) > 0.3 and np.mean(strangers) > 5 * np.mean(new)
    assert np.mean(before) > 2 * np.mean(new), "as the threshold was taken from one to five validation people"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_of_fewer_than_three_people_nothing_is_said(count: int) -> None:
    training = people(max(count, 1), 5)[:count] or [torch.zeros(0, SIZE)]
    reference, check = fitted(training)
    assert not reference.fitted and check == RangeCheck(count, None)
    assert not (reference(people(2, 6)[0] * 100) > 1).any()
    who = "1 person" if count == 1 else f"{count} people"
    assert check.sentence == (
        f"trained on {who}, too few to tell which clips are unlike the training recordings: none is marked"
    )


def test_three_people_of_hardly_any_clips_are_too_little_too() -> None:
    reference, check = fitted([rows[:2] for rows in people(3, 5)])
    assert not reference.fitted and check == RangeCheck(3, None) and "too few clips" in check.sentence


def test_what_is_said_is_a_share_of_a_new_person() -> None:
    assert RangeCheck(6, 0.034).sentence == (
        "about 3 % of a new person's clips are marked by chance (measured on 6 people)"
    )


def test_each_person_weighs_the_same_however_many_clips_there_are() -> None:
    person = np.repeat([7, 3, 5], [20_000, 40, 3000])
    clips, whose = spread_clips(np.arange(len(person)) + 10, person)
    counts = {number: int((whose == number).sum()) for number in (3, 5, 7)}
    assert counts[3] == 40 and len(clips) <= MOST_ROWS
    assert min(counts[5], counts[7]) > 0.9 * MOST_ROWS / 3
    assert (person[clips - 10] == whose).all() and clips.max() > 22_900
    many, whose = spread_clips(np.arange(5000), np.arange(5000) // 2)
    assert len(many) <= MOST_ROWS and len(set(whose.tolist())) > MOST_ROWS / 2


def test_the_same_people_in_another_order_give_the_same_threshold() -> None:
    training = people(5, 3)
    reference, check = fitted(training)
    again = ReferenceDistribution(SIZE)
    order = np.random.default_rng(0).permutation(5 * CLIPS)
    assert again.fit(torch.cat(training)[order], np.repeat(np.arange(5), CLIPS)[order]).rate == check.rate
    torch.testing.assert_close(again.threshold, reference.threshold, rtol=1e-4, atol=0)
