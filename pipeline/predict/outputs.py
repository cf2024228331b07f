"""What a call of `predict` leaves behind: every output in one folder, and a summary of what became of each video.

However a call ends, the folder tells the truth:
- Before anything else changes, summary.json says `complete: false`; that it is complete is the last thing written.
- Older tables stay until the new ones are whole. Until then new rows are readable in predictions.partial.csv and
  video.partial.csv; where there was no older table, in predictions.csv and video.csv.
- After Ctrl-C or an error, what is done is moved into place. Where the disk was full, older tables stay instead.
- After SIGKILL the folder holds the older tables, or new ones, and the summary says that it is not complete.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

from ...cache.description import Description
from ...cache.files import make_folder, sweep
from ...cache.json_files import write_json
from ...cache.locks import held
from ...cache.output_folder import LOCK, check_output, left_over, older_summary
from ...cache.predictions import RangeCheck, ScoreReason, VideoPrediction
from ...cache.pseudonyms import Pseudonyms
from ...cache.records import Json
from ...errors import UNNAMED, AffectError, InputError, first_line, named
from ..events import ClipsScored, ScoresPlanned, VideoFailed
from .inputs import PredictOptions
from .output_kinds import Captions, Elan, Events, Output, Overlay, Plots, Viewer
from .predict import PredictEvent
from .tables import Tables

OUTPUTS: dict[str, type[Output]] = {
    "tables": Tables,
    "viewer": Viewer,
    "plots": Plots,
    "eaf": Elan,
    "vtt": Captions,
    "bids": Events,
    "overlay": Overlay,
}
OF_A_RUN = {"run", "models", "method", "missing", "out_of_range", "clip_frames", "stride_frames", "min_valid"}
ALWAYS = ("tables", "viewer", "plots")
Added = TypeVar("Added")


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
    judged: bool = False  # whether any clip could be found to be out of range
    coverage: float = 0.0  # share of all clips' frames with a usable face
    duration_s: float = 0.0
    warnings: tuple[str, ...] = ()
    description: Description | None = None  # of faces without any label

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
            judged=any(bool(person.clips.judged.any()) for person in prediction.persons),
            coverage=round(covered / clips, 4) if clips else 0.0,
            duration_s=round(prediction.duration_s, 3),
            warnings=prediction.warnings,
            description=prediction.description,
        )


@dataclass(slots=True)
class PredictSummary:
    """Results of a call, in the order they came."""

    output: str
    results: list[VideoResult] = field(default_factory=list)
    seconds: float = 0.0
    complete: bool = False  # false in a summary left by Ctrl-C, or where a table could not be written
    problems: list[str] = field(default_factory=list)  # what could not be written and is no single video's
    missing: tuple[str, ...] = ()  # what is to be said of models that the runs were to have and have not
    warnings: tuple[str, ...] = ()  # of the runs
    worth: str = ""  # what the scores are worth on new people, in words
    range_check: RangeCheck | None = None  # how clips are found to be out of range; None: not known

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

    Nothing is changed before the first score or failure, so a refused call leaves older results alone. However the
    block is left, what was added is readable, and summary.json says whether it is complete.
    """

    made_by = "affect predict"
    kinds: ClassVar[dict[str, type[Output]]] = OUTPUTS

    def __init__(self, folder: str | Path, options: PredictOptions | None = None) -> None:
        """Errors: InputError for an unusable key file, or an output that is not known."""
        self.options = options or PredictOptions()
        self.summary = PredictSummary(str(folder))
        self._folder = Path(folder)
        self.names = Pseudonyms.from_file(self.options.key_file)
        self._plan: ScoresPlanned | None = None  # under pseudonyms
        self._run = ""  # where the run lies
        self._kinds = [*ALWAYS, *self.options.exports, *(["overlay"] if self.options.overlay is not None else [])]
        if unknown := sorted(set(self._kinds) - set(self.kinds)):
            raise InputError(f"--export {unknown[0]} is not known; expected one of {', '.join(self.kinds)}")
        self._begun: list[Output] = []
        self._given_up: set[str] = set()  # videos that failed before all their clips were there
        self._stack = ExitStack()
        self._started = time.monotonic()

    def __enter__(self) -> "Outputs":
        return self

    def __exit__(self, *exception: object) -> None:
        with self._stack:
            if self._plan is None or not self._begun:
                return
            for output in self._begun:
                try:
                    output.close()
                except (AffectError, *UNNAMED) as error:
                    self._add_problem(error)
            done = len(self.summary.results) == len(self._plan.videos)
            self.summary.complete = done and not self.summary.problems
            self.summary.seconds = time.monotonic() - self._started
            if not any(output.kept_older for output in self._begun):
                write_json(self._folder / "summary.json", self._summary_json(self._plan))

    def add(self, event: PredictEvent) -> None:
        """Write what there is to write. Errors: InputError for a folder or an overlay that may not be written to."""
        if isinstance(event, ScoresPlanned):
            self._claim(event)
            self._plan, self._run = under(self.names, event), event.run
            self.summary.missing, self.summary.warnings = self._plan.missing, self._plan.warnings
            self.summary.worth, self.summary.range_check = self._plan.worth, self._plan.range_check
        elif isinstance(event, ClipsScored) and event.video not in self._given_up:
            self._add_clips(event)
        elif isinstance(event, VideoPrediction | VideoFailed) and event.video in self._given_up:
            self._given_up.remove(event.video)
        elif isinstance(event, VideoPrediction):
            self._add_video(event)
        elif isinstance(event, VideoFailed):
            self._add_failure(event)

    def _claim(self, plan: ScoresPlanned) -> None:
        """Make sure that nothing of the user's is replaced, and that nobody else writes to the folder."""
        videos = [self.names.of(video) for video in plan.videos]
        check_output(self._folder, set(videos), self.made_by)
        if self.options.overlay is not None:
            from .overlay import check_overlay, overlay_path

            for video in videos:
                check_overlay(overlay_path(self.options.overlay, video, len(videos)), plan.sources)
        self._stack.callback(self._leave, self._folder.exists())
        try:
            make_folder(self._folder, self._folder)
        except OSError as error:
            raise named(error, self._folder) from error
        self._stack.enter_context(held(self._folder / LOCK, f"--output {self._folder}"))

    def _leave(self, was_there: bool) -> None:
        """Where nothing came of a call, its folder goes too."""
        if not was_there and not self._begun:
            with suppress(OSError):  # there are features in it
                self._folder.rmdir()

    def _add_clips(self, event: ClipsScored) -> None:
        outputs, shown = self._outputs(), replace(event, video=self.names.of(event.video))
        reasons = [reason for output in outputs if (reason := _attempt(output.add_clips, shown))]
        if reasons:
            self._given_up.add(event.video)
            self._add_failure(VideoFailed(event.video, None, "; ".join(reasons)))

    def _add_video(self, event: VideoPrediction) -> None:
        outputs, known = self._outputs(), self.names.of_prediction(event, self._run)
        shown = replace(known, source=None) if self.names.active else known
        reasons = []
        for output in outputs:
            if reason := _attempt(output.add_video, known if output.reads_recording else shown):
                reasons.append(reason)
        result = VideoResult.of(known)
        if reasons:
            self._add_failure(VideoFailed(event.video, event.source, "; ".join(reasons)), result)
        else:
            self.summary.results.append(result)

    def _add_failure(self, event: VideoFailed, scored: VideoResult | None = None) -> None:
        """List a video. scored: what it came to, where only a part of its outputs is missing."""
        reason = self.names.cleaned(event.reason, event.video, event.source, self._run)
        failed = VideoFailed(self.names.of(event.video), None, reason)
        for output in self._outputs():
            try:
                output.add_failure(failed)
            except (AffectError, *UNNAMED) as error:
                self._add_problem(error)
        self.summary.results.append(
            replace(scored or VideoResult(failed.video, "failed"), status="failed", reason=reason)
        )

    def _add_problem(self, error: BaseException) -> None:
        """Something that is no single video's could not be written."""
        message = self.names.cleaned(named(error, self._folder).message, run=self._run)
        if message not in self.summary.problems:
            self.summary.problems.append(message)

    def _outputs(self) -> list[Output]:
        """Every kind that is asked for, made when first needed; from then on the folder is said to be incomplete."""
        if not self._begun:
            assert self._plan is not None, "ScoresPlanned is the first event"
            for place, below in (
                (self._folder, False),
                (self._folder / "plots", True),
                (self._folder / "annotations", True),
                (self._folder / "bids", True),
            ):
                sweep(place, below=below)
            begun = older_summary(self._folder) or self._summary_json(self._plan)
            write_json(self._folder / "summary.json", begun | {"complete": False})
            if old := left_over(self._folder, [item["video"] for item in begun["videos"]], self._kinds):
                self.summary.warnings += (old,)
            for name, kind in self.kinds.items():
                if name in self._kinds:
                    self._begun.append(kind(self._folder, self.options, self._plan))
        return self._begun

    def _summary_json(self, plan: ScoresPlanned) -> dict[str, Json]:
        targets = zip(plan.targets, plan.training_means, strict=True)
        said: dict[str, Json] = {
            "made_by": self.made_by,
            "complete": self.summary.complete,
            "seconds": round(self.summary.seconds, 2),
            "run": plan.run,
            "recipe_digest": plan.recipe_digest,
            "models": plan.models,
            "method": plan.method,
            "worth": plan.worth,
            "missing": list(plan.missing),
            "warnings": list(self.summary.warnings),
            "out_of_range": _range_json(plan.range_check),
            "problems": list(self.summary.problems),
            "targets": [asdict(target) | {"training_mean": mean} for target, mean in targets],
            "subject": plan.subject,
            "clip_frames": plan.clip_frames,
            "stride_frames": plan.stride_frames,
            "min_valid": plan.min_valid,
            "pseudonyms": self.names.active,
            "videos": [asdict(result) for result in self.summary.results],
        }
        return said if plan.run else {name: value for name, value in said.items() if name not in OF_A_RUN}


def under(names: Pseudonyms, plan: ScoresPlanned) -> ScoresPlanned:
    """What is going to be scored, under pseudonyms; where recordings lie is still told."""
    return replace(
        plan,
        videos=tuple(map(names.of, plan.videos)),
        run=names.of_run(plan.run),
        worth=names.cleaned(plan.worth),  # it has no name of ours, and no path of who sent the run
        missing=tuple(names.cleaned(words, run=plan.run) for words in plan.missing),
        warnings=tuple(names.cleaned(words, run=plan.run) for words in plan.warnings),
    )


def _range_json(check: RangeCheck | None) -> dict[str, Json] | None:
    return asdict(check) | {"says": check.sentence} if check else None


def _attempt(add: Callable[[Added], None], value: Added) -> str:
    """Why an output could not be written; empty where it was."""
    try:
        add(value)
    except Exception as error:  # noqa: BLE001 - whatever one output meets, the others and the other videos go on
        unnamed = not isinstance(error, AffectError | OSError | MemoryError | RecursionError)
        return f"{type(error).__name__}: {first_line(error)}" if unnamed else named(error).message
    return ""
