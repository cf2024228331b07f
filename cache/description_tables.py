"""Descriptions of faces as tables: a row a window of time, a row a person, and a row for two people and a measure."""

from typing import TYPE_CHECKING, Any

from .dictionary import MEASURED_SPREAD as SPREAD
from .predictions import PersonPrediction, VideoPrediction
from .records import Target
from .score_tables import SCORE_DIGITS, TIME_DIGITS, clip_rows

if TYPE_CHECKING:
    import pandas as pd

OF_PERSON = ["video", "person", "first_s", "last_s", "seen_s", "presence", "stretches", "kind", "side_px"]
OF_PAIR = ["video", "person", "other", "measure", "together_s", "synchrony", "chance", "p", "lag_s"]


def window_rows(video: str, person: PersonPrediction, targets: tuple[Target, ...]) -> "pd.DataFrame":
    """A row a window of time: video, person, start_s, end_s, each measure's mean, coverage and why there is none."""
    rows = clip_rows(video, person, targets).rename(columns={"track": "person"})
    spreads = [f"{target.name}_std" for target in targets]
    return rows.drop(columns=[*spreads, "out_of_range", "distance"])


def person_rows(prediction: VideoPrediction) -> "pd.DataFrame":
    """A row a person: when and how long seen, and each measure's mean and standard deviation."""
    import pandas as pd

    rows = []
    for one in prediction.description.people if prediction.description else ():
        row: dict[str, Any] = {
            "video": prediction.video,
            "person": one.track,
            "first_s": round(one.first_s, TIME_DIGITS),
            "last_s": round(one.last_s, TIME_DIGITS),
            "seen_s": round(one.seen_s, TIME_DIGITS),
            "presence": round(one.presence, SCORE_DIGITS),
            "stretches": one.stretches,
            "kind": one.kind,
            "side_px": round(one.side_px, 1),
        }
        for name, mean in one.mean.items():
            row[name], row[f"{name}{SPREAD}"] = round(mean, SCORE_DIGITS), round(one.spread[name], SCORE_DIGITS)
        rows.append(row)
    measures = [column for target in prediction.targets for column in (target.name, f"{target.name}{SPREAD}")]
    return pd.DataFrame(rows, columns=[*OF_PERSON, *measures])


def pair_rows(prediction: VideoPrediction) -> "pd.DataFrame":
    """A row for each two people and measure."""
    import pandas as pd

    facts = prediction.description.pairs if prediction.description else ()
    rows = [
        {
            "video": prediction.video, "person": one.first, "other": one.second, "measure": one.measure,
            "together_s": round(one.together_s, TIME_DIGITS),
            **{name: round(getattr(one, name), SCORE_DIGITS) for name in ("synchrony", "chance", "p", "lag_s")},
        }
        for one in facts
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=OF_PAIR)
