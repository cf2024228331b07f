"""Every epoch of a fit draws its dropout and its views from a seed of its own."""

import torch
from torch import nn

from affect.stages.temporal.fit import Fit

from .test_golden_fit import new_fit


def seeds_of_epochs(fit: Fit) -> list[int]:
    """The seed that torch draws from while each epoch trains."""
    seen: list[int] = []

    def note(network: nn.Module, _: object) -> None:
        if network.training and torch.initial_seed() not in seen[-1:]:
            seen.append(torch.initial_seed())

    fit.model.register_forward_pre_hook(note)
    epochs = len(list(fit.epochs()))
    assert len(seen) == epochs, "one seed an epoch"
    return seen


def test_no_two_epochs_share_a_seed_and_the_same_fit_draws_the_same_ones() -> None:
    seeds = seeds_of_epochs(new_fit("contrastive first"))
    assert len(set(seeds)) == len(seeds) == 6
    assert seeds_of_epochs(new_fit("contrastive first")) == seeds
