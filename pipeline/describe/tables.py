"""What `describe-faces` writes: faces.csv, people.csv and pairs.csv, with plots and a viewer as of predictions."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ...cache.description_tables import pair_rows, person_rows, window_rows
from ...cache.predictions import VideoPrediction
from ..events import ClipsScored, ScoresPlanned
from ..predict.inputs import PredictOptions
from ..predict.output_kinds import Captions, Elan, Events, Output, Plots, Viewer
from ..predict.outputs import Outputs
from ..predict.tables import Tables, collected

if TYPE_CHECKING:
    import pandas as pd

    from ...cache.score_table import FaceTable
    from ..predict.predict import PredictEvent


def face_table(events: "Iterable[PredictEvent]", passed_on: "Callable[[PredictEvent], None] | None") -> "FaceTable":
    """All people that the events tell of, their windows and pairs. As `score_table`."""
    import pandas as pd

    from ...cache.score_table import FaceTable

    found, attrs = collected(events, passed_on)
    table = FaceTable(pd.concat([person_rows(item) for item in found], ignore_index=True))
    windows = [window_rows(item.video, person, item.targets) for item in found for person in item.persons]
    table.windows = pd.concat(windows, ignore_index=True)
    table.pairs = pd.concat([pair_rows(item) for item in found], ignore_index=True)
    table.attrs = attrs
    return table


class FaceTables(Tables):
    """faces.csv and faces.parquet with a row a window, people.csv with a row a person, pairs.csv for each two."""

    clips_name, videos_name = "faces", "people"

    def __init__(self, folder: Path, options: PredictOptions, plan: ScoresPlanned) -> None:
        super().__init__(folder, options, plan)
        self._pairs = self.growing("pairs")

    def rows_of_clips(self, scored: ClipsScored) -> "pd.DataFrame":
        """A row a window."""
        return window_rows(scored.video, scored.block, self.plan.targets)

    def rows_of_video(self, prediction: VideoPrediction) -> "pd.DataFrame":
        """A row a person."""
        return person_rows(prediction)

    def add_video(self, prediction: VideoPrediction) -> None:
        """Append a video's people and pairs."""
        super().add_video(prediction)
        self.append_rows(self._pairs, "pairs", pair_rows(prediction))


class FaceOutputs(Outputs):
    """Writes the events of `describe_faces` to a folder, as `Outputs` writes those of `predict`."""

    made_by = "affect describe-faces"
    kinds: ClassVar[dict[str, type[Output]]] = {
        "tables": FaceTables, "viewer": Viewer, "plots": Plots, "eaf": Elan, "vtt": Captions, "bids": Events
    }  # fmt: skip
