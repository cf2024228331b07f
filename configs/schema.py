"""Every setting with its default, meaning, unit and range: what `affect settings` and docs/settings.md show.

A preset or `--set a.b=c` says only what differs. What each default is worth, as measured: docs/defaults.md.
"""

from dataclasses import dataclass, field
from typing import Literal

from ..errors import ConfigError, InputError
from .ranges import check_ranges, count, number, require, setting
from .stage_one import OPENVINO, TORCH, FacesConfig, FeaturesConfig
from .subject import Subject

__all__ = [
    "BY_SIZE", "MOST_LABEL", "MOST_SEED", "MOST_WEIGHTS", "OPENVINO", "PUBLISHED_EDGES", "TORCH",
    "ClipsConfig", "Config", "EvaluationConfig", "FacesConfig", "FeaturesConfig", "LabelsConfig",
    "LossConfig", "Method", "ModelConfig", "TrainingConfig",
]  # fmt: skip

PUBLISHED_EDGES: Literal["mask", "wrap"] = "wrap"  # as the authors score a recording that is one segment
Method = Literal["blend", "model", "ridge"]  # whose scores: half ridge and half networks, the networks', ridge's
# What `train-temporal` chooses by the labelled spans and people there are, unless a preset, a file or --set says it.
BY_SIZE = (
    "loss.relational",
    "loss.relational_weight",
    "model.width",
    "model.layers",
    "model.heads",
    "model.feed_forward",
    "training.learning_rate",
    "training.weight_decay",
    "training.epochs",
    "training.patience",
    "training.keep",
    "training.refit",
    "training.seeds",
)
MOST_SEED = 2**31 - 1
MOST_LABEL = 1e30  # on either side of zero: training computes in float32
MOST_WEIGHTS = 500_000_000  # of the stage-two network: 2 GB, and four times as much while it trains


@dataclass(frozen=True, slots=True)
class ClipsConfig:
    """How a labelled span becomes clips, and which clips are a clip's context."""

    length: int = count(16, 1, 1000, "Length of a clip", "kept frames")
    hop: int | None = count(None, 1, 100_000, "From clip to clip of a span; null: length, so no overlap", "kept frames")
    context: int = count(2, 0, 64, "Neighbours on each side that a clip attends to; 0: no context attention", "clips")
    context_edges: Literal["mask", "wrap", "segment"] = setting(
        "mask",
        "Beyond a video's ends: no neighbour (mask), or one from its other end (wrap). segment, as published: the "
        "clips of a span have each other for neighbours, in a ring, and zeros fill up the last one; a whole video is "
        "wrapped",
    )
    subject: str = setting("main", "Whose features: main (live, large, seen most), largest (in each frame), or track:N")
    centre: Literal["none", "person"] = setting(
        "none", "person: each person's mean feature over the recording is taken away, and with it levels between people"
    )
    min_valid: float = number(0.0, 0, 1, "Share of a clip's frames that must show the person, to train or be scored")

    def __post_init__(self) -> None:
        check_ranges(self, "clips")
        require(_is_one_person(self.subject), "clips.subject", self.subject, "main, largest or track:N")
        require(
            self.context_edges != "segment" or self.hop in (None, self.length),
            "clips.hop",
            self.hop,
            f"null, since clips.context_edges=segment cuts a span into clips of {self.length} frames, end to end",
        )


