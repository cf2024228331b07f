"""What an earlier call left in a folder that is written to again."""

import json
from pathlib import Path

from affect.pipeline.predict.inputs import PredictOptions
from affect.tests.predictions import write_predictions

CPU = PredictOptions(device="cpu")


def test_annotations_of_an_earlier_call_are_left_and_said(run: Path, store: Path, tmp_path: Path) -> None:
    exports = PredictOptions(device="cpu", exports=("eaf", "vtt"))
    assert not write_predictions(["alone.mp4"], run, tmp_path, store, options=exports).warnings
    (tmp_path / "annotations" / "mine.vtt").write_text("WEBVTT")
    edited = tmp_path / "annotations" / "alone.mp4.eaf"
    edited.write_text("worked on by hand")
    said = write_predictions(["alone.mp4"], run, tmp_path, store, options=CPU).warnings
    assert [words for words in said if "earlier call" in words] == [
        "annotations/alone.mp4.eaf and 1 more of an earlier call: left as found; --export writes them anew"
    ]
    assert said[-1] in json.loads((tmp_path / "summary.json").read_text("utf-8"))["warnings"]
    assert edited.read_text() == "worked on by hand"
