"""The settings of stage one: how faces are found and which network makes features of them."""

from dataclasses import dataclass, field
from typing import Literal

from .ranges import check_ranges, count, number, require, setting
from .taps import AUTO, check_taps

TORCH, OPENVINO = "torch", "openvino"  # engines


@dataclass(frozen=True, slots=True)
class FacesConfig:
    """How faces are found, followed and cut out. With `detector: none`, each kept frame is one row: the whole frame."""

    detector: Literal["centerface", "none"] = setting(
        "centerface", "Who finds the faces; none: the frames are faces already, or are used whole"
    )
    input_width_px: int | Literal["auto"] = count(
        "auto", 64, 1280,
        "Width to which a frame is reduced for the detector; auto: 320, and in detail for small faces", "px",
    )  # fmt: skip
    start_score: float = number(0.5, 0, 1, "Detection score at which a track starts", above=True, below=True)
    continue_score: float = number(
        0.35, 0, 1, "Detection score at which a track continues; at most start_score", above=True, below=True
    )
    min_iou: float = number(
        0.3, 0, 1, "Overlap over union of a track's last box and its next, at least", above=True, below=True
    )
    max_gap_s: float = number(2.0, 0, 3600, "A track ends after this long without a detection", "s")
    cut_threshold: float = number(
        30.0, 0, 1e6,
        "A new shot begins where the thumbnails of two frames differ by more than this on average; above 255 none does",
        "grey levels",
    )  # fmt: skip
    min_face_px: int = count(
        12, 0, 100_000, "Shorter side of a face's box in the frame; smaller faces have no row (status 3)", "px"
    )
    crop: Literal["aligned", "box"] = setting(
        "aligned", "aligned: eyes at a fixed place and level; box: a square around the face"
    )

    def __post_init__(self) -> None:
        check_ranges(self, "features.faces")
        require(
            self.continue_score <= self.start_score,
            "features.faces.continue_score",
            self.continue_score,
            f"at most start_score ({self.start_score})",
        )


@dataclass(frozen=True, slots=True)
class FeaturesConfig:
    """Stage one. Everything here is part of a store's recipe."""

    backbone: str = setting("efficientnet-lite0", "The frozen network: a name that --backbone takes")
    weights: str | None = setting(
        None, "The file of the backbone's weights, or random, for tests; null: the weights that come with its name"
    )
    taps: str = setting(
        AUTO,
        "Where in the backbone features are taken: LAYER:GRID,... each averaged over GRID x GRID cells; pooled: its "
        "own output; auto: the backbone's own choice",
    )
    preprocessing: Literal["own", "paper"] = setting(
        "own", "Scale of the pixels: own: that of the network; paper: that of the paper's code"
    )
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = setting(
        "auto",
        "Of the networks. auto: what the store says; for a new one fp32 on a CPU, else fp16 or bf16 if exact. tf32: "
        "float32 that CUDA may multiply with 10 bits",
    )
    engine: Literal["auto", "torch", "openvino"] = setting(
        "torch",
        "What computes the networks. openvino (of the extra `fast`), on a CPU only, is faster; auto: where it is "
        "installed",
    )
    view: Literal["plain", "hflip"] = setting("plain", "Faces as they are, or mirrored (hflip), for a second store")
    sample_fps: float | Literal["source"] = number(
        5.0, 0, 1000, "Kept frames a second; source: every frame", "1/s", above=True
    )
    stream: int | Literal["auto"] = count(
        "auto", 0, 1000,
        "Number of the video stream in files that hold several, as check-videos lists them; auto: the one that is the "
        "recording, by its length and number of frames",
    )  # fmt: skip
    faces: FacesConfig = field(default_factory=FacesConfig)

    def __post_init__(self) -> None:
        check_taps(self.taps)
        check_ranges(self, "features")
