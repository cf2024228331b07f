"""One call of `predict`: which videos are done, which failed, and every file that says so."""

import functools
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from ...cache.opening import open_store, store_exists
from ...cache.predictions import PersonPrediction, VideoPrediction
from ...cache.records import Json
from ...cache.store import Store
from ...errors import AffectError
from ...stages.views.viewer import ViewerPage
from ..extract.extract import Listener, extract_videos
from ..extract.plan import VideoOutcome, plan
from ..extract.videos import Source
from ..runs.files import write_json
from ..workers import Workers
from .ensemble import Ensemble
from .pseudonyms import Pseudonyms
from .scorer import Scored, Scorer, extract_in_memory, features_config
from .tables import PredictionTables

Export = Literal["eaf", "vtt"]


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """How to predict, and what to write besides the tables, plots and viewer."""

    stride: int | None = None  # kept frames between clips; None: a clip's length, 1: dense
    subject: str | None = None  # main, largest, track:N or all; None: as the run was trained
    device: str = "auto"
    jobs: int = 1
    store_format: str | None = None  # of a store that is made; None: zarr
    overwrite: bool = False  # extract again what is stored
    overlay: Path | None = None  # a video file; with several videos a folder for them
    exports: tuple[Export, ...] = ()
    with_video: bool = True  # in the viewer; without, neither the recording nor face boxes
    key_file: Path | None = None  # names become hashes under this key


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


@dataclass(frozen=True, slots=True)
class PredictListener:
    """What a caller may want to hear of while it goes."""

    extraction: Listener = field(default_factory=Listener)
    scored: Callable[[Scored], None] = lambda scored: None
    finished: Callable[[VideoResult], None] = lambda result: None


