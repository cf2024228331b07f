"""The kinds of output besides the tables, each a class: what it writes of clips, of a video, of a failure."""

from datetime import datetime
from pathlib import Path
from typing import ClassVar

from ...cache.predictions import VideoPrediction
from ...stages.views.annotations import elan, webvtt
from ...stages.views.plot import plot_person
from ...stages.views.viewer import page_head, page_tail, video_block
from ..events import ClipsScored, ScoresPlanned, VideoFailed
from ..runs.files import write_whole
from .inputs import PredictOptions


class Output:
    """One kind of output, made with the first thing there is to write; a subclass overrides what it writes.

    An AffectError or OSError in an `add` fails that video alone.
    """

    reads_recording: ClassVar[bool] = False  # told where a recording lies, also where names are replaced

    def __init__(self, folder: Path, options: PredictOptions, plan: ScoresPlanned) -> None:
        """folder: of all outputs; it is there."""
        self.folder, self.options, self.plan = folder, options, plan

    def add_clips(self, scored: ClipsScored) -> None:
        """A block of a person's clips, as soon as it is scored."""

    def add_video(self, prediction: VideoPrediction) -> None:
        """A whole video, after all its clips."""

    def add_failure(self, failed: VideoFailed) -> None:
        """A video that could not be done."""

    def close(self) -> None:
        """End all files; also after Ctrl-C."""


class Viewer(Output):
    """viewer.html: grows video by video, and appears whole when it is closed."""

    def __init__(self, folder: Path, options: PredictOptions, plan: ScoresPlanned) -> None:
        super().__init__(folder, options, plan)
        self._partial = folder / ".viewer.html.partial"
        self._file = self._partial.open("w", encoding="utf-8")
        self._file.write(page_head(with_video=options.with_video))

    def add_video(self, prediction: VideoPrediction) -> None:
        self._file.write(video_block(prediction, self.folder, with_video=self.options.with_video))

    def close(self) -> None:
        self._file.write(page_tail())
        self._file.close()
        self._partial.replace(self.folder / "viewer.html")


class Plots(Output):
    """plots/VIDEO.png, and one for each person where there are several."""

    def add_video(self, prediction: VideoPrediction) -> None:
        for person in prediction.persons:
            suffix = f".person-{person.track}" if len(prediction.persons) > 1 else ""
            picture = plot_person(prediction, person)
            write_whole(self.folder / "plots" / f"{prediction.video}{suffix}.png", picture)


class Elan(Output):
    """annotations/VIDEO.eaf."""

    def add_video(self, prediction: VideoPrediction) -> None:
        path = self.folder / "annotations" / f"{prediction.video}.eaf"
        write_whole(path, elan(prediction, path.parent, datetime.now().astimezone()))


class Captions(Output):
    """annotations/VIDEO.vtt."""

    def add_video(self, prediction: VideoPrediction) -> None:
        write_whole(self.folder / "annotations" / f"{prediction.video}.vtt", webvtt(prediction))


class Overlay(Output):
    """The recording with its scores drawn on it, at `--overlay`; with several videos that is a folder."""

    reads_recording = True

    def add_video(self, prediction: VideoPrediction) -> None:
        from .overlay import write_overlay

        assert self.options.overlay is not None, "an overlay is asked for by its path"
        several = len(self.plan.videos) > 1
        write_overlay(prediction, self.options.overlay / f"{prediction.video}.mp4" if several else self.options.overlay)
