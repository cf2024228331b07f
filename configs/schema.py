"""Every setting with its default. The comment beside it gives meaning, unit and range.

A preset or `--set a.b=c` says only what differs. What each default is worth, as measured: docs/defaults.md.
"""

from dataclasses import dataclass, field
from typing import Literal

from ..errors import ConfigError, InputError
from .ranges import check_ranges, count, number, require
from .subject import Subject
from .taps import AUTO, check_taps

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
    "training.keep",
    "training.refit",
    "training.seeds",
)
MOST_SEED = 2**31 - 1
MOST_LABEL = 1e30  # on either side of zero: training computes in float32
MOST_WEIGHTS = 500_000_000  # of the stage-two network: 2 GB, and four times as much while it trains


@dataclass(frozen=True, slots=True)
class FacesConfig:
    """How faces are found, followed and cut out. With `detector: none`, each kept frame is one row: the whole frame."""

    detector: Literal["centerface", "none"] = "centerface"  # none: the frames are faces already, or are used whole
    # Width to which a frame is reduced for the detector, pixels, 64 to 1280; auto: 320, and in detail for small faces
    input_width_px: int | Literal["auto"] = count("auto", 64, 1280)
    start_score: float = number(0.5, 0, 1, above=True, below=True)  # detection score at which a track starts, 0 to 1
    # Detection score at which a track continues, 0 to start_score
    continue_score: float = number(0.35, 0, 1, above=True, below=True)
    # Overlap over union of a track's last box and its next, at least; 0 to 1
    min_iou: float = number(0.3, 0, 1, above=True, below=True)
    max_gap_s: float = number(2.0, 0, 3600)  # a track ends after this long without a detection, seconds, at least 0
    # A new shot begins where the thumbnails of two frames differ by more than this on average, grey levels, 0 to 255.
    cut_threshold: float = number(30.0, 0, 1e6)
    # Shorter side of a face's box; smaller faces have no row (status 3), pixels of the frame
    min_face_px: int = count(12, 0, 100_000)
    crop: Literal["aligned", "box"] = "aligned"  # eyes at a fixed place and level, or a square around the box

    def __post_init__(self) -> None:
        check_ranges(self, "features.faces")
        require(
            self.continue_score <= self.start_score,
            "features.faces.continue_score",
            self.continue_score,
            f"at most start_score ({self.start_score})",
        )


TORCH, OPENVINO = "torch", "openvino"  # engines


@dataclass(frozen=True, slots=True)
class FeaturesConfig:
    """Stage one. Everything here is part of a store's recipe."""

    backbone: str = "efficientnet-lite0"  # a name that --backbone takes (README: Other backbones)
    weights: str | None = None  # the backbone's file; "random", for tests; None: the weights that come with the name
    # LAYER:GRID,... in the backbone, each averaged over GRID x GRID cells; pooled: its own output; auto: its own choice
    taps: str = AUTO
    preprocessing: Literal["own", "paper"] = "own"  # scale of the pixels: the network's own, or that of the paper
    # auto: what the store says; for a new one fp32 on a CPU, else fp16 or bf16 if exact. tf32: float32 that CUDA may
    # multiply with 10 bits
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = "auto"
    # What computes the networks: openvino (of the extra `fast`), on a CPU only, is faster; auto: where it is installed
    engine: Literal["auto", "torch", "openvino"] = "torch"
    view: Literal["plain", "hflip"] = "plain"  # faces as they are, or mirrored, for a second store
    # Kept frames a second, above 0 to 1000; source: every frame
    sample_fps: float | Literal["source"] = number(5.0, 0, 1000, above=True)
    # Number of the video stream in files that hold several, 0 to 1000, as check-videos lists them; auto: the one that
    # is the recording, by its length and number of frames
    stream: int | Literal["auto"] = count("auto", 0, 1000)
    faces: FacesConfig = field(default_factory=FacesConfig)

    def __post_init__(self) -> None:
        check_taps(self.taps)
        check_ranges(self, "features")


