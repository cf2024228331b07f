"""A training step and the scoring of a segment as published, held against a reference written from the method alone.

The reference knows no clip table, mask or batch: it slices lists of frames, splits them, and computes every layer from
the parameters, keys and values of the context one by one.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from affect.cache.records import FrameFeatures
from affect.configs.load import load_config
from affect.configs.schema import LossConfig, ModelConfig
from affect.errors import ConfigError
from affect.stages.temporal.baselines import span_features
from affect.stages.temporal.clips import ClipTable, FeatureTable, dense_clips, index_clips
from affect.stages.temporal.ensemble import Ensemble
from affect.stages.temporal.fit import Fit, LabelledClips, build_model
from affect.stages.temporal.losses import total_loss
from affect.stages.temporal.model import ModelSpec, TemporalModel
from affect.stages.temporal.optimizer import first_layer_rate, learning_rate, make_optimizer, set_learning_rate
from affect.stages.temporal.overlaps import overlapping_clips
from affect.stages.temporal.score import clip_means, score_clips
from affect.stages.temporal.windows import SpanWindows, draw_starts, window_places, windows_at

PAPER = load_config("paper")
SIZE, LENGTH, CONTEXT = 32, 16, 2
Edges = Literal["mask", "wrap", "segment"]
WINDOW = LENGTH * (2 * CONTEXT + 1)
SPANS = ((0, 62), (40, 62), (0, 100), (101, 30), (0, 16), (0, 90))  # first frame, frames; of the videos below
VIDEOS = ("a", "a", "b", "b", "c", "d")


@pytest.fixture
def clips(make_video: Any) -> ClipTable:
    """The clips of six segments, every frame of which shows the person."""
    videos = {name: make_video(150, seed=number, seen=1.0, size=SIZE) for number, name in enumerate("abcd")}
    first, count = np.array(SPANS).T * 0.32
    return index_clips(FeatureTable.from_videos(videos), VIDEOS, first, first + count, PAPER.clips)


def network(dropout: float = 0.0, seed: int = 0, config: ModelConfig = PAPER.model) -> TemporalModel:
    config = replace(config, heads=4, feed_forward=24, dropout=dropout, encoder_dropout=dropout)
    return build_model(ModelSpec(SIZE, ("arousal", "valence"), LENGTH, CONTEXT, config), seed, "cpu").double()


def span_frames(clips: ClipTable, span: int) -> Tensor:
    """(n, D): every frame of a segment."""
    (first, count), begin = SPANS[span], clips.table.frames.first[clips.table.number([VIDEOS[span]])[0]]
    return clips.table.values(torch.arange(begin + first, begin + first + count))[0].double()


def random_sequence(frames: list[int], start: int, size: int) -> list[int]:
    """Some frames from `start` on, going on at the beginning; what is missing still is a reflection."""
    end = start + size
    found = frames[start:end] if end < len(frames) else frames[start:] + frames[: end - len(frames)]
    padded: list[int] = np.pad(np.array(found), (0, size - len(found)), "reflect").tolist()
    return padded


def attention_layer(x: Tensor, p: Mapping[str, Tensor], heads: int) -> Tensor:
    """A pre-norm Transformer layer of one clip (T, D)."""
    width, inner_weight = x.shape[1], p["self_attn.in_proj_weight"].T
    inner = functional.layer_norm(x, (width,), p["norm1.weight"], p["norm1.bias"])
    q, k, v = torch.split(inner @ inner_weight + p["self_attn.in_proj_bias"], width, 1)
    parts = []
    for a, b, c in zip(q.chunk(heads, 1), k.chunk(heads, 1), v.chunk(heads, 1), strict=True):
        parts.append(torch.softmax(a @ b.T / math.sqrt(width // heads), 1) @ c)
    x = x + torch.cat(parts, 1) @ p["self_attn.out_proj.weight"].T + p["self_attn.out_proj.bias"]
    inner = functional.layer_norm(x, (width,), p["norm2.weight"], p["norm2.bias"])
    hidden = torch.relu(inner @ p["linear1.weight"].T + p["linear1.bias"])
    return x + hidden @ p["linear2.weight"].T + p["linear2.bias"]


def encoded(frames: Tensor, p: Mapping[str, Tensor], heads: int) -> Tensor:
    """(D,) of one clip (T, D)."""
    reduced = torch.relu(frames @ p["reduction.weight"].T + p["reduction.bias"])
    x = reduced + p["encoder.positions.weight"][: len(frames)]
    for number in range(2):
        name = f"encoder.transformer.layers.{number}."
        x = attention_layer(x, {key.removeprefix(name): value for key, value in p.items()}, heads)
    return (x + reduced).mean(0)


def predicted(query: Tensor, around: list[Tensor], p: Mapping[str, Tensor]) -> Tensor:
    """(2,) of one clip's vector and those of its context."""
    width = len(query)
    theta = p["context.theta.weight"] @ query + p["context.theta.bias"]
    keys = [p["context.phi.weight"] @ item + p["context.phi.bias"] for item in around]
    values = [p["context.g.weight"] @ item + p["context.g.bias"] for item in around]
    shares = torch.softmax(torch.stack([math.sqrt(width) * (theta @ key) for key in keys]), 0)
    mixed = functional.layer_norm(
        sum((share * value for share, value in zip(shares, values, strict=True)), torch.zeros_like(query)),
        (width,), p["context.norm.weight"], p["context.norm.bias"],
    )  # fmt: skip
    both = torch.cat([query, p["context.out.weight"] @ torch.relu(mixed) + p["context.out.bias"] + query])
    hidden = torch.relu(p["head.hidden.weight"] @ torch.relu(both) + p["head.hidden.bias"])
    halves = zip(hidden.chunk(2), p["head.slice_weight"], p["head.slice_bias"], strict=True)
    return torch.stack([half @ weight + bias for half, weight, bias in halves])


