"""Every setting with its default. The comment beside it gives meaning, unit and range.

A preset or `--set a.b=c` says only what differs. What each default is worth, as measured: docs/defaults.md.
"""

from dataclasses import dataclass, field
from typing import Literal

from ..errors import ConfigError, InputError
from .subject import Subject

PUBLISHED_EDGES: Literal["mask", "wrap"] = "wrap"  # how the authors' checkpoints were trained


def _require(condition: bool, key: str, value: object, expected: str) -> None:
    if not condition:
        raise ConfigError(f"{key} is {value!r}; expected {expected}", hint=f"--set {key}=VALUE")


@dataclass(frozen=True, slots=True)
class FacesConfig:
    """How faces are found, followed and cut out. With `detector: none`, each kept frame is one row: the whole frame."""

    detector: Literal["centerface", "none"] = "centerface"  # none: the frames are faces already, or are used whole
    input_width_px: int = 320  # width to which a frame is reduced for the detector, pixels, 64 to 640
    start_score: float = 0.5  # detection score at which a track starts, 0 to 1
    continue_score: float = 0.35  # detection score at which a track continues, 0 to start_score
    min_iou: float = 0.3  # overlap over union of a track's last box and its next, at least; 0 to 1
    max_gap_s: float = 2.0  # a track ends after this long without a detection, seconds, at least 0
    # A new shot begins where the thumbnails of two frames differ by more than this on average, grey levels, 0 to 255.
    cut_threshold: float = 30.0
    min_face_px: int = 12  # shorter side of a face's box; smaller faces have no row (status 3), pixels of the frame
    crop: Literal["aligned", "box"] = "aligned"  # eyes at a fixed place and level, or a square around the box

    def __post_init__(self) -> None:
        _require(64 <= self.input_width_px <= 640, "features.faces.input_width_px", self.input_width_px, "64 to 640")
        _require(
            0 < self.continue_score <= self.start_score < 1,
            "features.faces.continue_score",
            self.continue_score,
            f"between 0 and start_score ({self.start_score})",
        )
        _require(0 < self.min_iou < 1, "features.faces.min_iou", self.min_iou, "between 0 and 1")
        _require(self.max_gap_s >= 0, "features.faces.max_gap_s", self.max_gap_s, "seconds, at least 0")


@dataclass(frozen=True, slots=True)
class FeaturesConfig:
    """Stage one. Everything here is part of a store's recipe."""

    backbone: str = "efficientnet-lite0"  # a name that --backbone takes (README: Other backbones)
    weights: str | None = None  # the backbone's file; "random", for tests; None: the weights that come with the name
    preprocessing: Literal["own", "paper"] = "own"  # scale of the pixels: the network's own, or that of the paper
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"  # auto: fp32 on a CPU, else fp16 or bf16 if exact
    view: Literal["plain", "hflip"] = "plain"  # faces as they are, or mirrored, for a second store
    sample_fps: float | Literal["source"] = 3.125  # kept frames a second, above 0 to 1000; source: every frame
    faces: FacesConfig = field(default_factory=FacesConfig)

    def __post_init__(self) -> None:
        if self.sample_fps != "source":
            _require(
                0 < float(self.sample_fps) <= 1000,
                "features.sample_fps",
                self.sample_fps,
                "frames a second, or 'source' for every frame",
            )


@dataclass(frozen=True, slots=True)
class ClipsConfig:
    """How a labelled span becomes clips, and which clips are a clip's context."""

    length: int = 16  # kept frames of a clip, 1 to 1000
    hop: int | None = None  # kept frames from clip to clip of a span, at least 1; None: length, so no overlap
    context: int = 2  # neighbours on each side that a clip attends to, 0 to 64; 0: no context attention
    context_edges: Literal["mask", "wrap"] = "mask"  # beyond a video's ends: no neighbour, or one from its other end
    subject: str = "main"  # whose features: main (seen most), largest (in each frame), or track:N
    min_valid: float = 0.0  # share of a clip's frames that must show the person, to train or be scored; 0 to 1

    def __post_init__(self) -> None:
        _require(1 <= self.length <= 1000, "clips.length", self.length, "1 to 1000 frames")
        _require(self.hop is None or self.hop >= 1, "clips.hop", self.hop, "at least 1 frame")
        _require(0 <= self.context <= 64, "clips.context", self.context, "0 to 64 clips on each side")
        _require(0 <= self.min_valid <= 1, "clips.min_valid", self.min_valid, "a share, 0 to 1")
        _require(_is_one_person(self.subject), "clips.subject", self.subject, "main, largest or track:N")


