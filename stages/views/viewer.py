"""A page to look at scores beside the recording they were made from: one file, no network.

`page_head`, a `video_block` for each recording and `page_tail`, one after another, are the page.
"""

import base64
import json
import os
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from urllib.parse import quote

import numpy as np

from ...cache.predictions import PersonPrediction, ScoreReason, VideoPrediction
from ...cache.records import Array, Json, Target
from ...configs.plain_text import spelled
from .rules import (
    CLOCK_STEPS_S,
    COLOURS,
    DASHES,
    FACE_BOXES,
    JOINED_WITHIN,
    MORE_TICKS,
    SLACK,
    TINT,
    VALUE_STEPS,
    css,
    escaped,
)  # fmt: skip
from .scales import beyond_words

SCRIPTS = ("data.js", "words.js", "curves.js", "player.js", "app.js", "input.js")
CCC_SCALE = "CCC is agreement with the labels: 1 is complete, 0 is none."
NOT_LOOKED = 255  # of attention: there was no clip to look at
ATTENTION_STEPS = 250


def page_head(worth: str = "", *, with_video: bool = True) -> str:
    """The page up to its first recording; without video it shows the curves alone.

    worth: what the scores are worth on new people, in words.
    """
    head = _template().split("@@DATA@@", maxsplit=1)[0]
    head = head.replace("@@WORTH@@", _worth(worth) if worth else "")
    if not with_video:
        head = head.replace('<html lang="en">', '<html lang="en" data-video="no">')
    head = head.replace("@@LIGHT@@", css(dark=False)).replace("@@DARK@@", css(dark=True))
    rules = {
        "targetColours": len(COLOURS),
        "dashes": DASHES,
        "tint": TINT,
        "faceBoxes": FACE_BOXES,
        "slack": SLACK,
        "joinedWithin": JOINED_WITHIN,
        "valueSteps": VALUE_STEPS,
        "moreTicks": MORE_TICKS,
        "clockSteps": CLOCK_STEPS_S,
        "reasons": {int(reason): reason.sentence for reason in ScoreReason},
    }
    return f'{head}<script type="application/json" id="affect-rules">{json.dumps(rules)}</script>\n'


def video_block(prediction: VideoPrediction, folder: Path, *, with_video: bool = True) -> str:
    """One recording on the page, which will lie in `folder`; without video neither its address nor face boxes."""
    values = _video_json(prediction, folder, with_video)
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    name = escaped(values["name"])
    return f'<script type="application/json" class="affect-video" data-name="{name}">{text}</script>\n'


def page_tail() -> str:
    """The page behind its last recording."""
    return _template().split("@@DATA@@", maxsplit=1)[1]


def _worth(words: str) -> str:
    """The first words on the page, which need no JavaScript."""
    scale = f" <small>{CCC_SCALE}</small>" if "CCC" in words else ""
    return f'<section aria-label="What it is worth"><p id="worth" role="note">{escaped(words)}{scale}</p></section>'


def _template() -> str:
    folder = resources.files(__package__) / "viewer_page"
    text = (folder / "page.html").read_text("utf-8")
    text = text.replace("@@STYLE@@", (folder / "style.css").read_text("utf-8"))
    return text.replace("@@SCRIPT@@", "\n".join((folder / name).read_text("utf-8") for name in SCRIPTS))


def _video_json(prediction: VideoPrediction, folder: Path, with_video: bool) -> dict[str, Json]:
    targets = zip(prediction.targets, prediction.training_means, strict=True)
    said = (*prediction.warnings, beyond_words(prediction.targets, prediction.persons))
    return {
        "name": spelled(prediction.video),
        "source": _address(prediction.source, folder) if with_video and prediction.source else None,
        "duration": round(prediction.duration_s, 3),
        "offset": round(prediction.clock_offset_s, 4),
        "width": prediction.width_px,
        "height": prediction.height_px,
        "models": prediction.models,
        "warnings": [spelled(warning) for warning in dict.fromkeys(said) if warning],
        "learnt": prediction.description is None,
        "range": prediction.range_check.sentence if prediction.range_check else None,
        "targets": [_target_json(target) | {"training_mean": mean} for target, mean in targets],
        "persons": [_person_json(person, with_video) for person in prediction.persons],
    }


def _target_json(target: Target) -> dict[str, Json]:
    """Both ends of its scale are null where none is known: JSON has no infinite number."""
    ends = {} if target.bounded else {"low": None, "high": None}
    return asdict(target) | {"name": spelled(target.name), "unit": spelled(target.unit)} | ends


def _person_json(person: PersonPrediction, with_boxes: bool) -> dict[str, Json]:
    clips = person.clips
    left, right = person.edges_s()
    seen = len(person.face_time_s) if with_boxes else 0
    attention = np.where(np.isnan(clips.attention), NOT_LOOKED, np.rint(clips.attention * ATTENTION_STEPS))
    return {
        "track": person.track,
        "label": person.label,
        "judged": bool(clips.judged.any()),
        "context": clips.attention.shape[1],
        "start": _packed(person.start_s, "f4"),
        "end": _packed(person.end_s, "f4"),
        "left": _packed(left, "f4"),
        "right": _packed(right, "f4"),
        "mean": _packed(clips.mean.T, "f4"),
        "std": _packed(clips.std.T, "f4"),
        "coverage": _packed(clips.coverage, "f4"),
        "odd": _packed(clips.out_of_range, "u1"),
        "reason": _packed(clips.reason, "u1"),
        "attention": _packed(attention, "u1"),
        "face_time": _packed(person.face_time_s[:seen], "f4"),
        "face_box": _packed(np.clip(np.rint(person.face_box_px[:seen]), -32768, 32767), "i2"),
    }


def _packed(values: Array, kind: str) -> dict[str, str]:
    """An array as little-endian bytes in base64: a third of the size of digits, and read at once."""
    return {"kind": kind, "data": base64.b64encode(np.ascontiguousarray(values, f"<{kind}").tobytes()).decode()}


def _address(source: Path, folder: Path) -> str:
    """The recording as seen from the page: a relative address where there is one."""
    target = source.resolve()
    try:
        relative = Path(os.path.relpath(target, folder.resolve()))
    except ValueError:  # another drive
        return target.as_uri()
    return quote(relative.as_posix())
