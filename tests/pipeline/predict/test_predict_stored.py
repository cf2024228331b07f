"""Scores of stored features: every number, every refusal, and what is left when it stops."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import affect
from affect.cache.opening import create_store, open_store
from affect.cache.predictions import VideoPrediction
from affect.cache.records import Recipe
from affect.cache.store import Store
from affect.errors import InputError, RunError
from affect.pipeline.events import ClipsScored
from affect.pipeline.predict.output_kinds import Output
from affect.pipeline.predict.outputs import OUTPUTS, Outputs
from affect.pipeline.predict.predict import PredictOptions, predict
from affect.pipeline.runs.folder import load_run
from affect.pipeline.terminal.text import of_prediction
from affect.tests.predictions import write_predictions

from .conftest import made_features, store_features

CPU = PredictOptions(device="cpu")


def test_three_lines_give_the_rows_that_the_command_writes(run: Path, store: Path, tmp_path: Path) -> None:
    write_predictions(["alone.mp4"], run, tmp_path, store, options=CPU)
    written = pd.read_csv(
        tmp_path / "predictions.csv", dtype={"out_of_range": "boolean"}, keep_default_na=False, na_values=[""]
    )
    columnar = pd.read_parquet(tmp_path / "predictions.parquet")
    given = affect.predict("alone.mp4", run=run, store=store, device="cpu")
    for table in (columnar, given):
        assert list(table.columns) == list(written.columns)
        for name in ("start_s", "end_s", "valence", "valence_std", "PANSS N1", "coverage", "distance", "attention_+0"):
            np.testing.assert_array_equal(table[name].to_numpy(float), written[name].to_numpy(float), err_msg=name)
    assert given["out_of_range"].astype("boolean").equals(columnar["out_of_range"].astype("boolean"))


def test_runs_of_the_same_features_score_together_from_one_store(
    made_run: Callable[..., Path], store: Path, tmp_path: Path
) -> None:
    recipe = open_store(store).recipe
    for name, folds in (("first", 1), ("second", 3)):  # the first fold is the same
        made_run(tmp_path / "runs" / name, recipe, 12, folds=folds)
    write_predictions(["alone.mp4"], tmp_path / "runs", tmp_path / "out", store, options=CPU)
    written = pd.read_csv(tmp_path / "out" / "predictions.csv")
    both, first, second = (
        affect.predict("alone.mp4", run=tmp_path / name, store=store, device="cpu")
        for name in ("runs", "runs/first", "runs/second")
    )
    np.testing.assert_array_equal(both["valence"], written["valence"])
    np.testing.assert_allclose(both["valence"], (first["valence"] + 3 * second["valence"]) / 4, atol=2e-6)
    assert first["valence_std"].isna().all() and (both["valence_std"].dropna() > 0).all()


def test_rows_cover_the_video_on_its_own_clock_and_say_why_there_is_no_score(run: Path, store: Path) -> None:
    rows = affect.predict("alone.mp4", run=run, store=store, device="cpu")
    assert rows["start_s"].iloc[0] == 0
    assert rows["end_s"].iloc[-1] == pytest.approx(42 / 3.125)
    gap = rows[(rows["start_s"] >= 16 / 3.125) & (rows["end_s"] <= 24 / 3.125 + 1e-3)]
    assert len(gap) == 2
    assert gap["valence"].isna().all() and gap["out_of_range"].isna().all()
    assert set(gap["reason"]) == {"no face in the clip"} and set(gap["coverage"]) == {0.0}
    said = rows.drop(gap.index)
    assert said["valence"].notna().all() and set(said["reason"]) == {""}
    attention = said[["attention_-1", "attention_+0", "attention_+1"]].fillna(0)
    np.testing.assert_allclose(attention.sum(axis=1), 1, atol=1e-5)


def test_scores_come_in_the_units_of_their_scale_with_the_spread_of_the_models(run: Path, store: Path) -> None:
    rows = affect.predict("alone.mp4", run=run, store=store, device="cpu").dropna()
    assert rows["PANSS N1"].between(-2, 10).all() and rows["PANSS N1"].mean() > 0.5
    assert (rows["valence_std"] > 0).all()


def test_features_unlike_the_training_ones_are_flagged(run: Path, store: Path) -> None:
    # The run was made for features of half this spread.
    rows = affect.predict("alone.mp4", run=run, store=store, device="cpu")
    far = rows["distance"] > 1
    assert far.any() and rows.loc[far, "out_of_range"].all()
    assert not rows.loc[rows["distance"] < 1, "out_of_range"].any()


def test_the_share_that_is_marked_by_chance_is_said_once_for_all_videos(
    made_run: Callable[..., Path], store: Path, tmp_path: Path
) -> None:
    run = made_run(tmp_path / "run", open_store(store).recipe, 12, people=5)
    summary = write_predictions(["alone.mp4", "clinic/two.mp4"], run, tmp_path / "out", store, options=CPU)
    check = load_run(run).card.range_check
    assert check is not None and check.rate is not None and check.people == 5
    lines = of_prediction(summary).lines
    assert len([line for line in lines if "of a new person's clips are marked by chance" in line]) == 1
    said = json.loads((tmp_path / "out" / "summary.json").read_text())["out_of_range"]
    assert said["people"] == 5 and said["rate"] >= 0.01 and said["says"] in "\n".join(lines)


def test_a_run_of_two_people_marks_nothing_and_says_why_once(
    made_run: Callable[..., Path], store: Path, tmp_path: Path
) -> None:
    run = made_run(tmp_path / "run", open_store(store).recipe, 12, people=2)
    summary = write_predictions(["alone.mp4", "clinic/two.mp4"], run, tmp_path / "out", store, options=CPU)
    text = of_prediction(summary).lines
    assert [line for line in text if "trained on 2 people" in line] == [
        "warning: trained on 2 people, too few to tell which clips are unlike the training recordings: none is marked"
    ]
    assert [line.split()[-1] for line in text if line.startswith(("alone", "clinic"))] == ["-", "-"]
    rows = pd.read_csv(tmp_path / "out" / "predictions.csv")
    assert rows["out_of_range"].isna().all() and rows["distance"].isna().all() and rows["valence"].notna().any()
    assert pd.read_csv(tmp_path / "out" / "video.csv")["out_of_range"].isna().all()
    assert "trained on 2 people" in (tmp_path / "out" / "viewer.html").read_text("utf-8")


def test_a_person_whose_clips_are_all_unlike_the_training_is_said_in_words(
    made_run: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = Recipe({"backbone": "made", "sample_fps": 3.125, "view": "plain"})
    run = made_run(tmp_path / "run", recipe, 12)
    store = create_store(tmp_path / "store", recipe)
    strange = made_features(np.ones((1, 40), bool), 12)
    store_features(store, "strange.mp4", replace(strange, values=strange.values + 30))
    summary = write_predictions(["strange.mp4"], run, tmp_path / "out", tmp_path / "store", options=CPU)
    words = "person 0: all 10 scored clips are unlike the training recordings; the scores may mean nothing"
    assert f"warning: strange.mp4: {words}" in of_prediction(summary).lines
    assert words in (tmp_path / "out" / "viewer.html").read_text("utf-8")
    assert words in (tmp_path / "out" / "summary.json").read_text("utf-8")


def test_dense_scores_repeat_the_sparse_ones_where_clips_coincide(run: Path, store: Path) -> None:
    sparse = affect.predict("alone.mp4", run=run, store=store, device="cpu")
    dense = affect.predict("alone.mp4", run=run, store=store, stride=1, device="cpu")
    assert len(dense) == 42 - 4 + 1
    both = sparse.merge(dense, on=["start_s", "end_s"], suffixes=("", "_dense"))
    assert len(both) == len(sparse)
    np.testing.assert_allclose(both["valence"], both["valence_dense"], atol=1e-5)


def test_people_are_chosen_by_word(run: Path, store: Path) -> None:
    tracks = {
        subject: set(affect.predict("clinic/two.mp4", run=run, store=store, subject=subject, device="cpu")["track"])
        for subject in ("main", "track:1", "all", "largest")
    }
    assert tracks == {"main": {0}, "track:1": {1}, "all": {0, 1}, "largest": {-2}}
    with pytest.raises(InputError, match="expected main, largest, all or track:N"):
        affect.predict("alone.mp4", run=run, store=store, subject="somebody", device="cpu")


def test_a_video_without_people_has_its_rows_and_no_score(run: Path, store: Path, tmp_path: Path) -> None:
    summary = write_predictions(["empty.mp4"], run, tmp_path, store, options=CPU)
    rows = pd.read_csv(tmp_path / "predictions.csv")
    assert len(rows) == 3 and rows["valence"].isna().all()
    assert summary.results[0].scored == 0 and not summary.failed
    assert pd.read_csv(tmp_path / "video.csv")["reason"].tolist() == ["no face in the clip"]
    assert (tmp_path / "plots" / "empty.mp4.png").stat().st_size > 5000


def test_a_track_that_one_video_lacks_fails_that_video_alone(run: Path, store: Path, tmp_path: Path) -> None:
    summary = write_predictions(
        ["alone.mp4", "clinic/two.mp4", "missing.mp4"], run, tmp_path, store,
        options=PredictOptions(device="cpu", subject="track:1"),
    )  # fmt: skip
    assert [result.video for result in summary.failed] == ["missing.mp4", "alone.mp4"]
    failures = pd.read_csv(tmp_path / "failures.csv")
    assert failures["video"].tolist() == ["missing.mp4", "alone.mp4"]
    assert "track 1 does not occur" in failures["reason"][1]
    assert set(pd.read_csv(tmp_path / "predictions.csv")["video"]) == {"clinic/two.mp4"}


def test_ctrl_c_leaves_what_is_done_readable(run: Path, store: Path, tmp_path: Path) -> None:
    videos = ["alone.mp4", "clinic/two.mp4", "empty.mp4"]
    with pytest.raises(KeyboardInterrupt), Outputs(tmp_path, CPU) as outputs:
        for event in predict(videos, run, tmp_path, store, options=CPU):
            outputs.add(event)
            if isinstance(event, ClipsScored) and event.video == "clinic/two.mp4":
                raise KeyboardInterrupt
    for rows in (pd.read_csv(tmp_path / "predictions.csv"), pd.read_parquet(tmp_path / "predictions.parquet")):
        assert set(rows["video"]) == {"alone.mp4", "clinic/two.mp4"}
    summary = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    assert not summary["complete"] and [item["video"] for item in summary["videos"]] == ["alone.mp4"]
    page = (tmp_path / "viewer.html").read_text("utf-8")
    assert 'data-name="alone.mp4"' in page and page.rstrip().endswith("</html>")
    assert not list(tmp_path.glob(".*"))


def test_rows_are_on_disk_block_by_block(
    made_run: Callable[..., Path], store: Path, store_person: Callable[[Store, str, int], None], tmp_path: Path
) -> None:
    recipe = open_store(store).recipe
    for name in ("first", "second"):
        made_run(tmp_path / "runs" / name, recipe, 12, folds=1)
    store_person(create_store(tmp_path / "features", recipe), "long.mp4", 1200)
    options = PredictOptions(device="cpu", stride=1)
    written = []
    with Outputs(tmp_path / "out", options) as outputs:
        for event in predict(["long.mp4"], tmp_path / "runs", tmp_path / "out", tmp_path / "features", options=options):
            outputs.add(event)
            if isinstance(event, ClipsScored):
                written.append((event.clips, event.of, len(pd.read_csv(tmp_path / "out" / "predictions.csv"))))
    assert written == [(clips, 1197, clips) for clips in (512, 1024, 1197)]


def test_an_output_that_cannot_be_written_fails_its_video_alone(run: Path, store: Path, tmp_path: Path) -> None:
    (tmp_path / "plots" / "alone.mp4.png").mkdir(parents=True)
    summary = write_predictions(["alone.mp4", "empty.mp4"], run, tmp_path, store, options=CPU)
    assert [(result.video, result.status) for result in summary.results] == [
        ("alone.mp4", "failed"), ("empty.mp4", "done")
    ]  # fmt: skip
    assert "is a directory" in summary.failed[0].reason.lower()
    assert pd.read_csv(tmp_path / "failures.csv")["video"].tolist() == ["alone.mp4"] and summary.complete


def test_an_overlay_of_features_alone_fails_and_is_listed(run: Path, store: Path, tmp_path: Path) -> None:
    options = PredictOptions(device="cpu", overlay=tmp_path / "scores.mp4")
    summary = write_predictions(["alone.mp4"], run, tmp_path / "out", store, options=options)
    assert [result.video for result in summary.failed] == ["alone.mp4"]
    assert "--overlay needs the recording of alone.mp4" in pd.read_csv(tmp_path / "out" / "failures.csv")["reason"][0]
    assert not (tmp_path / "scores.mp4").exists()


def test_an_output_is_added_by_a_class_and_a_line(
    run: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Names(Output):
        def add_video(self, prediction: VideoPrediction) -> None:
            with (self.folder / "names.txt").open("a") as file:
                file.write(f"{prediction.video}\n")

    monkeypatch.setitem(OUTPUTS, "names", Names)
    options = PredictOptions(device="cpu", exports=("names",))
    write_predictions(["alone.mp4", "empty.mp4"], run, tmp_path / "out", store, options=options)
    assert (tmp_path / "out" / "names.txt").read_text() == "alone.mp4\nempty.mp4\n"
    with pytest.raises(InputError, match=r"--export srt is not known; expected one of tables, .* names"):
        Outputs(tmp_path / "out", PredictOptions(exports=("srt",)))


def test_a_refused_call_leaves_older_results_alone(run: Path, store: Path, tmp_path: Path) -> None:
    write_predictions(["alone.mp4"], run, tmp_path, store, options=CPU)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for options in (PredictOptions(device="cpu", subject="nobody"), PredictOptions(device="cpu", stride=0)):
        with pytest.raises(InputError):
            write_predictions(["alone.mp4"], run, tmp_path, store, options=options)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_another_videos_scores_are_not_lost_to_a_second_call(run: Path, store: Path, tmp_path: Path) -> None:
    write_predictions(["alone.mp4"], run, tmp_path, store, options=CPU)
    with pytest.raises(InputError, match="1 other videos"):
        write_predictions(["empty.mp4"], run, tmp_path, store, options=CPU)
    summary = write_predictions(["alone.mp4", "empty.mp4"], run, tmp_path, store, options=CPU)
    assert len(summary.results) == 2


def test_names_are_nowhere_once_they_are_replaced(run: Path, store: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("0123456789abcdef0123456789abcdef")
    key.chmod(0o600)
    options = PredictOptions(device="cpu", key_file=key, exports=("eaf", "vtt"))
    for folder in ("first", "second"):
        write_predictions(["clinic/two.mp4", "alone.mp4"], run, tmp_path / folder, store, options=options)
    files = [path for path in (tmp_path / "first").rglob("*") if path.is_file()]
    assert len(files) > 8
    for path in files:
        assert "two" not in path.name and "alone" not in path.name
        content = path.read_bytes()
        for name in (b"two.mp4", b"clinic/", b"alone.mp4"):
            assert name not in content or path.suffix == ".png", f"{name!r} in {path}"
    names = [pd.read_csv(tmp_path / folder / "video.csv")["video"].tolist() for folder in ("first", "second")]
    assert names[0] == names[1] and all(name.startswith("v-") for name in names[0])
    key.write_text("another key, just as long as that")
    write_predictions(["alone.mp4"], run, tmp_path / "third", store, options=options)
    assert pd.read_csv(tmp_path / "third" / "video.csv")["video"][0] not in names[0]


def test_a_missing_or_short_key_is_refused_before_anything_is_written(run: Path, store: Path, tmp_path: Path) -> None:
    (tmp_path / "short").write_text("secret")
    (tmp_path / "short").chmod(0o600)
    for name, words in (("short", "holds 6 bytes"), ("none", "cannot be read")):
        options = PredictOptions(device="cpu", key_file=tmp_path / name)
        with pytest.raises(InputError, match=words):
            write_predictions(["alone.mp4"], run, tmp_path / "out", store, options=options)
    assert not (tmp_path / "out").exists()


def _other_recipe(run: Path, folder: Path) -> tuple[Path, str]:
    create_store(folder / "other", Recipe({"backbone": "another", "precision": "fp32"}))
    return run, "backbone"


def _flip_a_byte(run: Path, folder: Path) -> tuple[Path, str]:
    data = bytearray((run / "folds" / "1" / "model.safetensors").read_bytes())
    data[-9] ^= 0x40
    (run / "folds" / "1" / "model.safetensors").write_bytes(data)
    return run, "damaged"


def _pickle(run: Path, folder: Path) -> tuple[Path, str]:
    import torch

    torch.save({"weight": torch.zeros(3)}, run / "folds" / "0" / "model.safetensors")
    return run, "pickle"


def _no_fold(run: Path, folder: Path) -> tuple[Path, str]:
    shutil.rmtree(run / "folds")
    (run / "folds").mkdir()
    return run, "no finished fold"


def _no_run(run: Path, folder: Path) -> tuple[Path, str]:
    return folder / "nothing", "is no folder"


@pytest.mark.parametrize("spoil", [_other_recipe, _flip_a_byte, _pickle, _no_fold, _no_run])
def test_a_run_that_does_not_fit_is_refused_clearly(
    spoil: Callable[[Path, Path], tuple[Path, str]], run: Path, store: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    where, words = spoil(copy, tmp_path)
    asked = tmp_path / "other" if (tmp_path / "other").exists() else store
    if asked != store:
        (tmp_path / "alone.mp4").write_bytes(b"")
    videos = ["alone.mp4"] if asked == store else [str(tmp_path / "alone.mp4")]
    with pytest.raises(RunError, match=words) as caught:
        write_predictions(videos, where, tmp_path / "out", asked, options=CPU)
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_prediction_says_which_stream_of_the_recording_its_features_are_of(
    made_run: Callable[..., Path], tmp_path: Path
) -> None:
    for stream in ("auto", 1):
        recipe = Recipe({"backbone": "made", "precision": "fp32"} | ({} if stream == "auto" else {"stream": stream}))
        store = create_store(tmp_path / f"{stream}", recipe)
        store_features(store, "alone.mp4", made_features(np.ones((1, 20), bool), 12))
        run = made_run(tmp_path / f"run-{stream}", recipe, 12)
        events = predict(["alone.mp4"], run, tmp_path / "out", str(tmp_path / f"{stream}"), options=CPU)
        made = [event for event in events if isinstance(event, VideoPrediction)]
        assert [prediction.stream for prediction in made] == [stream]
