"""What a call of `predict` leaves behind: every output in one folder, and a summary of what became of each video."""

import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from ...cache.predictions import ScoreReason, VideoPrediction
from ...cache.records import Json
from ...errors import AffectError, InputError
from ..events import ClipsScored, ScoresPlanned, VideoFailed
from ..runs.files import write_json
from .inputs import PredictOptions, check_output
from .output_kinds import Captions, Elan, Output, Overlay, Plots, Viewer
from .predict import PredictEvent
from .pseudonyms import Pseudonyms
from .tables import Tables

OUTPUTS: dict[str, type[Output]] = {
    "tables": Tables,
    "viewer": Viewer,
    "plots": Plots,
    "eaf": Elan,
    "vtt": Captions,
    "overlay": Overlay,
}
ALWAYS = ("tables", "viewer", "plots")


@dataclass(frozen=True, slots=True)
class VideoResult:
    """What became of one video."""

    video: str
    status: Literal["done", "failed"]
    reason: str = ""
    persons: int = 0
    clips: int = 0
    scored: int = 0  # clips with a score
    out_of_range: int = 0  # of these
    coverage: float = 0.0  # share of all clips' frames with a usable face
    duration_s: float = 0.0
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, prediction: VideoPrediction) -> "VideoResult":
        """What a prediction comes to."""
        clips = sum(len(person.clips) for person in prediction.persons)
        covered = sum(float(person.clips.coverage.sum()) for person in prediction.persons)
        return cls(
            video=prediction.video,
            status="done",
            persons=sum(len(person.face_time_s) > 0 for person in prediction.persons),
            clips=clips,
            scored=sum(int((person.clips.reason == ScoreReason.SCORED).sum()) for person in prediction.persons),
            out_of_range=sum(int(person.clips.out_of_range.sum()) for person in prediction.persons),
            coverage=round(covered / clips, 4) if clips else 0.0,
            duration_s=round(prediction.duration_s, 3),
            warnings=prediction.warnings,
        )


@dataclass(slots=True)
class PredictSummary:
    """Results of a call, in the order they came."""

    output: str
    results: list[VideoResult] = field(default_factory=list)
    seconds: float = 0.0
    complete: bool = False  # false in a summary left by Ctrl-C

    @property
    def failed(self) -> list[VideoResult]:
        """Videos without scores."""
        return [result for result in self.results if result.status == "failed"]


class Outputs:
    """Writes the events of `predict` to a folder, under pseudonyms where a key file is given.

        with Outputs(folder, options) as outputs:
            for event in predict(videos, run, folder, options=options):
                outputs.add(event)
        outputs.summary

    Nothing is made before the first score or failure, so a refused call leaves older results alone. However the block
    is left, what was added is readable, and summary.json says whether it is complete.
    """

    def __init__(self, folder: str | Path, options: PredictOptions | None = None) -> None:
        """Errors: InputError for an unusable key file, or an output that is not known."""
        self.options = options or PredictOptions()
        self.summary = PredictSummary(str(folder))
        self._folder = Path(folder)
        self.names = Pseudonyms.from_file(self.options.key_file)
        self._plan: ScoresPlanned | None = None
        self._kinds = [*ALWAYS, *self.options.exports, *(["overlay"] if self.options.overlay is not None else [])]
        if unknown := sorted(set(self._kinds) - set(OUTPUTS)):
            raise InputError(f"--export {unknown[0]} is not known; expected one of {', '.join(OUTPUTS)}")
        self._begun: list[Output] = []
        self._given_up: set[str] = set()  # videos that failed before all their clips were there
        self._stack = ExitStack()
        self._started = time.monotonic()

    def __enter__(self) -> "Outputs":
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()
        if self._plan is None or not self._begun:
            return
        self.summary.complete = len(self.summary.results) == len(self._plan.videos)
        self.summary.seconds = time.monotonic() - self._started
        write_json(self._folder / "summary.json", self._summary_json(self._plan))

    def add(self, event: PredictEvent) -> None:
        """Write what there is to write. Errors: InputError for a folder that holds other videos' scores."""
        if isinstance(event, ScoresPlanned):
            check_output(self._folder, {self.names.of(video) for video in event.videos})
            self._plan = event
        elif isinstance(event, ClipsScored) and event.video not in self._given_up:
            self._add_clips(event)
        elif isinstance(event, VideoPrediction | VideoFailed) and event.video in self._given_up:
            self._given_up.remove(event.video)
        elif isinstance(event, VideoPrediction):
            self._add_video(event)
        elif isinstance(event, VideoFailed):
            self._add_failure(event)

    def _add_clips(self, event: ClipsScored) -> None:
        outputs, named = self._outputs(), replace(event, video=self.names.of(event.video))
        try:
            for output in outputs:
                output.add_clips(named)
        except (AffectError, OSError) as error:
            self._given_up.add(event.video)
            self._add_failure(VideoFailed(event.video, None, _reason(error)))

    def _add_video(self, event: VideoPrediction) -> None:
        outputs, named = self._outputs(), self.names.of_prediction(event)
        shown = replace(named, source=None) if self.names.active else named
        try:
            for output in outputs:
                output.add_video(named if output.reads_recording else shown)
        except (AffectError, OSError) as error:
            self._add_failure(VideoFailed(event.video, event.source, _reason(error)))
        else:
            self.summary.results.append(VideoResult.of(named))

    def _add_failure(self, event: VideoFailed) -> None:
        reason = self.names.cleaned(event.reason, event.video, event.source)
        failed = VideoFailed(self.names.of(event.video), None, reason)
        for output in self._outputs():
            output.add_failure(failed)
        self.summary.results.append(VideoResult(failed.video, "failed", reason))

    def _outputs(self) -> list[Output]:
        """Every kind that is asked for, made when first needed."""
        if not self._begun:
            assert self._plan is not None, "ScoresPlanned is the first event"
            self._folder.mkdir(parents=True, exist_ok=True)
            for name, kind in OUTPUTS.items():
                if name in self._kinds:
                    self._begun.append(kind(self._folder, self.options, self._plan))
                    self._stack.callback(self._begun[-1].close)
        return self._begun

    def _summary_json(self, plan: ScoresPlanned) -> dict[str, Json]:
        targets = zip(plan.targets, plan.training_means, strict=True)
        return {
            "complete": self.summary.complete,
            "seconds": round(self.summary.seconds, 2),
            "run": self.names.of_run(plan.run),
            "recipe_digest": plan.recipe_digest,
            "models": plan.models,
            "targets": [asdict(target) | {"training_mean": mean} for target, mean in targets],
            "subject": plan.subject,
            "clip_frames": plan.clip_frames,
            "stride_frames": plan.stride_frames,
            "pseudonyms": self.names.active,
            "videos": [asdict(result) for result in self.summary.results],
        }


def _reason(error: AffectError | OSError) -> str:
    return error.message if isinstance(error, AffectError) else str(error)
