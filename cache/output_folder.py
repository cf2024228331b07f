"""The folder of a command's outputs: what may be written to, and what an earlier call has left there."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from ..errors import InputError, RunError, shown
from .files import PARTIAL
from .json_files import read_json
from .opening import store_exists
from .records import Json
from .score_tables import event_name

LOCK = ".predict.lock"  # in an output's folder while a call writes there


def default_store(output: Path) -> str:
    """Where features go without `--store`. Errors: InputError for a link, which leads out of the output's folder."""
    store = output / "features"
    if store.is_symlink():
        raise InputError(f"{store} is a link; nothing was written to it", hint=f"--store {store.readlink()}")
    return str(store)


def check_output(output: Path, videos: set[str], made_by: str) -> None:
    """Errors: InputError for a folder of anything but an older output, or of other videos, whose scores would go."""
    if output.exists() and not output.is_dir():
        raise InputError(f"--output {output} is a file; expected a folder")
    names = {item.name for item in output.iterdir()} if output.is_dir() else set()
    if names & {"config.yaml", "folds"}:
        raise InputError(f"--output {output} is a run's folder; its tables would be lost", hint="name a new folder")
    summary = older_summary(output)
    if summary is not None and summary.get("made_by", made_by) != made_by:
        raise InputError(
            f"--output {output} holds what {shown(summary['made_by'])} made; nothing was written",
            hint="name another --output",
        )
    if summary is None and not all(_passing(output, name) for name in names):
        raise InputError(
            f"--output {output} is not empty and holds no output of {made_by}; nothing was written",
            hint="name a new folder, or one that an earlier call has made",
        )
    before = {str(result["video"]) for result in (summary or {}).get("videos", [])}
    lost = sorted(before - videos)
    if lost:
        few = ", ".join(lost[:3]) + (", ..." if len(lost) > 3 else "")
        raise InputError(
            f"{output} holds the scores of {len(lost)} other videos ({few}), which would be lost",
            hint="name another --output, or give those videos as well",
        )


def older_summary(output: Path) -> dict[str, Json] | None:
    """The summary.json of an earlier call; None where there is none, or it is not one that `predict` wrote."""
    try:
        values = read_json(output / "summary.json", root=output)
    except RunError:
        return None
    videos = values.get("videos")
    ours = isinstance(values.get("complete"), bool) and isinstance(values.get("recipe_digest"), str)
    if not ours or not isinstance(videos, list):
        return None
    return values if all(isinstance(item, dict) and {"video", "status"} <= item.keys() for item in videos) else None


def _passing(output: Path, name: str) -> bool:
    """Whether a call that was killed before its first score leaves this behind, or it is an empty folder."""
    if name == "features":
        return store_exists(default_store(output))
    files = [file for _, _, found in os.walk(output / name) for file in found]
    empty = (output / name).is_dir() and not (output / name).is_symlink() and not files
    return empty or name == LOCK or PARTIAL.fullmatch(name) is not None


def left_over(folder: Path, videos: Iterable[str], exports: Collection[str]) -> str:
    """In words, which annotations of these videos are of an earlier call; empty without any.

    exports: the kinds that are written now. Nothing is removed: somebody may have gone on working in such a file.
    """
    made = {"eaf": "annotations/{0}.eaf", "vtt": "annotations/{0}.vtt", "bids": "bids/{1}.tsv"}
    names = [
        name.format(video, event_name(video)) for video in videos for kind, name in made.items() if kind not in exports
    ]
    old = [name for name in names if (folder / name).is_file()]
    if not old:
        return ""
    more = f" and {len(old) - 1} more" if len(old) > 1 else ""
    return f"{old[0]}{more} of an earlier call: left as found; --export writes them anew"
