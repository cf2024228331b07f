"""What fold.json says of a finished fold, as a report and the end of a training read it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .checked import mapping, number, texts, whole
from .metrics import ROUNDING
from .records import Json

BY_CENTRE = "left_out_ccc_by_centre"  # below "ridge": `clips.centre` -> CCC of training people who are left out


@dataclass(frozen=True, slots=True)
class FoldRecord:
    """One fold: who was on which side, what was chosen, and what may be offered; empty where nothing is said of it."""

    warnings: tuple[str, ...]
    subjects: Mapping[str, tuple[str, ...]]  # side -> its people
    clips: Mapping[str, int]  # side -> how many
    epochs: int | None
    best_epoch: int | None  # whose weights were kept
    validation_ccc: float  # NaN where nothing was chosen
    # `clips.centre` -> mean CCC of ridge regression on training people, each left out; older versions did not say it
    ridge_ccc: Mapping[str, float]

    @classmethod
    def from_json(cls, values: Mapping[str, Json]) -> "FoldRecord":
        """What training writes, or an older version. Errors: ValueError for anything else."""
        subjects, clips = (mapping(values.get(name, {}), name) for name in ("subjects", "side_clips"))
        ccc = mapping(mapping(values.get("ridge", {}), "ridge").get(BY_CENTRE, {}), BY_CENTRE)
        return cls(
            warnings=texts(values.get("warnings", []), "warnings"),
            subjects={side: texts(names, f"subjects.{side[:80]}") for side, names in subjects.items()},
            clips={side: whole(count, f"side_clips.{side[:80]}") for side, count in clips.items()},
            epochs=_epoch(values, "epochs"),
            best_epoch=_epoch(values, "best_epoch"),
            validation_ccc=_ccc(values.get("validation_ccc"), "validation_ccc"),
            ridge_ccc={centre: _ccc(value, f"{BY_CENTRE}.{centre[:80]}") for centre, value in ccc.items()},
        )


def _epoch(values: Mapping[str, Json], name: str) -> int | None:
    return None if values.get(name) is None else whole(values[name], name)


def _ccc(value: Json, name: str) -> float:
    return math.nan if value is None else number(value, name, -1 - ROUNDING, 1 + ROUNDING)
