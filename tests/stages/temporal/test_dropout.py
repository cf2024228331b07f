"""Dropout with cheap random numbers is dropout."""

import numpy as np
import pytest
import torch
from torch import nn

from affect.configs.schema import ModelConfig
from affect.stages.temporal.dropout import STEPS, Dropout
from affect.stages.temporal.encoder import ClipEncoder

MILLION = 1_000_000


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.97, 1e-3])
def test_so_many_elements_are_left_out_and_the_mean_stays(p: float) -> None:
    torch.manual_seed(3)
    out = Dropout(p)(torch.ones(MILLION, dtype=torch.float64))
    left_out = float((out == 0).double().mean())
    assert abs(left_out - p) < 4 * (p * (1 - p) / MILLION) ** 0.5 + 0.5 / STEPS
    kept = out[out != 0]
    assert torch.all(kept == kept[0]) and abs(float(kept[0]) * (1 - p) - 1) < 1 / STEPS / (1 - p)
    assert abs(float(out.mean()) - 1) < 4 * (p / (1 - p) / MILLION) ** 0.5


def test_elements_that_share_a_random_number_are_left_out_independently() -> None:
    torch.manual_seed(4)
    gone = (Dropout(0.3)(torch.ones(MILLION)) == 0).double().numpy().reshape(-1, 4)
    together = np.corrcoef(gone.T)[np.triu_indices(4, 1)]
    assert np.abs(together).max() < 4 / len(gone) ** 0.5
    next_to_each_other = np.corrcoef(gone[:-1].ravel(), gone[1:].ravel())[0, 1]
    assert abs(next_to_each_other) < 4 / MILLION**0.5
    assert np.abs(gone.mean(0) - 0.3).max() < 4 * (0.21 / len(gone)) ** 0.5  # none of the quarters is special


@pytest.mark.parametrize("shape", [(), (1,), (3,), (5, 7), (2, 3, 4), (0, 4)])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float64])
def test_every_shape_and_type_is_kept(shape: tuple[int, ...], kind: torch.dtype) -> None:
    out = Dropout(0.5)(torch.ones(shape, dtype=kind))
    assert out.shape == shape and out.dtype == kind


def test_the_gradient_is_that_of_what_was_kept() -> None:
    x = torch.randn(64, 9, requires_grad=True)
    out = Dropout(0.4)(x)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(gradient * x, out)
    assert 0 < int((gradient == 0).sum()) < gradient.numel()


def test_a_seed_draws_the_same_again_and_another_differs() -> None:
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(Dropout(0.5)(torch.ones(100)))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("p", [0.0, 1.0, 1e-9])
def test_nothing_or_everything_is_left_out_as_torch_does(p: float) -> None:
    assert torch.equal(Dropout(p)(torch.ones(1000)), torch.full((1000,), float(round(1 - p))))


def test_evaluation_leaves_out_nothing_and_every_layer_has_this_dropout() -> None:
    encoder = ClipEncoder(16, ModelConfig(width=16, heads=2, encoder_dropout=0.5, dropout=0.25))
    kinds = [type(part) for part in encoder.modules() if isinstance(part, nn.Dropout)]
    assert kinds and set(kinds) == {Dropout}
    assert sorted({part.p for part in encoder.modules() if isinstance(part, nn.Dropout)}) == [0.25, 0.5]
    frames, mask = torch.randn(2, 4, 16), torch.ones(2, 4).bool()
    assert not torch.equal(encoder(frames, mask), encoder(frames, mask))
    encoder.eval()
    assert torch.equal(encoder(frames, mask), encoder(frames, mask))