def loss_of(prediction: Tensor, labels: Tensor, vectors: Tensor) -> Tensor:
    """1 - CCC, mean over targets, plus the RMSE between both matrices of cosines."""
    losses = []
    for a, b in zip(prediction.T, labels.T, strict=True):
        da, db = a - a.mean(), b - b.mean()
        pcc = (da * db).sum() / ((da**2).sum().sqrt() * (db**2).sum().sqrt() + 1e-5)
        spread = da.square().mean() + db.square().mean() + (a.mean() - b.mean()) ** 2 + 1e-5
        losses.append(1 - 2 * pcc * da.square().mean().sqrt() * db.square().mean().sqrt() / spread)
    z, y = functional.normalize(vectors), functional.normalize(labels)
    pairs = ~torch.eye(len(z)).bool()
    return torch.stack(losses).mean() + (z @ z.T - y @ y.T)[pairs].square().mean().sqrt()


def reference_step(clips: ClipTable, p: Mapping[str, Tensor], starts: list[int], labels: Tensor) -> Tensor:
    """The published loss of one window of each segment."""
    queries, predictions = [], []
    for span, start in enumerate(starts):
        frames = span_frames(clips, span)
        window = torch.split(frames[random_sequence(list(range(len(frames))), start, WINDOW)], LENGTH)
        with torch.no_grad():
            around = [encoded(clip, p, 4) for clip in window]
        query = encoded(window[CONTEXT], p, 4)
        queries.append(query)
        predictions.append(predicted(query, around, p))
    return loss_of(torch.stack(predictions), labels, torch.stack(queries))


@pytest.mark.parametrize("size", [1, 2, 3, 15, 16, 17, 40, 41, 62, 63, 79, 80, 81, 200])
@pytest.mark.parametrize("length", [1, 16, 80])
def test_a_window_goes_round_its_segment_and_then_backwards(size: int, length: int) -> None:
    starts = np.arange(size)[:, None]
    found = window_places(np.full_like(starts, size), starts, length)
    expected = [random_sequence(list(range(size)), start, length) for start in range(size)]
    assert found.tolist() == expected


