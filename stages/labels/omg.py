"""OMG-Emotion: valence and arousal of utterances, with the data set's own split.

Source: Barros et al., "The OMG-Emotion Behavior Dataset", IJCNN 2018.
"""

from pathlib import Path, PurePosixPath

import numpy as np

from ...cache.records import Target
from ...cache.tables import read_table
from .registry import Reader, ReaderInput
from .tables import (
    SPLIT_WORDS,
    Cells,
    LabelRow,
    Prepared,
    Problem,
    VideoFiles,
    drop_repeats,
    header,
    number,
    records,
    require_columns,
    scaled,
    text,
    understood,
)

COLUMNS = ("link", "start", "end", "video", "utterance", "arousal", "valence", "EmotionMaxVote")
KNOWN_BY = ("utterance", "arousal", "valence")
TARGETS = (Target("valence", -1, 1), Target("arousal", -1, 1))
GIVEN = {"valence": Target("valence", -1, 1), "arousal": Target("arousal", 0, 1)}  # as the tables have them


def split_of(path: Path) -> str | None:
    """The split that a table's file name says, as omg_TrainVideos.csv; None where it says none."""
    return next((split for word, split in SPLIT_WORDS.items() if word in path.stem.lower()), None)


def fits(file: Path) -> bool:
    """Whether a CSV file has the columns of a table with labels; the test set's published table has none."""
    return set(KNOWN_BY) <= set(header(file))


def read(data: ReaderInput) -> list[Prepared]:
    """A row per utterance whose video is there, arousal mapped from [0, 1] to 2a - 1.

    An utterance is a file of its own, `<video>/<utterance>.mp4`, or the span `start` to `end` of `<video>.mp4`.
    A video's speaker counts as one subject.
    """
    rows: list[LabelRow] = []
    problems: list[Problem] = []
    used: set[str] = set()
    videos, read_as = data.videos, []
    for path in data.tables:
        table, split = read_table(path, lambda names: set(KNOWN_BY) <= set(names), data.reading.sheet), split_of(path)
        read_as.append(understood(table))
        require_columns(table, [name for name in COLUMNS if name not in ("link", "EmotionMaxVote")], path)
        for cells in records(table):
            video, utterance = text(cells["video"]), text(cells["utterance"])
            name = f"{video}/{utterance}"
            place = _place(cells, videos, name, problems)
            if place is None:
                continue
            file, start_s, end_s = place
            used.add(file)
            valence, arousal = (
                scaled(number(cells[target], name, target, problems), GIVEN[target], name, problems)
                for target in ("valence", "arousal")
            )
            if np.isnan(valence) and np.isnan(arousal):
                problems.append(Problem("no usable value", name))
                continue
            rows.append(LabelRow(videos.paths[file], video, start_s, end_s, (valence, 2 * arousal - 1), split))
    kept = drop_repeats(rows, problems)
    return [Prepared(kept, TARGETS, (*problems, *videos.unused(used)), understood=tuple(read_as))]


def _place(cells: Cells, videos: VideoFiles, name: str, problems: list[Problem]) -> tuple[str, float, float] | None:
    """(file, start_s, end_s) of an utterance; None and a problem where there is none."""
    video, utterance = text(cells["video"]), PurePosixPath(text(cells["utterance"])).stem
    own = [path for path in videos.with_stem(utterance) if PurePosixPath(path).parent.name == video]
    if own:
        return own[0], 0.0, float("inf")
    whole = videos.with_stem(video)
    if not whole:
        problems.append(Problem("labels without a video", name))
        return None
    start_s, end_s = (number(cells[edge], name, edge, problems) for edge in ("start", "end"))
    if not 0 <= start_s < end_s:
        problems.append(Problem("does not fit the video", name, f"from {start_s:g} to {end_s:g} s"))
        return None
    return whole[0], start_s, end_s


READER = Reader((".csv",), f"CSV tables of {','.join(COLUMNS)}", fits, read, many=True)