def _is_one_person(word: str) -> bool:
    """Whether a run can learn from this subject: one row for each frame, so not `all`."""
    try:
        return Subject.parse(word).kind != "all"
    except InputError:
        return False


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The stage-two network. Its width is that of the features, unless `width` reduces it."""

    width: int | None = count(
        None, 1, 8192, "Width of all layers after the first, a multiple of heads; null: that of the features"
    )
    layers: int = count(2, 1, 64, "Layers of the clip Transformer")
    heads: int = count(16, 1, 256, "Heads of its self-attention")
    feed_forward: int = count(2048, 1, 65536, "Width of its feed-forward layers")
    encoder_dropout: float = number(0.1, 0, 1, "Share dropped in the clip Transformer", below=True)
    dropout: float = number(
        0.2, 0, 1, "Share dropped after positions, in the context block and in the head", below=True
    )
    position_std: float = number(
        0.02, 0, 100, "Standard deviation of the learned positions before training; published: 1"
    )
    context_pass: Literal["shared", "own"] = setting(
        "shared",
        "In training, a clip is in its own context as it was encoded (shared), or encoded "
        "again, with other dropout (own)",
    )
    attention_scale: Literal["standard", "published"] = setting(
        "standard",
        "Attention to the context: logits divided by sqrt(width), or multiplied by it as in the authors' "
        "code (published)",
    )
    head_inner_relu: bool = setting(
        True, "ReLU before the head's linear layer; the published PANSS and CAINS heads have none"
    )
    total_target: str | None = setting(
        None, "The target that reads the whole head, where each other target reads a part of it"
    )

    def __post_init__(self) -> None:
        check_ranges(self, "model")

    def check_width(self, width: int) -> None:
        """Errors: ConfigError for a width that the heads do not divide, or of a network too large to train anywhere."""
        if width % self.heads:
            fewer = max(heads for heads in range(1, self.heads + 1) if width % heads == 0)
            wider = max(1, round(width / self.heads)) * self.heads
            raise ConfigError(
                f"model.heads is {self.heads}, which does not divide the width {width}",
                hint=f"--set model.heads={fewer}, or --set model.width={wider}",
            )
        weights = self.layers * (4 * width * width + 2 * width * self.feed_forward)
        if weights > MOST_WEIGHTS:
            raise ConfigError(
                f"model.layers {self.layers} and model.feed_forward {self.feed_forward} at the width {width} make "
                f"{weights / 1e6:.0f} million weights; expected at most {MOST_WEIGHTS / 1e6:.0f} million",
                hint="--set model.width=256",
            )


@dataclass(frozen=True, slots=True)
class LossConfig:
    """`regression` over targets plus `relational_weight` times the relational loss."""

    regression: Literal["ccc", "rmse"] = setting("ccc", "1 - CCC, or the root of the mean squared error")
    relational_weight: float = number(1.0, 0, 1e6, "Weight of the relational loss; 0: none")
    relational: Literal["matrix", "y-aware", "expw"] = setting(
        "matrix",
        "The relational loss. matrix: differences of the clips' similarities and their labels', as published; y-aware, "
        "expw: clips are drawn to those with near labels, and pushed from the others (Barbano et al. 2023)",
    )
    label_similarity: Literal["cosine", "centred", "distance"] = setting(
        "cosine",
        "With matrix: how alike the labels of two clips are; centred: cosines after the batch's mean is taken from "
        "both sides",
    )
    kernel_width: float = number(
        0.2, 1e-3, 100,
        "With y-aware and expw: label distance at which the pull is down to .6",
        "labels as scaled for training, with a range of 1 or 2",
    )  # fmt: skip
    contrastive_epochs: int = count(0, 0, 10_000, "Pre-training without labels; 0: none", "epochs")
    contrastive_temperature: float = number(
        0.07, 1e-4, 1e4, "Temperature of the softmax there, and with y-aware and expw"
    )

    def __post_init__(self) -> None:
        check_ranges(self, "loss")
        require(
            self.relational == "matrix" or self.label_similarity == "cosine",
            "loss.label_similarity",
            self.label_similarity,
            f"cosine, since loss.relational={self.relational} compares labels by its own kernel",
        )


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How the weights are found. Early stopping watches the inner validation split."""

    optimizer: Literal["adamw", "sgd"] = setting(
        "adamw", "adamw: no decay of biases and norms; sgd: plain, decay of everything"
    )
    learning_rate: float = number(
        3e-4, 0, 1e30, "The highest one, after warm-up. Far too high costs no time: the first loss that is no number "
        "ends it", above=True,
    )  # fmt: skip
    weight_decay: float = number(1e-2, 0, 1000, "Decay of the weights")
    schedule: Literal["cosine", "step", "constant"] = setting("cosine", "Of the learning rate after warm-up")
    warmup: float = number(0.05, 0, 1, "Share of all steps in which the learning rate rises", below=True)
    step_epochs: int = count(5, 1, 10_000, "With schedule step: from one reduction to the next", "epochs")
    step_factor: float = number(0.1, 0, 1, "With schedule step: what each reduction multiplies the learning rate by")
    first_layer_divisor: float = number(
        1.0, 1, 1e6,
        "With schedule step: from its first reduction on, what the first layer's learning rate is divided by; "
        "published: 2.6",
    )  # fmt: skip
    epochs: int = count(50, 1, 10_000, "Passes over the training clips, at most", "epochs")
    patience: int = count(
        10, 0, 10_000, "Without a better validation score before training stops; 0: it never stops early", "epochs"
    )
    keep: Literal["best", "last"] = setting(
        "best", "The weights of the best epoch on validation, or of the last one, which never stops early"
    )
    refit: bool = setting(False, "With keep last: the validation spans, on which nothing is chosen, train too")
    seeds: int = count(1, 1, 100, "Networks of a fold, from so many seeds, whose scores are averaged")
    windows: Literal["grid", "random"] = setting(
        "grid", "The clips of an epoch: all of a span, or one from a random place of each span, another in every epoch"
    )
    batch_size: int = count(32, 1, 65_536, "Clips of a batch", "clips")
    accumulate: int = count(1, 1, 10_000, "Batches for each step of the optimiser", "batches")
    clip_norm: float = number(1.0, 0, 1e6, "Largest norm of the gradient; 0: any")
    standardise: bool = setting(
        True, "Features minus the training clips' mean, over their (floored) standard deviation"
    )
    precision: Literal["fp32", "bf16"] = setting("fp32", "Of training; bf16: mixed precision")
    seed: int = count(0, 0, MOST_SEED, "Seed of the first weights, the batches, dropout, and the division of subjects")

    def __post_init__(self) -> None:
        check_ranges(self, "training")
        require(
            self.schedule == "step" or self.first_layer_divisor == 1,
            "training.first_layer_divisor",
            self.first_layer_divisor,
            f"1, since training.schedule={self.schedule} has no first reduction",
        )


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """Which subjects train, choose and test. No subject or file is on two sides unless `allow_shared_subjects`."""

    protocol: Literal["split", "leave-one-subject-out", "k-fold"] = setting(
        "split",
        "split: as the label table or test_subjects say; leave-one-subject-out: a fold for each subject; k-fold: "
        "`folds` folds",
    )
    folds: int = count(5, 2, 10_000, "With k-fold: how many; subjects stay whole", "folds")
    validation_share: float = number(
        0.2, 0, 1, "Of the training subjects, where the label table names no validation", above=True, below=True
    )
    test_subjects: tuple[str, ...] = setting(
        (), "With split: these test, whatever the label table's column says; [anna,ben]"
    )
    allow_shared_subjects: bool = setting(
        False, "Subjects and files may be on two sides; every table of results says so"
    )
    method: Method = setting(  # noqa: RUF009 - a field
        "blend",
        "What predict scores with: ridge and networks half and half (blend), the networks (model), or ridge alone",
    )

    def __post_init__(self) -> None:
        check_ranges(self, "evaluation")