def test_a_training_step_has_the_published_gradient_of_every_parameter(clips: ClipTable) -> None:
    model = network().train()
    labels = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (len(SPANS), 2)))
    order, start = draw_starts(clips, np.arange(len(clips)), np.random.default_rng(2))
    windows = windows_at(clips, start)
    assert isinstance(windows, SpanWindows) and clips.span[order].tolist() == list(range(len(SPANS)))
    total_loss(model(windows.batch(torch.from_numpy(order))), labels, LossConfig()).backward()  # type: ignore[no-untyped-call]
    theirs = {name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()}
    loss = reference_step(clips, theirs, start[order].tolist(), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    for name, value in model.named_parameters():
        expected = theirs[name].grad
        assert value.grad is not None and expected is not None, name
        if name == "context.phi.bias":  # it moves all logits alike
            assert value.grad.norm() < 1e-6
            continue
        assert expected.norm() > 1e-6, name
        assert (value.grad - expected).norm() <= 1e-5 * expected.norm(), name  # the softmax is one of float32


@pytest.mark.parametrize(("epoch", "rate", "first"), [
    (0, 1e-5, 1e-5), (4, 1e-5, 1e-5), (5, 1e-6, 1e-6 / 2.6), (9, 1e-6, 1e-6 / 2.6), (10, 1e-7, 1e-7 / 2.6),
])  # fmt: skip
def test_from_epoch_5_on_the_reduction_learns_2_6_times_more_slowly(epoch: int, rate: float, first: float) -> None:
    model, steps = network(), 7
    optimizer = make_optimizer(model, PAPER.training)
    for step in (epoch * steps, epoch * steps + steps - 1):
        found = learning_rate(step, steps, PAPER.training)
        set_learning_rate(optimizer, found, first_layer_rate(found, step, steps, PAPER.training))
        before = {name: value.detach().clone() for name, value in model.named_parameters()}
        for value in model.parameters():
            value.grad = torch.full_like(value, 1000.0)
        optimizer.step()
        for name, value in model.named_parameters():
            own = first if name.startswith("reduction.") else rate
            torch.testing.assert_close(value, before[name] - own * (1000 + 5e-4 * before[name]), rtol=1e-12, atol=0)


def test_a_segments_score_is_the_mean_of_its_padded_clips_each_with_a_rolled_context(clips: ClipTable) -> None:
    model = network().eval()
    p = dict(model.named_parameters())
    for span, (_, count) in enumerate(SPANS):
        frames = functional.pad(span_frames(clips, span), (0, 0, 0, -count % LENGTH))  # with zeros, which count
        with torch.no_grad():
            vectors = torch.stack([encoded(clip, p, 4) for clip in torch.split(frames, LENGTH)])
            rolled = torch.stack([vectors.roll(shift, 0) for shift in range(-CONTEXT, CONTEXT + 1)], 1)
            expected = torch.stack([predicted(z, list(c), p) for z, c in zip(vectors, rolled, strict=True)])
        found = score_clips([Ensemble([model]).eval()], clips, np.flatnonzero(clips.span == span)).mean
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)
    assert np.bincount(clips.span).tolist() == [4, 4, 7, 2, 1, 6]


def test_the_zeros_behind_a_segment_stay_out_of_ridge_and_of_the_distance_to_the_training(clips: ClipTable) -> None:
    _, features = span_features(clips, np.arange(len(clips)))
    for span in range(len(SPANS)):
        np.testing.assert_allclose(features[span], span_frames(clips, span).mean(0), atol=1e-5)
    last = np.flatnonzero(clips.span == 0)[-1]
    np.testing.assert_allclose(clip_means(clips, np.array([last]))[0], span_frames(clips, 0)[48:].mean(0), atol=1e-5)


def test_the_context_is_encoded_in_a_pass_of_its_own_with_another_dropout(clips: ClipTable) -> None:
    seen: list[Tensor] = []
    for context_pass in ("own", "shared"):
        model = network(0.3, config=replace(PAPER.model, context_pass=context_pass)).train()
        assert model.context is not None
        model.context.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1][:, CONTEXT]))
        batch = windows_at(clips, np.zeros(len(clips), np.int64)).batch(torch.tensor([0, 8]))
        torch.manual_seed(0)
        scores = model(batch)
        assert torch.equal(seen[-1], scores.embedding) == (context_pass == "shared")
        assert not seen[-1].requires_grad and scores.embedding.requires_grad
        with torch.no_grad():
            evaluated = model.eval()(batch)
        torch.testing.assert_close(seen[-1], evaluated.embedding)
    assert torch.nn.functional.cosine_similarity(seen[0], seen[2]).min() > 0.8  # the same clips, otherwise dropped


def test_positions_begin_as_the_preset_says() -> None:
    for config, spread in ((PAPER.model, 1.0), (replace(PAPER.model, position_std=0.02), 0.02)):
        assert float(network(config=config).encoder.positions.weight.detach().std()) == pytest.approx(spread, rel=0.02)


