"""`affect describe-faces`: who is in a video, how they hold and move their heads, and who moves with whom."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ...cache.opening import open_store, store_exists
from ...cache.output_folder import default_store
from ...cache.predictions import VideoPrediction
from ...cache.store import Store
from ...configs.load import load_config
from ...configs.schema import FeaturesConfig
from ...errors import InputError
from ...stages.description.describe import LEAST_SEEN_S, describe
from ...stages.description.series import meanings, measures_of, scales
from ...stages.features.recipe import settings_of
from ...stages.temporal.pauses import recording_s
from ..devices import passed_over, resolve_device
from ..events import ClipsScored, ScoresPlanned, Step
from ..predict.inputs import MEMORY, PredictOptions, find_inputs
from ..predict.predict import PredictEvent, score_all

POINTED = "face-api"  # the backbone that gives 68 points
ABOUT = (
    "Measured here is where faces are, how they turn and how they move: not what anybody feels. Compare a person with "
    "themselves before you compare people."
)
WINDOW_S = 1.0
LEAST_WINDOW_S, MOST_WINDOW_S = 0.2, 3600.0


def describe_faces(
    videos: Sequence[str | Path],
    output: str | Path,
    store: str | Path | None = None,
    config: FeaturesConfig | None = None,
    *,
    window_s: float = WINDOW_S,
    options: PredictOptions | None = None,
) -> Generator[PredictEvent, None, None]:
    """What happens while the faces of videos (files, folders, globs, or ids in the store) are described, in order.

    store: features to read and add to, as in `predict`. config: how features are made; None: as those of the store, or
    by default. window_s: length of the windows of time.
    Each video ends in a VideoPrediction, whose targets are measures, or in a VideoFailed; `Outputs` writes them.
    Errors: InputError and its kinds, before the first event and before anything is made on disk.
    """
    options = options or PredictOptions()
    if not LEAST_WINDOW_S <= window_s <= MOST_WINDOW_S:
        raise InputError(f"--window-s is {window_s:g}; expected {LEAST_WINDOW_S:g} to {MOST_WINDOW_S:g} seconds")
    location = str(store) if store is not None else MEMORY if options.key_file else default_store(Path(output))
    device, notes = resolve_device(options.device), passed_over(options.device)
    options = replace(options, device=device, jobs=1 if location == MEMORY else options.jobs)
    inputs = find_inputs([str(video) for video in videos], location, options.picture_fps)
    there = open_store(location) if location != MEMORY and store_exists(location) else None
    if config is None:
        known = there is not None and "source" not in there.recipe.fields  # else it came in tables: nothing to extract
        config = settings_of(there.recipe, source=location) if there and known else load_config().features
    pointed = (config.backbone if there is None else there.recipe.fields.get("backbone")) == POINTED
    describer = Describer(window_s, pointed=pointed)
    yield ScoresPlanned(
        videos=tuple(inputs.all_ids),
        run="",
        recipe_digest="" if there is None else there.recipe.digest,
        models=1,
        worth=ABOUT,
        method="",
        targets=describer.targets,
        training_means=(None,) * len(describer.targets),
        subject="all",
        clip_frames=0,
        stride_frames=0,
        sources=tuple(source.path for source in inputs.sources),
        meanings=meanings(describer.measures),
    )
    left_out = inputs.left_out if options.key_file is None else ()  # else names are not shown
    yield from (Step(f"note: {words}") for words in (*notes, *left_out))
    yield from score_all(describer, inputs, (location,), [lambda: config], options)


class Describer:
    """Describes stored videos, in windows of time."""

    def __init__(self, window_s: float, *, pointed: bool) -> None:
        """pointed: whether 68 points of each face are stored, and so named measures known."""
        self.measures = measures_of(pointed=pointed)
        self.targets = scales(self.measures)
        self._window_s, self._pointed = window_s, pointed

    def score(
        self, stores: Sequence[Store], entry: str, source: Path | None = None
    ) -> Iterator[ClipsScored | VideoPrediction]:
        """The windows of each person, and last the whole video. Errors: EntryError."""
        (store,) = dict.fromkeys(stores)
        info, time_s = store.info(entry), store.entry(entry, ("time_s",)).arrays["time_s"]
        duration_s = recording_s(time_s, info.duration_s)
        said = describe(store, entry, self._window_s, duration_s, pointed=self._pointed)
        for person in said.persons:
            yield ClipsScored(entry, person, len(person.clips), len(person.clips))
        brief = f"{said.brief} more {'person was' if said.brief == 1 else 'people were'} seen for less than"
        yield VideoPrediction(
            video=entry,
            source=source,
            duration_s=duration_s,
            width_px=info.width_px,
            height_px=info.height_px,
            stream=store.recipe.fields.get("stream", "auto"),
            targets=self.targets,
            training_means=(None,) * len(self.targets),
            persons=said.persons,
            warnings=(*info.warnings, *([f"{brief} {LEAST_SEEN_S:g} s"] if said.brief else [])),
            description=said.description,
        )
