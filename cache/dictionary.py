"""What each column of a table means, as JSON beside the table: in the words of BIDS (Description, Units, Levels)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..configs.plain_text import cell
from .records import Json, Target

SECONDS, SHARE = "s", "share of 1"


@dataclass(frozen=True, slots=True)
class Column:
    """One column, where no target is in its name."""

    description: str
    unit: str = ""
    levels: dict[str, str] | None = None


LEVELS = {
    "clip": "one clip",
    "span": "a labelled span: the means of its clips",
    "video": "a whole video: the means of its clips",
}
MEASURED_SPREAD = "_sd"
COLUMNS: dict[str, Column] = {
    "video": Column("the video's id: its path, as the store has it"),
    "id": Column("the video's id: its path, as the store has it"),
    "path": Column("where the recording lay"),
    "track": Column("number of the person in the video, as `inspect-cache --tracks` lists them; -1 or -2 is nobody's"),
    "start_s": Column("beginning, from the video's first frame; it belongs to the clip or span", SECONDS),
    "end_s": Column("end, from the video's first frame; it does not belong to the clip or span", SECONDS),
    "onset": Column("beginning, from the video's first frame", SECONDS),
    "duration": Column("how long it lasts", SECONDS),
    "coverage": Column("frames in which the person was seen, of all", SHARE),
    "out_of_range": Column(
        "of a clip: whether its features are unlike those of the training people; of a video: the share of such clips. "
        "Empty where that is not known"
    ),
    "distance": Column("from the features of the training people; above 1 a clip is out of range", "1 = the threshold"),
    "reason": Column("why there is no score, or why it failed; empty where there is one"),
    "clips": Column("how many clips the person has in the video"),
    "scored": Column("how many of them have a score"),
    "level": Column("what a row stands for", levels=LEVELS),
    "fold": Column("the fold in which the subject was held out"),
    "subject": Column("the person, as the label table names them"),
    "subjects": Column("the people held out in the fold, as the label table names them"),
    "span": Column("number of the labelled span, from 0: a row of the label table"),
    "where": Column("the row of the label table"),
    "run": Column("the folder of the run"),
    "validation_ccc": Column("mean CCC of the targets on the validation people, by which the setting was chosen"),
    "chosen": Column("whether this setting was chosen"),
    "person": Column("number of the person in the video, the lowest of their tracks"),
    "other": Column("number of the other person"),
    "first_s": Column("when the person is first seen", SECONDS),
    "last_s": Column("when the person is last seen", SECONDS),
    "seen_s": Column("how long the person is seen in all", SECONDS),
    "presence": Column("frames in which the person is seen, of all kept frames of the video", SHARE),
    "stretches": Column("how many times the person comes: stretches without a gap of more than a second"),
    "kind": Column(
        "what the picture of the person is; empty where that is not known",
        levels={"live": "it moves", "still": "a still picture, as on a poster or a slide"},
    ),
    "side_px": Column("median side of a square as large as the face's box", "pixels of the upright picture"),
    "measure": Column("the measure in which both are compared"),
    "together_s": Column("how long both are known at once", SECONDS),
    "synchrony": Column(
        "mean absolute Fisher z of the correlation of both curves, over windows of 20 s and lags to 3 s; empty where "
        "both are seen at once for less than two minutes"
    ),
    "chance": Column("the same when one curve is shifted in time: what two people have who do not react to each other"),
    "p": Column("how often a shifted curve goes together at least as strongly; it does not say who caused what", SHARE),
    "lag_s": Column(
        "the lag at which both agree best; positive: `other` follows `person`; empty where there is none",
        SECONDS,
    ),
}
OF_TARGETS = {
    "_std": "spread of {0} over the models: a standard deviation, which does not rank errors",
    "_label": "{0} as labelled",
    "_blend": "{0} by the mean of the networks and ridge regression",
    "_ridge": "{0} by ridge regression on the span's mean feature",
    "_mean": "{0} as the mean of the training labels, whatever the video shows",
}


def dictionary(
    columns: Iterable[object], targets: Sequence[Target] = (), meanings: Mapping[str, str] | None = None
) -> str:
    """The JSON text of a table's columns, by their names in its first line.

    meanings: of targets that are measured and not predicted.
    """
    return json.dumps(described(columns, targets, meanings), indent=1, ensure_ascii=False) + "\n"


def described(
    columns: Iterable[object], targets: Sequence[Target] = (), meanings: Mapping[str, str] | None = None
) -> dict[str, Json]:
    """As `dictionary`, as a value."""
    return {cell(name): _column(name, targets, meanings or {}) for name in map(str, columns)}


def _column(name: str, targets: Sequence[Target], meanings: Mapping[str, str]) -> dict[str, Json]:
    for target in targets:
        meaning = meanings.get(target.name)
        if meaning is not None and name in (target.name, f"{target.name}{MEASURED_SPREAD}"):
            what = "" if name == target.name else f"standard deviation over frames of {target.name}: "
            return {"Description": what + meaning, "Units": target.unit}
    for target in targets:
        if name == target.name:
            return {"Description": f"score of {name}, the mean of the models", **_scale(target)}
    for target in targets:
        words = OF_TARGETS.get(name.removeprefix(target.name)) if name.startswith(target.name) else None
        if words is not None:
            return {"Description": words.format(target.name), **_scale(target)}
    if name.startswith("attention_"):
        clips = int(name.removeprefix("attention_"))
        place = "the clip itself" if clips == 0 else f"the clip {abs(clips)} {'before' if clips < 0 else 'after'} it"
        return {"Description": f"weight that the score gave to {place}", "Units": SHARE}
    if name.startswith("held_out_"):
        return {"Description": f"{name.removeprefix('held_out_').upper()} of the held-out people, a mean over targets"}
    column = COLUMNS.get(name, Column(f"setting {name}"))
    more = {"Units": column.unit} if column.unit else {}
    return {"Description": column.description, **more, **({"Levels": column.levels} if column.levels else {})}


def _scale(target: Target) -> dict[str, Json]:
    limits = {"Minimum": target.low, "Maximum": target.high} if target.bounded else {}
    return {"Units": target.unit or "as in the label table", **limits}