@dataclass(frozen=True, slots=True)
class LabelsConfig:
    """Which columns of the label table are targets, their ranges, and how the table is to be read."""

    targets: tuple[str, ...] = setting(
        (), "Columns of the label table to predict; empty: every column that is not one of the table's own"
    )
    ranges: dict[str, tuple[float, float]] = setting(  # noqa: RUF009 - likewise
        {}, "[LOW, HIGH] of each target: --set labels.ranges.valence=[-1,1]", "the target's own"
    )
    time_unit: Literal["auto", "s", "ms", "hms"] = setting(
        "auto",
        "Of start_s and end_s. hms: hh:mm:ss.fff or mm:ss. auto: hms where a time has a colon; else seconds, or "
        "milliseconds where only these fit the videos, which is said",
    )
    sheet: str = setting("", "The sheet of a workbook; empty: the one with the columns of a label table")

    def __post_init__(self) -> None:
        for name, (low, high) in self.ranges.items():
            require(
                -MOST_LABEL <= low < high <= MOST_LABEL,
                f"labels.ranges.{name}",
                [low, high],
                "[low, high] with low < high",
            )


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that a run depends on besides its inputs. Its config.yaml has all of it, also the defaults."""

    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    labels: LabelsConfig = field(default_factory=LabelsConfig)
    clips: ClipsConfig = field(default_factory=ClipsConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    # Settings of BY_SIZE still to be chosen by the number of labelled spans and people; a run's own file has none
    by_size: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = sorted(set(self.by_size) - set(BY_SIZE))
        require(not unknown, "by_size", unknown[:1], f"names among {', '.join(BY_SIZE)}")
        # What is said goes with what will be chosen, or is refused then.
        if self.model.width is not None and "model.heads" not in self.by_size:
            self.model.check_width(self.model.width)
        if self.training.refit and "training.keep" not in self.by_size:
            kept = self.training.keep
            require(kept == "last", "training.refit", True, f"false, as training.keep is {kept}")
