"""Centred similarities and the contrastive losses over labels, held against loops over pairs written for the test."""

import math
import warnings
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from affect.configs.load import load_config
from affect.configs.schema import LossConfig
from affect.errors import ConfigError
from affect.stages.temporal.losses import (
    SingleTargetWarning,
    label_contrast,
    loss_parts,
    relational_loss,
)
from affect.stages.temporal.model import Scores
from affect.stages.temporal.similarity import label_cosine

NAN = float("nan")
Kind = Literal["y-aware", "expw"]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def some_labels() -> Tensor:
    """Six clips of three targets between 0 and 1; one label is missing, and one clip has none."""
    labels = random(6, 3, seed=2).abs().clamp(max=1)
    labels[1, 2] = labels[4] = NAN
    return labels


def cosine(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def shared(labels: Tensor, i: int, j: int) -> list[int]:
    return [k for k in range(labels.shape[1]) if not (labels[i, k].isnan() or labels[j, k].isnan())]


def centred_by_hand(z: Tensor, labels: Tensor) -> float:
    """RMSE of cosines over pairs, every mean taken over the clips that have a label."""
    known = [i for i in range(len(z)) if shared(labels, i, i)]
    middle = np.mean([z[i].tolist() for i in known], axis=0)
    means = [np.mean([float(y) for y in column if not math.isnan(y)]) for column in labels.T.tolist()]
    errors = []
    for i in known:
        for j in known:
            if i != j and (both := shared(labels, i, j)):
                ours = cosine((z[i].numpy() - middle).tolist(), (z[j].numpy() - middle).tolist())
                theirs = [[float(labels[row, k]) - float(means[k]) for k in both] for row in (i, j)]
                errors.append((ours - cosine(*theirs)) ** 2)
    return math.sqrt(np.mean(errors))


def contrast_by_hand(z: Tensor, labels: Tensor, kind: Kind, width: float, temperature: float) -> float:
    losses = []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i and shared(labels, i, j)]
        if not others:
            continue
        s = {j: cosine(z[i].tolist(), z[j].tolist()) / temperature for j in others}
        w = {}
        for j in others:
            squares = [float(labels[i, k] - labels[j, k]) ** 2 for k in shared(labels, i, j)]
            w[j] = math.exp(-np.mean(squares) / (2 * width**2))
        pushed = sum(math.exp(s[j] * (1 - w[j] if kind == "expw" else 1)) for j in others)
        losses.append(-sum(w[j] * math.log(math.exp(s[j]) / pushed) for j in others) / sum(w.values()))
    return float(np.mean(losses))


def slope(loss: str, z: Tensor, labels: Tensor) -> Tensor:
    """The loss by hand, differentiated by central differences."""
    step, found = 1e-5, torch.zeros_like(z)
    for place in np.ndindex(*z.shape):
        moved = []
        for sign in (1, -1):
            shifted = z.clone()
            shifted[place] += sign * step
            moved.append(by_hand(loss, shifted, labels))
        found[place] = (moved[0] - moved[1]) / (2 * step)
    return found


def by_hand(loss: str, z: Tensor, labels: Tensor) -> float:
    return (
        centred_by_hand(z, labels) if loss == "centred" else contrast_by_hand(z, labels, loss, 0.3, 0.5)  # type: ignore[arg-type]
    )


