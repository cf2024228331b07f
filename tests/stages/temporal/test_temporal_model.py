"""The stage-two network: sizes, masks, gradients and its specification."""

from dataclasses import replace

import pytest
import torch

from affect.configs.schema import ModelConfig
from affect.errors import ConfigError
from affect.stages.temporal.clips import ClipBatch
from affect.stages.temporal.model import ModelSpec, TemporalModel

SPEC = ModelSpec(32, ("valence", "arousal"), 8, 2, ModelConfig(heads=4, feed_forward=64))


def seeded(spec: ModelSpec = SPEC) -> TemporalModel:
    torch.manual_seed(0)
    model = TemporalModel(spec)
    return model.eval()


def frames(clips: int, length: int = 8, size: int = 32, seed: int = 1) -> torch.Tensor:
    return torch.randn(clips, length, size, generator=torch.Generator().manual_seed(seed))


def batch() -> ClipBatch:
    """Two queries among five clips, the second query also a neighbour of the first."""
    neighbours = torch.tensor([[2, 3, 0, 1, 4], [3, 0, 1, 4, 4]])
    neighbour_mask = torch.tensor([[True] * 5, [True, True, True, True, False]])
    mask = torch.ones(5, 8, dtype=torch.bool)
    return ClipBatch(frames(5).half(), mask, torch.tensor([0, 1]), neighbours, neighbour_mask, queries=2)


def test_missing_frames_clips_and_neighbours_change_nothing_of_the_rest() -> None:
    model, x = seeded(), frames(3)
    mask = torch.ones(3, 8, dtype=torch.bool)
    mask[0, 5:] = False
    spoilt = x.clone()
    spoilt[0, 5:] = float("nan")
    with torch.no_grad():
        shorter = model.encode(x[:1, :5], mask[:1, :5])
        torch.testing.assert_close(model.encode(spoilt, mask)[:1], shorter)
        torch.testing.assert_close(model.encode(spoilt, mask)[1:], model.encode(x[1:], mask[1:]))
        context, present = model.encode(x, mask).unsqueeze(0), torch.tensor([[True, True, False]])
        query = context[:, 1]
        alone = model.score(query, context[:, :2], present[:, :2])
        masked = model.score(query, context, present)
    torch.testing.assert_close(masked.prediction, alone.prediction)
    assert masked.attention[0, 2] == 0 and masked.attention.sum() == pytest.approx(1)


def test_features_are_standardised_and_those_given_stay_as_they_are() -> None:
    model, x, mask = seeded().double(), frames(3).double() + 5, torch.ones(3, 8, dtype=torch.bool)
    mask[1, 2] = False
    model.feature_mean.copy_(torch.linspace(4, 6, 32))
    model.feature_scale.copy_(torch.linspace(0.01, 30, 32))
    given = x.clone()
    standardised = (torch.where(mask.unsqueeze(-1), x, 0) - model.feature_mean) / model.feature_scale
    expected = torch.relu(model.reduction(standardised))
    torch.testing.assert_close(model.reduce(x, mask), expected, rtol=0, atol=1e-12)
    laid_otherwise = x.transpose(0, 1).contiguous().transpose(0, 1)
    torch.testing.assert_close(model.reduce(laid_otherwise, mask), expected, rtol=0, atol=1e-12)
    assert torch.equal(x, given)
    wanted = torch.autograd.grad(expected.square().sum(), list(model.reduction.parameters()))
    found = torch.autograd.grad(model.reduce(x, mask).square().sum(), list(model.reduction.parameters()))
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=0)


def test_a_clip_without_any_frame_is_a_zero_vector_with_finite_gradients() -> None:
    model = seeded().train()
    mask = torch.ones(2, 8, dtype=torch.bool)
    mask[0] = False
    embedding = model.encode(frames(2), mask)
    assert torch.equal(embedding[0], torch.zeros(32))
    with torch.no_grad():
        assert torch.equal(model.eval().encode(frames(2), mask)[0], torch.zeros(32))
    model.score(embedding, embedding.detach()[:, None].expand(2, 5, 32)).prediction.sum().backward()  # type: ignore[no-untyped-call]
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_a_batch_gives_what_each_query_gives_alone() -> None:
    model, whole = seeded(), batch()
    with torch.no_grad():
        together = model(whole)
        encoded = model.encode(whole.frames, whole.frame_mask)
        for row in range(2):
            neighbours, mask = whole.neighbours[row : row + 1], whole.neighbour_mask[row : row + 1]
            alone = model.score(encoded[row : row + 1], encoded[neighbours], mask)
            torch.testing.assert_close(together.prediction[row : row + 1], alone.prediction)


