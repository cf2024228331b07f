"""A model fitted to labelled clips, epoch by epoch, with a state that resumes to the same numbers."""

import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn

from ...cache.records import Array
from ...configs.schema import LossConfig, TrainingConfig
from ...errors import FoldError
from .batches import RUN, epoch_batches, rank_part
from .clips import ClipBatch, ClipTable
from .ensemble import Ensemble
from .losses import SingleTargetWarning, contrastive, loss_parts
from .metrics import mean_ccc
from .model import ModelSpec, Scores, TemporalModel
from .optimizer import first_layer_rate, learning_rate, make_optimizer, set_learning_rate
from .ranks import rank, world
from .scaling import floored_spread
from .score import score_clips
from .windows import SpanWindows, draw_starts, windows_at

# Random numbers come from the process's one generator; a cluster's worker may fit several folds in threads.
_DRAWING = threading.Lock()
MOST_FRAMES = 262_144  # read to standardise the features; more change nothing
FRAME_DROP, FEATURE_DROP = 0.2, 0.1  # of a view in contrastive pre-training: frames hidden, features set to zero


@dataclass(frozen=True, slots=True)
class LabelledClips:
    """C clips with the labels of their spans, and which of them train and which choose the epoch."""

    clips: ClipTable
    labels: Array  # (C, K) float32 in training units, NaN where missing
    train: Array  # clip numbers, neighbours side by side
    validation: Array
    mirrored: ClipTable | None = None  # the same clips from a store of mirrored frames


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What one pass over the training clips gave. `epoch` counts from 1 within its phase."""

    phase: str  # "contrastive" | "supervised"
    epoch: int
    loss: float
    regression: float
    relational: float
    validation_ccc: float  # mean over targets, of clips; NaN while pre-training
    learning_rate: float
    seconds: float
    best: bool  # the weights of this epoch are the ones kept, so far


@dataclass(slots=True)
class Progress:
    """How far a fit has come: plain numbers, so that a state file needs no code to be read."""

    epochs: int = 0  # supervised epochs done
    contrastive_epochs: int = 0
    steps: int = 0  # optimiser steps of the supervised phase
    best_epoch: int = 0  # whose weights are kept, and its validation score
    best_score: float = float("-inf")
    history: list[dict[str, Any]] = field(default_factory=list)


class Fit:
    """A fit in progress. Iterate `epochs()`; between two of them `state()` is all that the rest depends on."""

    def __init__(
        self, model: TemporalModel, data: LabelledClips, training: TrainingConfig, loss: LossConfig, seed: int
    ) -> None:
        self.model, self.data, self.training, self.loss, self.seed = model, data, training, loss, seed
        self.device = next(model.parameters()).device
        self.optimizer = make_optimizer(model, training)
        self.progress = Progress()
        self.best: dict[str, Tensor] = {}
        self._labels = torch.from_numpy(data.labels).to(self.device)
        self._network = _parallel(model)

    @property
    def done(self) -> bool:
        """Whether every epoch is over, or `patience` of them passed without a better validation score."""
        waited = self.progress.epochs - self.progress.best_epoch
        stopped = self.training.patience > 0 and waited >= self.training.patience
        return self.progress.epochs >= self.training.epochs or stopped

    @property
    def most_epochs(self) -> int:
        """Epochs that it has at most, with pre-training: those it had, once it is done."""
        return len(self.progress.history) if self.done else self.loss.contrastive_epochs + self.training.epochs

    def epochs(self) -> Iterator[EpochRecord]:
        """One record after each epoch that is left; afterwards the model has the kept epoch's weights, in eval mode.

        Errors: FoldError when the loss is no longer a number.
        """
        if self.training.standardise and not self.progress.history:
            standardise(self.model, self.data.clips, self.data.train)
        while self.progress.contrastive_epochs < self.loss.contrastive_epochs:
            self.progress.contrastive_epochs += 1
            yield self._record("contrastive", self.progress.contrastive_epochs)
        if self.loss.contrastive_epochs and self.progress.epochs == 0:
            # Without the moments of pre-training, also where a fit was stopped just behind it.
            self.optimizer = make_optimizer(self.model, self.training)
        while not self.done:
            self.progress.epochs += 1
            yield self._record("supervised", self.progress.epochs)
        if self.best:
            self.model.load_state_dict(self.best)
        self.model.eval()

    def state(self) -> dict[str, Any]:
        """Tensors and plain numbers only. Random numbers need no state: each epoch draws from its own seed."""
        return {
            "model": self.model.state_dict(),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "progress": asdict(self.progress),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was taken, to the same numbers as without the interruption."""
        self.model.load_state_dict(state["model"])
        self.best = dict(state["best"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])

    def _record(self, phase: str, epoch: int) -> EpochRecord:
        started = time.perf_counter()
        number = epoch + (self.loss.contrastive_epochs if phase == "supervised" else 0)
        with _DRAWING, torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(_mixed(self.seed, number, rank()))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SingleTargetWarning)  # said once for the run, not once a batch
                parts, rate = self._pass(phase, np.random.default_rng([self.seed, number]))
        if not np.isfinite(parts).all():
            raise FoldError(
                f"the loss is {parts[0]} in epoch {epoch} at learning rate {rate:g}; expected a number",
                hint="--set training.learning_rate=LOWER, or --set training.clip_norm=1",
            )
        score = float("nan")
        if phase == "supervised":
            score = self._validate()
            if score > self.progress.best_score or self.training.keep == "last":
                self.progress.best_score, self.progress.best_epoch = score, epoch
                self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        best = phase == "supervised" and self.progress.best_epoch == epoch
        record = EpochRecord(
            phase=phase,
            epoch=epoch,
            loss=float(parts[0]),
            regression=float(parts[1]),
            relational=float(parts[2]),
            validation_ccc=score,
            learning_rate=rate,
            seconds=time.perf_counter() - started,
            best=best,
        )
        self.progress.history.append(asdict(record))
        return record

    def _pass(self, phase: str, generator: np.random.Generator) -> tuple[Array, float]:
        """Mean loss, regression and relational part (3,) of one pass over the training clips; the last rate."""
        self._network.train()
        order, tables = self._clips_of_epoch(generator)
        run = RUN if self.training.windows == "grid" else 1
        batches = epoch_batches(order, self.training.batch_size, generator, run)
        groups = [batches[i : i + self.training.accumulate] for i in range(0, len(batches), self.training.accumulate)]
        totals = torch.zeros(3, device=self.device)
        rate = self.training.learning_rate
        for group in groups:
            first_layer = rate
            if phase == "supervised":
                rate = learning_rate(self.progress.steps, len(groups), self.training)
                first_layer = first_layer_rate(rate, self.progress.steps, len(groups), self.training)
                self.progress.steps += 1
            set_learning_rate(self.optimizer, rate, first_layer)
            self.optimizer.zero_grad(set_to_none=True)
            for batch in group:
                losses = self._losses(phase, tables, rank_part(batch, rank(), world()), generator)
                (losses[0] / len(group)).backward()  # type: ignore[no-untyped-call]
                totals += losses.detach()
            if self.training.clip_norm:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.training.clip_norm)
            self.optimizer.step()
        return (totals / len(batches)).cpu().double().numpy(), rate

    def _clips_of_epoch(self, generator: np.random.Generator) -> tuple[Array, list[ClipTable | SpanWindows]]:
        """Numbers of the clips that train in an epoch, and the sources of their batches: plain, mirrored if given."""
        tables = [self.data.clips, *([self.data.mirrored] if self.data.mirrored is not None else [])]
        if self.training.windows == "grid":
            return self.data.train, [*tables]
        order, start = draw_starts(self.data.clips, self.data.train, generator)
        return order, [windows_at(table, start) for table in tables]

    def _losses(
        self, phase: str, tables: list[ClipTable | SpanWindows], batch: Array, generator: np.random.Generator
    ) -> Tensor:
        """(3,) total, regression and relational loss of one batch."""
        numbers = torch.from_numpy(batch)
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.training.precision == "bf16")
        with autocast:
            if phase == "contrastive":
                views = [_view(table.batch(numbers)) for table in (tables[0], tables[-1])]
                embeddings = self._network(*views)
                loss = contrastive(embeddings[0], embeddings[1], self.loss.contrastive_temperature)
                return torch.stack([loss, torch.zeros_like(loss), torch.zeros_like(loss)])
            table = tables[-1] if len(tables) > 1 and generator.random() < 0.5 else tables[0]
            scores = self._network(table.batch(numbers))
            parts = loss_parts(scores, self._labels[numbers.to(self.device)], self.loss)
            return torch.stack([parts.total, parts.regression, parts.relational])

    def _validate(self) -> float:
        """Mean CCC over targets of the validation clips, NaN without any; the same number on every rank."""
        self.model.eval()
        if len(self.data.validation) == 0:
            return float("nan")
        model, size = Ensemble([self.model]).eval(), self.training.batch_size
        prediction = score_clips([model], self.data.clips, self.data.validation, size).mean
        score = mean_ccc(prediction, self.data.labels[self.data.validation])
        if world() > 1:
            shared = torch.tensor([score], dtype=torch.float64, device=self.device)
            distributed.broadcast(shared, 0)
            score = float(shared)
        return score