def ours(loss: str, z: Tensor, labels: Tensor) -> Tensor:
    if loss == "centred":
        return relational_loss(z, labels, "centred")
    return label_contrast(z, labels, loss, 0.3, 0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("loss", ["centred", "y-aware", "expw"])
def test_the_loss_and_its_gradient_are_those_of_a_loop_over_pairs(loss: str) -> None:
    z, labels = random(6, 4, seed=1), some_labels()
    z.requires_grad_()
    value = ours(loss, z, labels)
    value.backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None
    assert float(value.detach()) == pytest.approx(by_hand(loss, z.detach(), labels), abs=1e-9)
    torch.testing.assert_close(z.grad, slope(loss, z.detach(), labels), atol=1e-7, rtol=1e-5)
    assert z.grad.abs().max() > 0.01 and (z.grad[4] == 0).all(), "a clip without labels is nobody's pair"
    assert torch.autograd.gradcheck(lambda rows: ours(loss, rows, labels), (random(6, 4, seed=3).requires_grad_(),))


def test_labels_of_one_sign_are_told_apart_again() -> None:
    """Four targets of [0, 1] that go together, as those of an interview do."""
    common = random(200, 1, seed=5)
    labels = (0.7**0.5 * common + 0.3**0.5 * random(200, 4, seed=6)) * 0.15 + 0.5
    pairs = ~torch.eye(200).bool()
    nearness = -torch.cdist(labels, labels)[pairs]
    plain = label_cosine(labels)[pairs]
    centred = label_cosine(labels - labels.mean(0))[pairs]
    agreement = [float(torch.corrcoef(torch.stack([found, nearness]))[0, 1]) for found in (plain, centred)]
    assert agreement[0] < 0.6 and agreement[1] > 0.7
    assert plain.std() < 0.15 and centred.std() > 0.5
    unrelated = random(200, 4, seed=7) + 10  # any vectors far from zero please the cosine
    assert float(relational_loss(unrelated, labels, "cosine")) < 0.2
    assert float(relational_loss(unrelated, labels, "centred")) > 0.5
    assert float(relational_loss(labels + 10, labels, "centred")) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("config", [
    LossConfig(label_similarity="centred"), LossConfig(relational="y-aware"), LossConfig(relational="expw"),
    LossConfig(relational="expw", kernel_width=1e-3, contrastive_temperature=1e-3),
], ids=["centred", "y-aware", "expw", "expw, narrow and cold"])  # fmt: skip
@pytest.mark.parametrize("rows", [1, 2, 7])
@pytest.mark.parametrize("case", ["any", "constant labels", "equal rows", "zero rows", "no labels", "tiny rows"])
@pytest.mark.filterwarnings("ignore::affect.stages.temporal.losses.SingleTargetWarning")
@pytest.mark.parametrize("targets", [1, 3])
def test_no_batch_gives_what_is_no_number(config: LossConfig, rows: int, case: str, targets: int) -> None:
    p, z, y = (random(rows, size, seed=size).float() for size in (targets, 4, targets))
    y = y.clamp(-1, 1)
    if case == "constant labels":
        y[:] = 0.3
    elif case == "equal rows":
        z = z[:1].repeat(rows, 1)
    elif case == "zero rows":
        z = z * 0
    elif case == "no labels":
        y[:] = NAN
    elif case == "tiny rows":
        z = z * 1e-18
    z.requires_grad_()
    parts = loss_parts(Scores(p, z, torch.ones(rows, 1)), y, config)
    parts.relational.backward()  # type: ignore[no-untyped-call]
    assert parts.total.isfinite() and z.grad is not None and z.grad.isfinite().all()
    if case == "equal rows":
        assert (z.grad.abs() < 1e3 * max(1, 1 / config.contrastive_temperature)).all()


def test_labels_that_do_not_differ_say_nothing_of_centred_clips() -> None:
    z = random(6, 4).float().requires_grad_()
    loss = relational_loss(z, torch.full((6, 3), 0.3), "centred")
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss == 0 and z.grad is not None and (z.grad == 0).all()


def test_clips_without_labels_weigh_nothing() -> None:
    p, z, y = random(9, 3), random(9, 4, seed=1), random(9, 3, seed=2)
    y[6:] = NAN
    for config in (
        LossConfig(label_similarity="centred"), LossConfig(relational="y-aware"), LossConfig(relational="expw")
    ):  # fmt: skip
        whole, part = (
            loss_parts(Scores(p[:n], z[:n], torch.ones(n, 1)), y[:n], config).relational for n in (9, 6)
        )  # fmt: skip
        torch.testing.assert_close(whole, part)
        assert part.abs() > 0.1


def test_one_centred_target_warns_and_one_target_of_a_kernel_does_not() -> None:
    with pytest.warns(SingleTargetWarning):
        relational_loss(random(4, 3), random(4, 1), "centred")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        label_contrast(random(4, 3), random(4, 1), "expw", 0.2, 0.07)


def test_near_clips_are_drawn_together_and_only_y_aware_pushes_them_apart_again() -> None:
    labels = torch.tensor([[0.0], [0.0], [1.0], [1.0]], dtype=torch.float64)
    z = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]], dtype=torch.float64)
    for kind in ("y-aware", "expw"):
        rows = z.clone().requires_grad_()
        label_contrast(rows, labels, kind, 0.1, 0.5).backward()  # type: ignore[no-untyped-call]
        assert rows.grad is not None
        after = torch.nn.functional.normalize(z - 0.1 * rows.grad)
        assert after[0] @ after[1] > z[0] @ z[1] and after[2] @ after[3] > z[2] @ z[3]
        assert (after[:2] @ after[2:].T).mean() < (z[:2] @ z[2:].T).mean()
    alone = {kind: label_contrast(z[:2], labels[:2], kind, 0.1, 0.5) for kind in ("y-aware", "expw")}
    assert float(alone["y-aware"]) == 0  # the one other clip is pushed as hard as it is drawn
    assert float(alone["expw"]) == pytest.approx(-0.8 / 0.5)


def test_a_kernel_with_another_label_similarity_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"loss.label_similarity is 'centred'.*loss.relational=expw"):
        load_config(None, ["loss.relational=expw", "loss.label_similarity=centred"])
    assert load_config(None, ["loss.relational=y-aware"]).loss.kernel_width == 0.2
