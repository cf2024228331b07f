"""Batches: every clip once, neighbours together, and labels that differ all the same."""

import numpy as np
import pytest

from affect.stages.temporal.batches import RUN, RUNS, epoch_batches, rank_part


def batches_of(clips: int, batch_size: int, seed: int = 0) -> list[list[int]]:
    return [batch.tolist() for batch in epoch_batches(np.arange(clips), batch_size, np.random.default_rng(seed))]


def runs_in(batch: list[int]) -> int:
    """Groups of clips that follow one another."""
    return 1 + int(np.sum(np.diff(np.sort(batch)) > 1))


@pytest.mark.parametrize(("clips", "batch_size"), [(100, 8), (97, 32), (5, 8), (8, 8), (33, 1), (0, 8)])
def test_every_clip_stands_in_one_batch_and_batches_are_alike_in_size(clips: int, batch_size: int) -> None:
    batches = batches_of(clips, batch_size)
    assert sorted(clip for batch in batches for clip in batch) == list(range(clips))
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("batch_size", "run"), [(32, RUN), (16, RUN), (8, 2), (4, 1)])
def test_a_batch_holds_neighbours_from_at_least_four_places(batch_size: int, run: int) -> None:
    found = [runs_in(batch) for batch in batches_of(4096, batch_size)]
    whole = batch_size / run
    assert whole - 0.1 <= np.mean(found) <= whole + 1  # a batch's edge may cut a run; two may lie side by side
    assert min(found) >= RUNS - 1


def test_other_clips_meet_in_the_next_epoch_and_the_same_ones_under_the_same_seed() -> None:
    assert batches_of(64, 8, seed=1) == batches_of(64, 8, seed=1)
    assert batches_of(64, 8, seed=1) != batches_of(64, 8, seed=2)


def test_ranks_share_a_batch_without_a_clip_twice() -> None:
    parts = [rank_part(np.arange(10), rank, 3).tolist() for rank in range(3)]
    assert [clip for part in parts for clip in part] == list(range(10))