def _is_one_person(word: str) -> bool:
    """Whether a run can learn from this subject: one row for each frame, so not `all`."""
    try:
        return Subject.parse(word).kind != "all"
    except InputError:
        return False


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The stage-two network. Its width is that of the features, unless `width` reduces it."""

    width: int | None = None  # of all layers after the first, a multiple of heads; None: as many as the features
    layers: int = 2  # of the clip Transformer, at least 1
    heads: int = 16  # of its self-attention, at least 1
    feed_forward: int = 2048  # width of its feed-forward layers, at least 1
    encoder_dropout: float = 0.1  # share dropped in the clip Transformer, 0 to below 1
    dropout: float = 0.2  # share dropped after positions, in the context block and in the head, 0 to below 1
    # Attention to the context: logits divided by sqrt(width), or multiplied by it as in the authors' code.
    attention_scale: Literal["standard", "published"] = "standard"
    head_inner_relu: bool = True  # ReLU before the head's linear layer; the published PANSS and CAINS heads have none
    total_target: str | None = None  # the target that reads the whole head; each other target reads a part of it

    def __post_init__(self) -> None:
        for name in ("layers", "heads", "feed_forward"):
            _require(getattr(self, name) >= 1, f"model.{name}", getattr(self, name), "at least 1")
        for name in ("encoder_dropout", "dropout"):
            _require(0 <= getattr(self, name) < 1, f"model.{name}", getattr(self, name), "0 to 1")


@dataclass(frozen=True, slots=True)
class LossConfig:
    """`regression` over targets plus `relational_weight` times the relational loss."""

    regression: Literal["ccc", "rmse"] = "ccc"  # 1 - CCC, or the root of the mean squared error
    relational_weight: float = 1.0  # at least 0; 0: no relational loss
    label_similarity: Literal["cosine", "distance"] = "cosine"  # of two clips' labels, in the relational loss
    contrastive_epochs: int = 0  # of pre-training without labels; 0: none
    contrastive_temperature: float = 0.07  # of its softmax, above 0

    def __post_init__(self) -> None:
        _require(self.relational_weight >= 0, "loss.relational_weight", self.relational_weight, "at least 0")
        _require(
            self.contrastive_temperature > 0, "loss.contrastive_temperature", self.contrastive_temperature, "above 0"
        )


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How the weights are found. Early stopping watches the inner validation split."""

    optimizer: Literal["adamw", "sgd"] = "adamw"  # adamw: no decay of biases and norms; sgd: plain, decay of everything
    learning_rate: float = 3e-4  # the highest, after warm-up; above 0
    weight_decay: float = 1e-2  # at least 0
    schedule: Literal["cosine", "step", "constant"] = "cosine"  # of the learning rate after warm-up
    warmup: float = 0.05  # share of all steps in which the learning rate rises, 0 to below 1
    step_epochs: int = 5  # schedule step: epochs between two reductions, at least 1
    step_factor: float = 0.1  # schedule step: what each reduction multiplies the learning rate by
    epochs: int = 50  # at most; at least 1
    patience: int = 10  # epochs without a better validation score before training stops; 0: it never stops early
    keep: Literal["best", "last"] = "best"  # best epoch on validation, or the last one, which never stops early
    batch_size: int = 32  # clips, at least 1
    accumulate: int = 1  # batches for each step of the optimiser, at least 1
    clip_norm: float = 1.0  # largest norm of the gradient, at least 0; 0: any
    standardise: bool = True  # features minus the training clips' mean, over their (floored) standard deviation
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16: mixed precision
    seed: int = 0  # of the first weights, the batches, dropout, and the division of subjects

    def __post_init__(self) -> None:
        for name in ("learning_rate", "epochs", "batch_size", "accumulate", "step_epochs"):
            _require(getattr(self, name) > 0, f"training.{name}", getattr(self, name), "above 0")
        for name in ("weight_decay", "patience", "clip_norm"):
            _require(getattr(self, name) >= 0, f"training.{name}", getattr(self, name), "at least 0")
        _require(0 <= self.warmup < 1, "training.warmup", self.warmup, "a share, 0 to 1")


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """Which subjects train, choose and test. No subject is ever on two sides unless `allow_shared_subjects`."""

    # split: as the manifest or test_subjects say; leave-one-subject-out: a fold for each subject; k-fold: `folds` folds
    protocol: Literal["split", "leave-one-subject-out", "k-fold"] = "split"
    folds: int = 5  # k-fold: how many, at least 2; subjects stay whole
    validation_share: float = 0.2  # of the training subjects, where the manifest names no validation; between 0 and 1
    test_subjects: tuple[str, ...] = ()  # split: these test, whatever the manifest's column says
    allow_shared_subjects: bool = False  # a subject may be on two sides; every table of results then says so
    bootstrap: int = 1000  # resamples of subjects for the intervals; 0: no intervals

    def __post_init__(self) -> None:
        _require(self.folds >= 2, "evaluation.folds", self.folds, "at least 2")
        _require(0 < self.validation_share < 1, "evaluation.validation_share", self.validation_share, "0 to 1")


@dataclass(frozen=True, slots=True)
class LabelsConfig:
    """Which columns of the manifest are targets, and their ranges."""

    targets: tuple[str, ...] = ()  # names of columns; empty: every column that is not one of the manifest's own
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)  # target -> [low, high], in its own unit

    def __post_init__(self) -> None:
        for name, (low, high) in self.ranges.items():
            _require(low < high, f"labels.ranges.{name}", [low, high], "[low, high] with low < high")


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
