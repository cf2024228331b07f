"""CCC, PCC, relational and contrastive losses: hand-worked values, missing labels, and gradients."""

import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from affect.configs.schema import LossConfig
from affect.stages.temporal.losses import (
    SingleTargetWarning,
    ccc,
    contrastive,
    loss_parts,
    pcc,
    relational_loss,
    rmse,
    total_loss,
)
from affect.stages.temporal.model import Scores
from affect.stages.temporal.similarity import label_nearness

NAN = float("nan")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def scores(prediction: Tensor, embedding: Tensor) -> Scores:
    return Scores(prediction, embedding, torch.ones(len(prediction), 1))


def test_ccc_and_pcc_are_those_of_numpy_over_the_labels_that_are_present() -> None:
    prediction, target = random(40, 3), random(40, 3, seed=1) + 0.5
    target[::3, 0] = NAN
    target[5:, 2] = NAN
    for k in range(3):
        present = ~target[:, k].isnan().numpy()
        a, b = prediction[:, k].numpy()[present], target[:, k].numpy()[present]
        assert pcc(prediction, target)[k] == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-4)
        concordance = 2 * np.cov(a, b, bias=True)[0, 1] / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
        assert ccc(prediction, target)[k] == pytest.approx(concordance, abs=1e-4)


def test_missing_labels_weigh_nothing_in_any_loss() -> None:
    prediction, target, z = random(12, 2), random(12, 2, seed=1), random(12, 6, seed=2)
    gone = target.clone()
    gone[8:] = NAN
    for config in (LossConfig(), LossConfig(regression="rmse", label_similarity="distance")):
        whole = total_loss(scores(prediction, z), gone, config)
        torch.testing.assert_close(whole, total_loss(scores(prediction[:8], z[:8]), target[:8], config))


def test_pairs_of_labels_are_compared_over_the_targets_both_have() -> None:
    labels = torch.tensor([[0.5, NAN], [0.1, 0.4], [NAN, 0.2]], dtype=torch.float64)
    z = random(3, 4)
    unit = z / z.norm(dim=1, keepdim=True)
    s01, s12 = unit[0] @ unit[1], unit[1] @ unit[2]
    expected = (((s01 - 1) ** 2 + (s12 - 1) ** 2) / 2).sqrt()  # one shared target each, of equal sign; none for (0, 2)
    torch.testing.assert_close(relational_loss(z, labels), expected)
    torch.testing.assert_close(label_nearness(labels)[0, 1], torch.tensor(0.6, dtype=torch.float64))
    assert label_nearness(labels)[0, 2].isnan()


def test_distance_tells_magnitudes_apart_where_cosine_cannot() -> None:
    labels, z = torch.tensor([[0.1, 0.1], [0.9, 0.9]]), torch.ones(2, 4)
    assert relational_loss(z, labels) == pytest.approx(0, abs=1e-6)
    assert relational_loss(z, labels, "distance") == pytest.approx(0.8, abs=1e-6)


def test_one_target_with_cosine_similarity_warns_and_with_distance_does_not() -> None:
    with pytest.warns(SingleTargetWarning, match="distance"):
        relational_loss(random(4, 3), random(4, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        relational_loss(random(4, 3), random(4, 1), "distance")


@pytest.mark.parametrize(
    "loss",
    [
        lambda p, z, y: ccc(p, y).sum(),
        lambda p, z, y: pcc(p, y).sum(),
        lambda p, z, y: rmse(p, y),
        lambda p, z, y: relational_loss(z, y),
        lambda p, z, y: relational_loss(z, y, "distance"),
        lambda p, z, y: contrastive(z, p @ p.T[:, :5] + z),
        lambda p, z, y: total_loss(scores(p, z), y, LossConfig(relational_weight=0.7)),
    ],
)
def test_gradients_are_right(loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    p, z, y = random(7, 3), random(7, 5, seed=1), random(7, 3, seed=2)
    y[2, 1] = y[4] = NAN
    assert torch.autograd.gradcheck(lambda a, b: loss(a, b, y), (p.requires_grad_(), z.requires_grad_()))


@pytest.mark.filterwarnings("ignore::affect.stages.temporal.losses.SingleTargetWarning")
@pytest.mark.parametrize("regression", ["ccc", "rmse"])
@pytest.mark.parametrize("similarity", ["cosine", "distance"])
@pytest.mark.parametrize("rows", [1, 2, 6])
@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("case", ["constant labels", "equal rows", "exact", "zero", "no labels", "huge"])
def test_no_case_gives_a_gradient_that_is_no_number(
    regression: str, similarity: str, rows: int, targets: int, case: str
) -> None:
    p, z, y = random(rows, targets).float(), random(rows, 4, seed=1).float(), random(rows, targets, seed=2).float()
    if case == "constant labels":
        y[:] = 0.3
    elif case == "equal rows":
        p, z, y = p[:1].repeat(rows, 1), z[:1].repeat(rows, 1), y[:1].repeat(rows, 1)
    elif case == "exact":
        p = y.clone()
    elif case == "zero":
        p, z, y = p * 0, z * 0, y * 0
    elif case == "no labels":
        y[:] = NAN
    else:
        p, z = p * 1e6, z * 1e-18
    p, z = p.requires_grad_(), z.requires_grad_()
    config = LossConfig(regression=regression, label_similarity=similarity)  # type: ignore[arg-type]
    parts = loss_parts(scores(p, z), y, config)
    parts.total.backward()  # type: ignore[no-untyped-call]
    assert parts.total.isfinite()
    assert p.grad is not None and z.grad is not None
    assert p.grad.isfinite().all() and z.grad.isfinite().all()


def test_a_target_without_labels_does_not_count_in_the_mean() -> None:
    p, y = random(8, 2), random(8, 2, seed=1)
    y[:, 1] = NAN
    config = LossConfig(relational_weight=0)
    torch.testing.assert_close(loss_parts(scores(p, p), y, config).regression, 1 - ccc(p, y)[0])


@pytest.mark.parametrize("regression", ["ccc", "rmse"])
def test_the_relational_loss_counts_by_its_weight(regression: Literal["ccc", "rmse"]) -> None:
    p, z, y = random(8, 2), random(8, 5, seed=1), random(8, 2, seed=2)
    parts = loss_parts(scores(p, z), y, LossConfig(regression=regression, relational_weight=0.7))
    assert parts.relational == relational_loss(z, y) > 0.1
    torch.testing.assert_close(parts.total, parts.regression + 0.7 * parts.relational)


def test_contrastive_is_cross_entropy_against_every_other_row() -> None:
    first, second = random(3, 4), random(3, 4, seed=1)
    rows = torch.nn.functional.normalize(torch.cat([first, second]))
    expected = 0.0
    for i in range(6):
        logits = {j: float(rows[i] @ rows[j]) / 0.07 for j in range(6) if j != i}
        expected -= logits[(i + 3) % 6] - float(np.log(np.sum(np.exp(list(logits.values())))))
    assert float(contrastive(first, second)) == pytest.approx(expected / 6)
    assert float(contrastive(first[:1], second[:1])) == pytest.approx(0)


def test_half_precision_predictions_are_summed_in_full() -> None:
    p, y = random(64, 2).float(), random(64, 2, seed=1).float()
    assert ccc(p.bfloat16(), y).dtype == torch.float32
    torch.testing.assert_close(ccc(p.bfloat16(), y), ccc(p, y), atol=0.01, rtol=0)