def test_context_carries_no_gradient_and_training_agrees_with_evaluation_without_dropout() -> None:
    config = replace(SPEC.config, dropout=0.0, encoder_dropout=0.0)
    model, data = seeded(replace(SPEC, config=config)), batch()
    data.frames = data.frames.float().requires_grad_()
    model.train()
    scores = model(data)
    # The second query is a neighbour of the first: it too is a constant there.
    (gradient,) = torch.autograd.grad(scores.prediction[0].sum(), data.frames)
    assert gradient[0].abs().max() > 0
    assert gradient[1:].abs().max() == 0
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(data).prediction, scores.prediction.detach())


def test_each_distinct_clip_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, encoded = seeded(), []
    encode = model.encode

    def counted(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        encoded.append((len(x), torch.is_grad_enabled()))
        return encode(x, mask)

    monkeypatch.setattr(model, "encode", counted)
    model(batch())
    assert encoded == [(2, True), (3, False)]


@pytest.mark.parametrize("targets", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("total", [None, "t0"])
@pytest.mark.parametrize("context", [0, 1])
def test_any_number_of_targets_reads_its_own_slice(targets: int, total: str | None, context: int) -> None:
    names = tuple(f"t{number}" for number in range(targets))
    config = ModelConfig(width=36, heads=4, feed_forward=16, total_target=total, head_inner_relu=False)
    model = seeded(ModelSpec(10, names, 4, context, config))
    size = 36 * (2 if context else 1)
    hidden = torch.randn(1, size, requires_grad=True)
    reads = []
    model.head.hidden = torch.nn.Identity()  # type: ignore[assignment]
    for number in range(targets):
        (gradient,) = torch.autograd.grad(model.head(hidden.abs() + 1)[0, number], hidden)
        reads.append(set(gradient[0].nonzero().flatten().tolist()))
    whole = [number for number, name in enumerate(names) if name == total]
    assert all(len(reads[number]) == size for number in whole)
    sliced = [reads[number] for number in range(targets) if number not in whole]
    assert sum(map(len, sliced)) == len(set().union(*sliced))
    assert len({len(part) for part in sliced}) <= 1


def test_settings_that_cannot_be_built_say_what_would() -> None:
    with pytest.raises(ConfigError, match=r"(?s)heads is 16.*width 36.*model.heads=12"):
        TemporalModel(ModelSpec(36, ("a",), 4, 2, ModelConfig()))
    with pytest.raises(ConfigError, match="total_target is 'c'"):
        TemporalModel(ModelSpec(32, ("a", "b"), 4, 2, ModelConfig(total_target="c")))
    with pytest.raises(ConfigError, match="cannot share"):
        TemporalModel(ModelSpec(4, tuple("abcdef"), 4, 0, ModelConfig(heads=4)))


def test_a_specification_survives_json() -> None:
    assert ModelSpec.from_json(SPEC.to_json()) == SPEC
    with pytest.raises(ConfigError):
        ModelSpec.from_json({"feature_size": 3})


def test_standardisation_is_part_of_the_model() -> None:
    model, x, mask = seeded(), frames(2), torch.ones(2, 8, dtype=torch.bool)
    with torch.no_grad():
        plain = model.encode(x, mask)
        model.feature_mean.fill_(3)
        model.feature_scale.fill_(2)
        torch.testing.assert_close(model.encode(x * 2 + 3, mask), plain)


def test_half_precision_on_the_cpu_stays_near_full() -> None:
    model, data = seeded(), batch()
    with torch.no_grad():
        full = model(data).prediction
        with torch.autocast("cpu", torch.bfloat16):
            half = model(data).prediction
    assert (full - half.float()).abs().max() < 0.05