def standardise(model: TemporalModel, clips: ClipTable, numbers: Array) -> None:
    """Set the model's feature mean and spread from the frames of some clips in which the person was seen."""
    begin = clips.table.frames.first[clips.video[numbers]] + clips.first[numbers]
    step = np.arange(clips.clip_length)
    frames = np.unique((begin[:, None] + step)[step < clips.length[numbers, None]])
    frames = frames[:: max(1, -(-len(frames) // MOST_FRAMES))]
    count = 0
    total, squares = np.zeros(clips.table.feature_size), np.zeros(clips.table.feature_size)
    for start in range(0, len(frames), 4096):
        values, seen = clips.table.values(torch.from_numpy(frames[start : start + 4096]))
        rows = values[seen].float()
        count += len(rows)
        total += rows.sum(0).cpu().double().numpy()
        squares += rows.square().sum(0).cpu().double().numpy()
    if count:
        mean = total / count
        spread = floored_spread(mean, squares / count)
        model.feature_mean.copy_(torch.from_numpy(mean))
        model.feature_scale.copy_(torch.from_numpy(spread))


def build_model(spec: ModelSpec, seed: int, device: str) -> TemporalModel:
    """A new model whose first weights depend on the seed alone."""
    with _DRAWING, torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = TemporalModel(spec)
    return model.to(device)


def _view(batch: ClipBatch) -> ClipBatch:
    """The queries alone, with some frames hidden and some features of each clip set to zero."""
    frames, mask = batch.frames[: batch.queries], batch.frame_mask[: batch.queries]
    kept = torch.rand(mask.shape, device=mask.device) >= FRAME_DROP
    kept |= ~(kept & mask).any(1, keepdim=True)  # no clip loses all its frames
    features = torch.rand(len(frames), 1, frames.shape[2], device=frames.device) >= FEATURE_DROP
    return ClipBatch(
        frames=frames * features,
        frame_mask=mask & kept,
        query=batch.query,
        neighbours=batch.query.unsqueeze(1),
        neighbour_mask=torch.ones_like(batch.neighbour_mask[:, :1]),
        queries=batch.queries,
    )


class _ForLoss(nn.Module):
    """What a loss needs of the model, and nothing else, in one call: DDP waits for gradients of all that it returns."""

    def __init__(self, model: TemporalModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, *batches: ClipBatch) -> Scores | list[Tensor]:
        """The scores of one batch; of several views of one, their embeddings."""
        if len(batches) == 1:
            scores: Scores = self.model(batches[0])
            return scores
        return [self.model(batch).embedding for batch in batches]


def _parallel(model: TemporalModel) -> nn.Module:
    if world() == 1:
        return _ForLoss(model)
    return nn.parallel.DistributedDataParallel(_ForLoss(model), find_unused_parameters=True)


def _mixed(*numbers: int) -> int:
    """One seed from several, without small ones falling together."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]) >> 1
