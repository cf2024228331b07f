"""A page to look at scores beside the recording they were made from: one file, no network."""

import base64
import html
import json
import os
from importlib import resources
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import numpy as np

from ...cache.predictions import REASONS, PersonPrediction, VideoPrediction
from ...cache.records import Array, Json

SCRIPTS = ("data.js", "words.js", "curves.js", "player.js", "app.js", "input.js")
NOT_LOOKED = 255  # of attention: there was no clip to look at
ATTENTION_STEPS = 250


class ViewerPage:
    """A page under construction: videos are written as they are done, and the page appears whole at `close`.

    Use as a context manager; it is closed also when the block was left early, with the videos done by then.
    """

    def __init__(self, path: Path, *, with_video: bool = True) -> None:
        self.path = path
        self.videos = 0
        self._with_video = with_video
        self._partial = path.with_name(f".{path.name}.partial")
        head, self._tail = _template(with_video)
        self._file = self._partial.open("w", encoding="utf-8")
        self._file.write(head)

    def add(self, prediction: VideoPrediction) -> None:
        """Put one video on the page."""
        values = _video_json(prediction, self.path.parent, self._with_video)
        text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        name = html.escape(prediction.video, quote=True)
        self._file.write(f'<script type="application/json" class="affect-video" data-name="{name}">')
        self._file.write(text.replace("<", "\\u003c"))
        self._file.write("</script>\n")
        self.videos += 1

    def close(self) -> None:
        """Let the page appear under its name."""
        if self._file.closed:
            return
        self._file.write(self._tail)
        self._file.close()
        self._partial.replace(self.path)

    def __enter__(self) -> "ViewerPage":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_viewer(predictions: list[VideoPrediction], path: Path, *, with_video: bool = True) -> None:
    """Write one page that shows all the predictions."""
    with ViewerPage(path, with_video=with_video) as page:
        for prediction in predictions:
            page.add(prediction)


def _template(with_video: bool) -> tuple[str, str]:
    """The page before and after its data."""
    folder = resources.files(__package__) / "viewer_page"
    text = (folder / "page.html").read_text("utf-8")
    if not with_video:
        text = text.replace('<html lang="en">', '<html lang="en" data-video="no">')
    text = text.replace("@@STYLE@@", (folder / "style.css").read_text("utf-8"))
    text = text.replace("@@SCRIPT@@", "\n".join((folder / name).read_text("utf-8") for name in SCRIPTS))
    reasons = f'<script type="application/json" id="affect-reasons">{json.dumps(REASONS)}</script>\n'
    head, tail = text.split("@@DATA@@")
    return head + reasons, tail


def _video_json(prediction: VideoPrediction, folder: Path, with_video: bool) -> dict[str, Json]:
    return {
        "name": prediction.video,
        "source": _address(prediction.source, folder) if with_video and prediction.source else None,
        "duration": round(prediction.duration_s, 3),
        "offset": round(prediction.clock_offset_s, 4),
        "width": prediction.width_px,
        "height": prediction.height_px,
        "models": prediction.models,
        "warnings": list(prediction.warnings),
        "targets": [
            {
                "name": item.name,
                "low": item.low,
                "high": item.high,
                "unit": item.unit,
                "training_mean": item.training_mean,
            }
            for item in prediction.targets
        ],
        "persons": [_person_json(person, with_video) for person in prediction.persons],
    }  # fmt: skip


def _person_json(person: PersonPrediction, with_boxes: bool) -> dict[str, Json]:
    left, right = person.edges_s()
    seen = len(person.face_time_s) if with_boxes else 0
    attention = np.where(np.isnan(person.attention), NOT_LOOKED, np.rint(person.attention * ATTENTION_STEPS))
    return {
        "track": person.track,
        "label": person.label,
        "judged": bool((~np.isnan(person.distance)).any()),
        "context": person.attention.shape[1],
        "start": _packed(person.start_s, "f4"),
        "end": _packed(person.end_s, "f4"),
        "left": _packed(left, "f4"),
        "right": _packed(right, "f4"),
        "mean": _packed(person.mean.T, "f4"),
        "std": _packed(person.std.T, "f4"),
        "coverage": _packed(person.coverage, "f4"),
        "odd": _packed(person.out_of_range, "u1"),
        "reason": _packed(person.reason, "u1"),
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
