"""Every setting, its default, and its range. A preset or `--set a.b=c` says only what differs."""

from dataclasses import dataclass, field
from typing import Literal

from ..errors import ConfigError, InputError
from .subject import Subject


def _require(condition: bool, key: str, value: object, expected: str) -> None:
    if not condition:
        raise ConfigError(f"{key} is {value!r}; expected {expected}", hint=f"--set {key}=VALUE")


@dataclass(frozen=True, slots=True)
class FacesConfig:
    """How faces are found, followed and cut out. With `detector: none` every kept frame is one whole-frame row."""

    detector: Literal["centerface", "none"] = "centerface"
    input_width_px: int = 320  # of the detector's input; 14-20 px faces are still found at 320
    start_score: float = 0.5  # a track starts at this detection score
    continue_score: float = 0.35  # and goes on at this one
    min_iou: float = 0.3  # between a track's last box and its next
    max_gap_s: float = 2.0  # a track survives this long without a detection
    cut_threshold: float = 30.0  # mean absolute difference of 32x24 grey thumbnails, 0-255
    min_face_px: int = 12  # smaller faces are kept as status "too small"
    crop: Literal["aligned", "box"] = "aligned"

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

    backbone: str = "efficientnet-lite0"
    weights: str | None = None
    preprocessing: Literal["own", "paper"] = "own"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    view: Literal["plain", "hflip"] = "plain"
    sample_fps: float | Literal["source"] = 3.125  # every 8th frame at 25 fps, as in the paper
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

    length: int = 16  # frames a clip
    hop: int | None = None  # frames between clip starts; None: length, no overlap
    context: int = 2  # clips on each side; 0 turns context attention off (docs/ablation.md says when it pays)
    context_edges: Literal["mask", "wrap"] = "mask"  # beyond a video's ends: nothing, or its other end as published
    subject: str = "main"  # main | largest | track:N
    min_valid: float = 0.0  # least share of frames with a face for a clip to train or be scored

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
    """The stage-two network. Widths follow the features unless `width` narrows them.

    Evidence beside a default, here and below: by how much the demo's held-out CCC of .90 changes with another value,
    with its 95 % interval over five seeds (docs/defaults.md).
    """

    width: int | None = None  # of everything after the reduction; None: the features' own size
    layers: int = 2  # as published; one is better by .040 [.020, .060] on the demo's 78 clips, so it has one
    heads: int = 16
    feed_forward: int = 2048
    encoder_dropout: float = 0.1  # as published; 0 makes no difference: -.007 [-.033, +.019]
    dropout: float = 0.2  # after positions, in the context block and in the head; 0: +.001 [-.019, +.020], none
    attention_scale: Literal["standard", "published"] = "standard"  # published: -.005 [-.023, +.014], no difference
    head_inner_relu: bool = True  # relu before the head's linear layer: valence/arousal yes, PANSS and CAINS no
    total_target: str | None = None  # this target reads the whole head, the others a slice each

    def __post_init__(self) -> None:
        for name in ("layers", "heads", "feed_forward"):
            _require(getattr(self, name) >= 1, f"model.{name}", getattr(self, name), "at least 1")
        for name in ("encoder_dropout", "dropout"):
            _require(0 <= getattr(self, name) < 1, f"model.{name}", getattr(self, name), "0 to 1")


