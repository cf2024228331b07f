"""The kinds of output besides the tables, each a class: what it writes of clips, of a video, of a failure."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from ...cache.csv_cells import to_cells
from ...cache.dictionary import dictionary
from ...cache.files import NewFile, write_whole
from ...cache.pictures import are_pictures
from ...cache.predictions import VideoPrediction
from ...cache.score_tables import event_name, event_rows
from ...errors import AffectError
from ...stages.views.annotations import elan, webvtt
from ...stages.views.plot import plot_person
from ...stages.views.viewer import page_head, page_tail, video_block
from ..events import ClipsScored, ScoresPlanned, VideoFailed
from .inputs import PredictOptions


class Output:
    """One kind of output, made with the first thing there is to write; a subclass overrides what it writes.

    An error in an `add` costs that video's part of this output, and is listed; other outputs and videos go on.
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
        """End all files, and put them in their places; also after Ctrl-C."""

    @property
    def kept_older(self) -> bool:
        """Whether `close` left the files of an earlier call in their places."""
        return False

    def write(self, name: str, data: str | bytes) -> None:
        """Write a file below the folder of all outputs, whole. Errors: DiskError."""
        write_whole(self.folder / name, data, self.folder)


class Viewer(Output):
    """viewer.html: grows video by video, and appears whole when it is closed."""

    def __init__(self, folder: Path, options: PredictOptions, plan: ScoresPlanned) -> None:
        super().__init__(folder, options, plan)
        self._file = NewFile(folder / "viewer.html", folder)
        try:
            self._file.append(page_head(plan.worth, with_video=options.with_video))
        except AffectError:
            self._file.discard()
            raise

    def add_video(self, prediction: VideoPrediction) -> None:
        if prediction.source is not None and are_pictures(prediction.source):
            prediction = replace(prediction, source=None)  # no player shows them
        self._file.append(video_block(prediction, self.folder, with_video=self.options.with_video))

    def close(self) -> None:
        try:
            self._file.append(page_tail())
            self._file.place()
        finally:
            self._file.discard()


class Plots(Output):
    """plots/VIDEO.png, and one for each person where there are several."""

    def add_video(self, prediction: VideoPrediction) -> None:
        for person in prediction.persons:
            suffix = f".person-{person.track}" if len(prediction.persons) > 1 else ""
            self.write(f"plots/{prediction.video}{suffix}.png", plot_person(prediction, person))


class Elan(Output):
    """annotations/VIDEO.eaf."""

    def add_video(self, prediction: VideoPrediction) -> None:
        name = f"annotations/{prediction.video}.eaf"
        self.write(name, elan(prediction, (self.folder / name).parent, datetime.now().astimezone()))


class Captions(Output):
    """annotations/VIDEO.vtt."""

    def add_video(self, prediction: VideoPrediction) -> None:
        self.write(f"annotations/{prediction.video}.vtt", webvtt(prediction))


class Events(Output):
    """bids/VIDEO_desc-affect_events.tsv, as the Brain Imaging Data Structure names and fills it, and its .json."""

    def add_video(self, prediction: VideoPrediction) -> None:
        if prediction.persons:
            rows, name = event_rows(prediction), f"bids/{event_name(prediction.video)}"
            table = to_cells(rows).to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n")
            self.write(f"{name}.tsv", table)
            self.write(f"{name}.json", dictionary(rows.columns, prediction.targets))


class Overlay(Output):
    """The recording with its scores drawn on it, at `--overlay`; with several videos that is a folder."""

    reads_recording = True

    def add_video(self, prediction: VideoPrediction) -> None:
        from .overlay import overlay_path, write_overlay

        assert self.options.overlay is not None, "an overlay is asked for by its path"
        several = len(self.plan.videos) > 1
        path = overlay_path(self.options.overlay, prediction.video, len(self.plan.videos))
        write_overlay(prediction, path, self.options.overlay if several else None, self.plan.sources)