@dataclass(frozen=True, slots=True)
class ClipsConfig:
    """How a labelled span becomes clips, and which clips are a clip's context."""

    length: int = count(16, 1, 1000)  # kept frames of a clip, 1 to 1000
    # Kept frames from clip to clip of a span, at least 1; None: length, so no overlap
    hop: int | None = count(None, 1, 100_000)
    context: int = count(2, 0, 64)  # neighbours on each side that a clip attends to, 0 to 64; 0: no context attention
    # Beyond a video's ends: no neighbour (mask), or one from its other end (wrap). segment, as published: the clips of
    # a span have each other for neighbours, in a ring, and zeros fill up the last one; a whole video is wrapped
    context_edges: Literal["mask", "wrap", "segment"] = "mask"
    subject: str = "main"  # whose features: main (live, large, seen most), largest (in each frame), track:N
    # person: each person's mean feature over the recording is taken away, and with it the levels between people
    centre: Literal["none", "person"] = "none"
    # Share of a clip's frames that must show the person, to train or be scored; 0 to 1
    min_valid: float = number(0.0, 0, 1)

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

    # Of all layers after the first, a multiple of heads; None: as many as the features
    width: int | None = count(None, 1, 8192)
    layers: int = count(2, 1, 64)  # of the clip Transformer, at least 1
    heads: int = count(16, 1, 256)  # of its self-attention, at least 1
    feed_forward: int = count(2048, 1, 65536)  # width of its feed-forward layers, at least 1
    encoder_dropout: float = number(0.1, 0, 1, below=True)  # share dropped in the clip Transformer, 0 to below 1
    # Share dropped after positions, in the context block and in the head, 0 to below 1
    dropout: float = number(0.2, 0, 1, below=True)
    position_std: float = number(0.02, 0, 100)  # spread of the learned positions before training; published: 1
    # In training, a clip is in its own context as it was encoded (shared), or encoded again, with other dropout (own)
    context_pass: Literal["shared", "own"] = "shared"
    # Attention to the context: logits divided by sqrt(width), or multiplied by it as in the authors' code.
    attention_scale: Literal["standard", "published"] = "standard"
    head_inner_relu: bool = True  # ReLU before the head's linear layer; the published PANSS and CAINS heads have none
    total_target: str | None = None  # the target that reads the whole head; each other target reads a part of it

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

    regression: Literal["ccc", "rmse"] = "ccc"  # 1 - CCC, or the root of the mean squared error
    relational_weight: float = number(1.0, 0, 1e6)  # at least 0; 0: no relational loss
    # The relational loss. matrix: differences of the clips' similarities and their labels', as published; y-aware,
    # expw: clips are drawn to those with near labels, and pushed from the others (Barbano et al. 2023)
    relational: Literal["matrix", "y-aware", "expw"] = "matrix"
    # matrix: how alike the labels of two clips are; centred: cosines after the batch's mean is taken from both sides
    label_similarity: Literal["cosine", "centred", "distance"] = "cosine"
    # y-aware, expw: label distance at which the pull is down to .6, in the units of training (ranges of 1 or 2)
    kernel_width: float = number(0.2, 1e-3, 100)
    contrastive_epochs: int = count(0, 0, 10_000)  # of pre-training without labels; 0: none
    contrastive_temperature: float = number(0.07, 1e-4, 1e4)  # of the softmax there, in y-aware and in expw; above 0

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

    optimizer: Literal["adamw", "sgd"] = "adamw"  # adamw: no decay of biases and norms; sgd: plain, decay of everything
    # The highest, after warm-up; above 0. Far too high costs no time: the first loss that is no number ends it.
    learning_rate: float = number(3e-4, 0, 1e30, above=True)
    weight_decay: float = number(1e-2, 0, 1000)  # at least 0
    schedule: Literal["cosine", "step", "constant"] = "cosine"  # of the learning rate after warm-up
    warmup: float = number(0.05, 0, 1, below=True)  # share of all steps in which the learning rate rises, 0 to below 1
    step_epochs: int = count(5, 1, 10_000)  # schedule step: epochs between two reductions, at least 1
    step_factor: float = number(0.1, 0, 1)  # schedule step: what each reduction multiplies the learning rate by
    # schedule step: from its first reduction on, what the first layer's learning rate is divided by; published: 2.6
    first_layer_divisor: float = number(1.0, 1, 1e6)
    epochs: int = count(50, 1, 10_000)  # at most; at least 1
    # Epochs without a better validation score before training stops; 0: it never stops early
    patience: int = count(10, 0, 10_000)
    keep: Literal["best", "last"] = "best"  # best epoch on validation, or the last one, which never stops early
    refit: bool = False  # keep last: the validation spans, on which nothing is chosen, train too
    seeds: int = count(1, 1, 100)  # networks of a fold, from so many seeds, whose scores are averaged; at least 1
    # The clips of an epoch: all of a span, or one from a random place of each span, another one in every epoch
    windows: Literal["grid", "random"] = "grid"
    batch_size: int = count(32, 1, 65_536)  # clips, at least 1
    accumulate: int = count(1, 1, 10_000)  # batches for each step of the optimiser, at least 1
    clip_norm: float = number(1.0, 0, 1e6)  # largest norm of the gradient, at least 0; 0: any
    standardise: bool = True  # features minus the training clips' mean, over their (floored) standard deviation
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16: mixed precision
    seed: int = count(0, 0, MOST_SEED)  # of the first weights, the batches, dropout, and the division of subjects

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

    # split: as the manifest or test_subjects say; leave-one-subject-out: a fold for each subject; k-fold: `folds` folds
    protocol: Literal["split", "leave-one-subject-out", "k-fold"] = "split"
    folds: int = count(5, 2, 10_000)  # k-fold: how many, at least 2; subjects stay whole
    # Of the training subjects, where the manifest names no validation; between 0 and 1
    validation_share: float = number(0.2, 0, 1, above=True, below=True)
    test_subjects: tuple[str, ...] = ()  # split: these test, whatever the manifest's column says
    allow_shared_subjects: bool = False  # subjects and files may be on two sides; every table of results says so
    method: Method = "blend"  # what predict scores with: ridge and networks half and half, the networks, or ridge alone

    def __post_init__(self) -> None:
        check_ranges(self, "evaluation")


@dataclass(frozen=True, slots=True)
class LabelsConfig:
    """Which columns of the manifest are targets, their ranges, and how the table is to be read."""

    targets: tuple[str, ...] = ()  # names of columns; empty: every column that is not one of the manifest's own
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)  # target -> [low, high], in its own unit
    # Of start_s and end_s. hms: hh:mm:ss.fff or mm:ss. auto: hms where a time has a colon; else seconds, or
    # milliseconds where only these fit the videos, which is said
    time_unit: Literal["auto", "s", "ms", "hms"] = "auto"
    sheet: str = ""  # of a workbook; empty: the one with the columns of a label table

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