@dataclass(frozen=True, slots=True)
class LossConfig:
    """`regression` over targets plus `relational_weight` times the relational loss."""

    regression: Literal["ccc", "rmse"] = "ccc"  # rmse: -.016 [-.083, +.051], no difference that five seeds show
    relational_weight: float = 1.0  # 0: -.030 [-.072, +.013], no difference that five seeds show; see docs/ablation.md
    label_similarity: Literal["cosine", "distance"] = "cosine"  # distance: -.009 [-.030, +.011], no difference
    contrastive_epochs: int = 0  # unsupervised pre-training on two cached views
    contrastive_temperature: float = 0.07

    def __post_init__(self) -> None:
        _require(self.relational_weight >= 0, "loss.relational_weight", self.relational_weight, "at least 0")
        _require(
            self.contrastive_temperature > 0, "loss.contrastive_temperature", self.contrastive_temperature, "above 0"
        )


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How the weights are found. Early stopping watches the inner validation split."""

    # The published training as a whole learns nothing in the demo's few steps: CCC .00 instead of .90.
    optimizer: Literal["adamw", "sgd"] = "adamw"  # sgd at its best rate, .3: -.007 [-.063, +.049], no difference
    learning_rate: float = 3e-4  # of the paper's width; the demo's 1e-3 times 3: -.010 [-.046, +.025], by 3: -.005
    weight_decay: float = 1e-2  # 0: -.006 [-.021, +.010], no difference, nor 1e-1; 10 is for few labels, as in `small`
    schedule: Literal["cosine", "step", "constant"] = "cosine"  # step: -.022 [-.044, .000]; constant: +.001, none
    warmup: float = 0.05  # share of all steps; 0: -.014 [-.040, +.011], no difference
    step_epochs: int = 5  # `step`: epochs between decays by `step_factor`
    step_factor: float = 0.1
    epochs: int = 50
    # Epochs without a better validation score; 0: train to the end, at no gain (.000 [-.010, +.010]) in twice the time.
    patience: int = 10
    # Whose weights: the best epoch on validation, or the last, which never stops early. On the demo last: -.009 [-.019,
    # +.001]; on real recordings with too small a validation, a held-out PCC of .80 instead of .74: the preset `small`.
    keep: Literal["best", "last"] = "best"
    batch_size: int = 32  # 8: -.007 [-.040, +.026]; 128: -.018 [-.057, +.022]; no difference
    accumulate: int = 1  # batches per optimiser step
    clip_norm: float = 1.0  # of the gradient; 0 turns clipping off: -.014 [-.047, +.019], no difference
    # Features by the training subjects' mean and floored standard deviation. Without: +.023 [+.004, +.042] on the
    # demo's one face, but held-out PCC .73 instead of .80 on real recordings.
    standardise: bool = True
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "epochs", "batch_size", "accumulate", "step_epochs"):
            _require(getattr(self, name) > 0, f"training.{name}", getattr(self, name), "above 0")
        for name in ("weight_decay", "patience", "clip_norm"):
            _require(getattr(self, name) >= 0, f"training.{name}", getattr(self, name), "at least 0")
        _require(0 <= self.warmup < 1, "training.warmup", self.warmup, "a share, 0 to 1")


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """Which subjects train, choose and test. No subject is ever on two sides unless `allow_shared_subjects`."""

    protocol: Literal["split", "leave-one-subject-out", "k-fold"] = "split"
    folds: int = 5  # k-fold: grouped by subject
    validation_share: float = 0.2  # of the training subjects, when the manifest names no validation split
    test_subjects: tuple[str, ...] = ()  # `split`: these subjects test, whatever the manifest says
    allow_shared_subjects: bool = False
    bootstrap: int = 1000  # resamples over subjects for the intervals

    def __post_init__(self) -> None:
        _require(self.folds >= 2, "evaluation.folds", self.folds, "at least 2")
        _require(0 < self.validation_share < 1, "evaluation.validation_share", self.validation_share, "0 to 1")


@dataclass(frozen=True, slots=True)
class LabelsConfig:
    """The manifest's targets. Empty: every column that is not one of the manifest's own."""

    targets: tuple[str, ...] = ()
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)  # target -> (low, high), its own units

    def __post_init__(self) -> None:
        for name, (low, high) in self.ranges.items():
            _require(low < high, f"labels.ranges.{name}", [low, high], "[low, high] with low < high")


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a run depends on besides its inputs; saved, resolved, as the run folder's config.yaml."""

    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    labels: LabelsConfig = field(default_factory=LabelsConfig)
    clips: ClipsConfig = field(default_factory=ClipsConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
