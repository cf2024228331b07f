"""What each column of exported features means, in the words of BIDS (Description, Units, Levels)."""

from collections.abc import Iterable

from .feature_frame import BOX, LANDMARKS
from .records import Json

PIXELS = "pixels of the upright picture"
LEVELS = {
    "ok": "a face has a row (without a detector: the frame itself)",
    "no_face": "no face was found",
    "low_confidence": "a face was seen, but not surely enough",
    "too_small": "every face was too small",
    "decode_error": "the frame came out of a damaged part of the file",
}
COLUMNS: dict[str, dict[str, Json]] = {
    "time_s": {"Description": "when the frame is shown, from the video's first frame", "Units": "s"},
    "frame": {"Description": "number of the kept frame, from 0; where a frame has several faces, it has several rows"},
    "index": {"Description": "number of the frame in the video, in the order of decoding, from 0"},
    "status": {"Description": "what became of the frame", "Levels": LEVELS},
    "track": {"Description": "whose face, as `inspect-cache --tracks` lists them; empty where there is none"},
    "person": {"Description": "the lowest of the tracks that are linked to this one"},
    "score": {"Description": "how sure the detector was; between two looks it is interpolated"},
    "box_px": {"Description": "the face's box: left, upper, right, lower edge", "Units": PIXELS},
    "landmarks_px": {"Description": f"x and y of {', '.join(LANDMARKS)} (left in the picture)", "Units": PIXELS},
    "points_px": {"Description": "x and y of 68 points of the face", "Units": PIXELS},
    "values": {"Description": "the features: a row for each face, a column for each of `columns`"},
    "columns": {"Description": "names of the features"},
    **{
        name: {"Description": f"{edge} edge of the face's box", "Units": PIXELS}
        for name, edge in zip(BOX, ("left", "upper", "right", "lower"), strict=True)
    },
}


def described(columns: Iterable[str]) -> dict[str, Json]:
    """Column or array -> what it means; one that is not known is a feature."""
    return {name: COLUMNS.get(name) or _described(name) for name in columns}


def _described(name: str) -> dict[str, Json]:
    point, axis = name.removesuffix("_px")[:-2], name.removesuffix("_px")[-1:]
    if name.endswith(("_x_px", "_y_px")) and (point in LANDMARKS or point.removeprefix("point").isdecimal()):
        return {"Description": f"{axis} of the face's {point.replace('_', ' ')}", "Units": PIXELS}
    return {"Description": f"feature {name}; empty where there is no face"}
