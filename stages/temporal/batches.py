"""Which clips stand in which batch: neighbours together, so that their context is encoded once; labels mixed."""

import numpy as np

from ...cache.records import Array

RUN = 4  # consecutive clips kept together: with two clips of context, 8 clips are encoded for 4 instead of 20
RUNS = 4  # at least in a batch, so that its labels differ


def epoch_batches(order: Array, batch_size: int, generator: np.random.Generator, run: int = RUN) -> list[Array]:
    """Every clip once, in batches whose sizes differ by at most one; none is larger than `batch_size`.

    order: (n,) clip numbers with neighbours side by side. Runs of `run` clips are drawn in random order, from a random
    offset, so that other clips meet in every epoch.
    """
    run = max(1, min(run, batch_size // RUNS))
    shift = int(generator.integers(run))
    pieces = [piece for piece in np.split(order, range(shift, len(order), run)) if len(piece)]
    shuffled = [pieces[number] for number in generator.permutation(len(pieces))]
    batches = max(1, -(-len(order) // batch_size))
    return np.array_split(np.concatenate([np.empty(0, np.int64), *shuffled]), batches)


def rank_part(batch: Array, rank: int, world: int) -> Array:
    """This rank's share of a batch: neighbours stay together."""
    return np.array_split(batch, world)[rank]