@pytest.mark.parametrize("edges", ["segment", "mask", "wrap"])
def test_each_epoch_has_one_window_of_each_span_from_another_place(clips: ClipTable, edges: Edges) -> None:
    table = replace(clips, context_edges=edges)
    drawn = [draw_starts(table, np.arange(len(clips)), np.random.default_rng([7, epoch])) for epoch in range(40)]
    again = draw_starts(table, np.arange(len(clips)), np.random.default_rng([7, 3]))
    assert np.array_equal(drawn[3][1], again[1])
    for span, (_, count) in enumerate(SPANS):
        places = [start[order[span]] for order, start in drawn]
        room = count if edges == "segment" else count - LENGTH + 1
        assert min(places) >= 0
        assert max(places) < room
        assert len(set(places)) > min(room, 20) / 2
        windows = windows_at(table, drawn[0][1])
        if isinstance(windows, ClipTable):
            number = drawn[0][0][span]
            begin = windows.first[number]
            assert SPANS[span][0] <= begin and begin + LENGTH <= SPANS[span][0] + count
    some = clips.span != 2
    assert clips.span[draw_starts(table, np.flatnonzero(some), np.random.default_rng(0))[0]].tolist() == [0, 1, 3, 4, 5]


def test_no_window_is_drawn_whose_clip_hardly_shows_the_person(make_video: Any) -> None:
    video = make_video(400, seen=1.0, size=SIZE)
    shown = (video.frame < 60) | (video.frame >= 300)
    rows = {
        name: getattr(video, name)[shown] for name in ("values", "frame", "track", "box_px", "score", "landmarks_px")
    }
    cut = FrameFeatures(time_s=video.time_s, index=video.index, status=video.status, **rows)
    config = replace(PAPER.clips, min_valid=0.75)
    clips = index_clips(FeatureTable.from_videos({"a": cut}), ["a"], np.zeros(1), np.array([np.nan]), config)
    both: tuple[Edges, ...] = ("segment", "mask")
    for edges in both:
        table = replace(clips, context_edges=edges)
        for seed in range(50):
            order, start = draw_starts(table, np.arange(len(clips)), np.random.default_rng(seed))
            windows = windows_at(table, start)
            batch = windows.batch(torch.from_numpy(order))
            assert batch.frame_mask[batch.query].float().mean() >= 0.75 == table.min_valid
            assert windows.coverage_of(order)[0] == pytest.approx(float(batch.frame_mask[batch.query].float().mean()))
            if edges == "segment":
                assert torch.equal(batch.neighbour_mask, batch.frame_mask.any(1)[batch.neighbours])


def test_a_whole_video_that_is_scored_is_one_ring(clips: ClipTable) -> None:
    dense, ring = (
        dense_clips(clips.table, replace(PAPER.clips, context_edges=edges), 4) for edges in ("segment", "wrap")
    )  # fmt: skip
    assert dense.context_edges == "wrap" and np.array_equal(
        dense.keys(np.arange(len(dense)))[0], ring.keys(np.arange(len(ring)))[0]
    )  # fmt: skip


def test_clips_of_a_segment_see_no_other_one(clips: ClipTable) -> None:
    side = np.where(clips.span < 3, 0, 2)
    assert overlapping_clips(clips, side) == {}  # spans 2 and 3 are of one video, a frame apart
    masked = replace(clips, context_edges="mask")
    assert overlapping_clips(masked, side) == {("train", "test"): 5}


def test_a_fit_as_published_resumes_to_the_same_bytes(clips: ClipTable) -> None:
    labels = np.random.default_rng(3).uniform(-1, 1, (len(SPANS), 2)).astype(np.float32)[clips.span]
    train, validation = np.flatnonzero(clips.span < 4), np.flatnonzero(clips.span >= 4)
    data = LabelledClips(clips, labels, train, validation, mirrored=clips)
    training = replace(PAPER.training, epochs=4, step_epochs=2, learning_rate=0.01, batch_size=2)

    def fresh() -> Fit:
        return Fit(network(0.2).float(), data, training, PAPER.loss, 5)

    whole, begun, resumed = fresh(), fresh(), fresh()
    records = list(whole.epochs())
    first = [record for _, record in zip(range(3), begun.epochs(), strict=False)]
    resumed.load_state(begun.state())
    rest = list(resumed.epochs())
    assert [record.loss for record in (*first, *rest)] == [record.loss for record in records]
    assert len({record.loss for record in records}) == 4 and whole.progress.steps == 4 * 2
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


@pytest.mark.parametrize(("words", "message"), [
    (["clips.context_edges=segment", "clips.hop=4"], "clips.hop is 4; expected null"),
    (["training.first_layer_divisor=2.6"], "training.schedule=cosine has no first reduction"),
    (["clips.context_edges=ring"], "expected 'mask' or 'wrap' or 'segment'"),
    (["training.windows=all"], "expected 'grid' or 'random'"),
])  # fmt: skip
def test_settings_that_do_not_go_together_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, words)