class Session:
    """One call of `predict`: what is open for writing, and what has become of each video."""

    def __init__(
        self, output: Path, scorer: Scorer | Ensemble, options: PredictOptions, listener: PredictListener
    ) -> None:
        self.output, self.scorer = output, scorer
        self.options, self.listener = options, listener
        self.names = Pseudonyms.from_file(options.key_file)
        self.several = False  # more than one video: an overlay is a folder then
        self.summary = PredictSummary(str(output))
        self._started = time.monotonic()
        self._stack = ExitStack()

    @functools.cached_property
    def tables(self) -> PredictionTables:
        """Opened with the first row, so that a refused call leaves older results alone."""
        return self._stack.enter_context(PredictionTables(self.output, self.scorer.targets))

    @functools.cached_property
    def page(self) -> ViewerPage:
        """Opened with the first video."""
        self.output.mkdir(parents=True, exist_ok=True)
        return self._stack.enter_context(ViewerPage(self.output / "viewer.html", with_video=self.options.with_video))

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *exception: object) -> None:
        begun = "tables" in self.__dict__ or self.summary.complete
        if begun:
            _ = self.page  # also where every video failed: an older page would be taken for this call's
        self._stack.close()
        if not begun:
            return
        self.summary.seconds = time.monotonic() - self._started
        write_json(self.output / "summary.json", self._summary_json())

    def extract(self, sources: Sequence[Source], location: str) -> None:
        """Score each video as soon as its features are in the store; extract those that are not."""
        paths = {source.id: source.path for source in sources}
        opened: list[Store] = []

        def planned(count: int) -> None:
            # The store exists now, and nothing has been extracted yet.
            opened[:] = [open_store(location)]
            run = self.scorer.run
            run.card.check_features(opened[0].recipe, location, str(run.path))
            self.listener.extraction.planned(count)

        def finished(outcome: VideoOutcome) -> None:
            self.listener.extraction.finished(outcome)
            if outcome.status == "failed":
                self.fail(outcome.id, paths[outcome.id], outcome.reason)
            else:
                self.score(opened[0], outcome.id, paths[outcome.id])

        if store_exists(location):  # what is stored needs no detector and no backbone
            opened.append(open_store(location))
            todo = plan(opened[0], sources, overwrite=self.options.overwrite, verify=False, finish=finished)
            sources = [source for source, _ in todo]
        if not sources:
            return
        extract_videos(
            sources,
            location,
            features_config(self.scorer.run),
            store_format=self.options.store_format,
            device=self.scorer.device,
            workers=Workers(self.options.jobs),
            overwrite=self.options.overwrite,
            listener=Listener(planned, self.listener.extraction.moved, finished),
        )

    def extract_and_forget(self, sources: Sequence[Source]) -> None:
        """Extract and score one video after another, keeping no features."""
        self.listener.extraction.planned(len(sources))
        for source in sources:
            moved = self.listener.extraction.moved
            store, outcome = extract_in_memory(self.scorer.run, source, self.scorer.device, moved)
            self.listener.extraction.finished(outcome)
            if outcome.status == "done":
                self.score(store, source.id, source.path)
            else:
                self.fail(source.id, source.path, outcome.reason)

    def score(self, store: Store, entry: str, path: Path | None) -> None:
        """Score one stored video and write all that is asked for."""
        name = self.names.of(entry)

        def done(block: PersonPrediction, scored: Scored) -> None:
            self.tables.add_clips(name, block)
            self.listener.scored(scored)

        try:
            prediction = self.scorer.score(store, entry, name=name, source=path, done=done)
            self._write(prediction)
        except (AffectError, OSError) as error:
            self.fail(entry, path, error.message if isinstance(error, AffectError) else str(error))
            return
        self._finish(_result(prediction))

    def fail(self, entry: str, path: Path | None, reason: str) -> None:
        """Note a video that could not be done."""
        reason = self.names.cleaned(reason, entry, path)
        self.tables.add_failure(self.names.of(entry), reason)
        self._finish(VideoResult(self.names.of(entry), "failed", reason))

    def _finish(self, result: VideoResult) -> None:
        self.summary.results.append(result)
        self.listener.finished(result)

    def _write(self, prediction: VideoPrediction) -> None:
        from ...stages.features.video.choice import clock_offset_s
        from ...stages.views.plot import plot_person
        from .annotations import write_elan, write_webvtt
        from .overlay import write_overlay

        recording = prediction.source
        if recording is not None:
            prediction = replace(prediction, clock_offset_s=clock_offset_s(recording))
        shown = replace(prediction, source=None) if self.names.active else prediction
        self.tables.add_video(shown)
        self.page.add(shown)
        for person in shown.persons:
            suffix = f".person-{person.track}" if len(shown.persons) > 1 else ""
            plot_person(shown, person, self.output / "plots" / f"{shown.video}{suffix}.png")
        if "eaf" in self.options.exports:
            write_elan(shown, self.output / "annotations" / f"{shown.video}.eaf")
        if "vtt" in self.options.exports:
            write_webvtt(shown, self.output / "annotations" / f"{shown.video}.vtt")
        if self.options.overlay is not None:
            target = self.options.overlay / f"{shown.video}.mp4" if self.several else self.options.overlay
            write_overlay(prediction, target)

    def _summary_json(self) -> dict[str, Json]:
        run = self.scorer.run
        return {
            "complete": self.summary.complete,
            "seconds": round(self.summary.seconds, 2),
            "run": str(run.path),
            "recipe_digest": run.card.recipe.digest,
            "models": self.scorer.models,
            "targets": [asdict(target) for target in self.scorer.targets],
            "subject": self.scorer.subject or run.card.clips.subject,
            "clip_frames": run.card.clips.length,
            "stride_frames": self.scorer.stride or run.card.clips.length,
            "pseudonyms": self.names.active,
            "videos": [asdict(result) for result in self.summary.results],
        }


def _result(prediction: VideoPrediction) -> VideoResult:
    said = [(person.reason == 0) for person in prediction.persons]
    clips = sum(len(person.start_s) for person in prediction.persons)
    covered = sum(float(person.coverage.sum()) for person in prediction.persons)
    return VideoResult(
        video=prediction.video,
        status="done",
        persons=sum(len(person.face_time_s) > 0 for person in prediction.persons),
        clips=clips,
        scored=sum(int(known.sum()) for known in said),
        out_of_range=sum(int(person.out_of_range.sum()) for person in prediction.persons),
        coverage=round(covered / clips, 4) if clips else 0.0,
        duration_s=round(prediction.duration_s, 3),
        warnings=prediction.warnings,
    )
