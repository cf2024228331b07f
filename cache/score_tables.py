"""Scores as tables: a row a clip, and a row a person for a whole video."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .predictions import PersonPrediction, ScoreReason, VideoPrediction
from .records import Target

if TYPE_CHECKING:
    import pandas as pd

TIME_DIGITS, SCORE_DIGITS = 4, 6


def clip_rows(video: str, person: PersonPrediction, targets: Sequence[Target]) -> "pd.DataFrame":
    """A row a clip: video, track, start_s, end_s, each target and its spread, and how far to trust them.

    The spread is the standard deviation over the models: it does not rank errors. `out_of_range` is empty where no
    clip can be judged. `attention_-1` is the weight given to the clip before, `attention_+0` to the clip itself.
    """
    import pandas as pd

    clips = person.clips
    columns: dict[str, Any] = {
        "video": np.full(len(clips), video, object),
        "track": np.full(len(clips), person.track, np.int64),
        "start_s": person.start_s.round(TIME_DIGITS),
        "end_s": person.end_s.round(TIME_DIGITS),
    }
    for number, target in enumerate(targets):
        columns[target.name] = _digits(clips.mean[:, number])
        columns[f"{target.name}_std"] = _digits(clips.std[:, number])
    columns["coverage"] = _digits(clips.coverage)
    # Unknown where there is no score, or where the models were never told what the training features are like.
    columns["out_of_range"] = pd.array(clips.out_of_range, "boolean").copy()
    columns["out_of_range"][~clips.judged] = pd.NA
    columns["distance"] = _digits(clips.distance)
    columns["reason"] = np.array([ScoreReason(reason).sentence for reason in clips.reason.tolist()], object)
    half = clips.attention.shape[1] // 2
    for offset in range(-half, half + 1) if half else ():
        columns[f"attention_{offset:+d}"] = _digits(clips.attention[:, half + offset])
    return pd.DataFrame(columns)


def video_rows(prediction: VideoPrediction) -> "pd.DataFrame":
    """A row a person: the same columns over the whole video, with shares where clips have flags.

    A target is the mean of its clips' scores, its spread the mean of theirs; `clips` counts all, `scored` those with
    a score.
    """
    import pandas as pd

    rows = []
    for person in prediction.persons:
        clips, said = person.clips, ~np.isnan(person.clips.mean).any(1)
        mean, std = person.video_score()
        row: dict[str, Any] = {"video": prediction.video, "track": person.track, "start_s": 0.0}
        row["end_s"] = round(prediction.duration_s, TIME_DIGITS)
        for number, target in enumerate(prediction.targets):
            row[target.name] = round(float(mean[number]), SCORE_DIGITS)
            row[f"{target.name}_std"] = round(float(std[number]), SCORE_DIGITS)
        row["coverage"] = round(float(clips.coverage.mean()), SCORE_DIGITS) if len(clips) else 0.0
        judged = clips.judged
        row["out_of_range"] = round(float(clips.out_of_range[judged].mean()), SCORE_DIGITS) if judged.any() else np.nan
        row |= {"clips": len(clips), "scored": int(said.sum()), "reason": _why_silent(person)}
        rows.append(row)
    return pd.DataFrame(rows)


def event_rows(prediction: VideoPrediction) -> "pd.DataFrame":
    """A row a clip of all people, as BIDS has its tables of events: onset and duration first, `n/a` for what is not."""
    import pandas as pd

    people = [clip_rows(prediction.video, person, prediction.targets) for person in prediction.persons]
    rows = pd.concat(people, ignore_index=True).drop(columns="video")
    rows.insert(0, "onset", rows.pop("start_s"))
    rows.insert(1, "duration", (rows.pop("end_s") - rows["onset"]).round(TIME_DIGITS))
    rows["out_of_range"] = rows["out_of_range"].map({True: "true", False: "false"})
    rows["reason"] = rows["reason"].where(rows["reason"].ne(""))
    return rows


def event_name(video: str) -> str:
    """`sub-01/sub-01_task-talk_video.mp4` as `sub-01/sub-01_task-talk_desc-affect_events`: a derivative's name in BIDS.

    The kind behind the last `_` goes where the name is one of BIDS; of other names the whole is kept.
    """
    folder, _, name = video.rpartition("/")
    stem = name.rpartition(".")[0] or name
    if stem.startswith("sub-") and "-" not in stem.rpartition("_")[2]:
        stem = stem.rpartition("_")[0]
    return f"{folder}/{stem}_desc-affect_events".lstrip("/")


def _why_silent(person: PersonPrediction) -> str:
    """Why a whole video has no score; empty where it has one."""
    if len(person.clips) == 0:
        return "no frames"
    if not np.isnan(person.clips.mean).all():
        return ""
    return ScoreReason(int(np.bincount(person.clips.reason).argmax())).sentence


def _digits(values: Any) -> Any:
    return values.astype(np.float64).round(SCORE_DIGITS)
