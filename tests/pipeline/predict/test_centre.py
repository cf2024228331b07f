"""`clips.centre=person` from the label table to the scores: training, prediction and ridge see the same features."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import yaml

import affect
from affect.cache.manifest import Manifest, write_manifest
from affect.cache.opening import create_store, open_store
from affect.cache.records import Array, FrameFeatures, Recipe, Target
from affect.configs.load import load_config
from affect.configs.schema import Config, Method
from affect.errors import ConfigError, RunError
from affect.pipeline.events import summary_of
from affect.pipeline.predict.inputs import PredictOptions
from affect.pipeline.runs.folder import load_run
from affect.pipeline.train.train import TrainingSummary, train
from affect.pipeline.train.training_set import LEVELS_LOST, build_training_set
from affect.stages.temporal.ridge import fit_ridge
from affect.tests.predictions import predicted_video, write_predictions

from .conftest import made_features, store_features

METHODS: tuple[Method, ...] = get_args(Method)
PEOPLE, SPANS, SPAN_FRAMES, FRAMES, SIZE, FPS = 6, 8, 20, 160, 12, 3.125
WORDS = (
    "model.width=16", "model.heads=2", "model.layers=1", "model.feed_forward=32", "clips.context=1", "clips.length=10",
    "training.learning_rate=3e-3", "training.epochs=3", "training.seeds=2", "evaluation.test_subjects=[p0]",
)  # fmt: skip
SHIFT = np.array([3, -2, 5, 1, -4, 2, 6, -3, 4, -5, 2, -1])
RECIPE = Recipe({"backbone": "made", "precision": "fp32", "view": "plain"})


def recording(person: int, affect: Array, shift: Array | int = 0) -> FrameFeatures:
    """128 of 160 frames show the person: its own level, what it feels in each span, and noise.

    All numbers are whole 32nds, and 128 is a power of two: in float16 nothing of a shift is rounded away.
    """
    draw = np.random.default_rng([3, person])
    seen = np.zeros((1, FRAMES), bool)
    seen[0, draw.permutation(FRAMES)[:128]] = True
    video = made_features(seen, SIZE, seed=person, fps=FPS)
    towards, level = np.random.default_rng(9).normal(size=SIZE), draw.integers(-4, 5, SIZE)
    values = video.values.astype(np.float64) * 0.3 + affect[video.frame // SPAN_FRAMES, None] * towards
    return replace(video, values=(np.round(values * 32) / 32 + level + shift).astype(np.float16))


def affect_of(person: int) -> Array:
    return np.random.default_rng([4, person]).uniform(-0.9, 0.9, SPANS)


def write_store(folder: Path, shift: Array | int = 0, recipe: Recipe = RECIPE) -> Path:
    store = create_store(folder, recipe)
    for person in range(PEOPLE):
        store_features(store, f"p{person}.mp4", recording(person, affect_of(person), shift))
    return folder


def write_labels(
    path: Path, spans: Sequence[int] = (SPANS,) * PEOPLE, unlabelled: Sequence[int] = (0,) * PEOPLE
) -> Path:
    """The first spans of each recording, so many with a label and then so many without."""
    rows = [
        (person, span, affect_of(person)[span] if span < spans[person] else np.nan)
        for person in range(PEOPLE)
        for span in range(spans[person] + unlabelled[person])
    ]
    person, span, label = (np.array(column) for column in zip(*rows, strict=True))
    seconds = SPAN_FRAMES / FPS
    manifest = Manifest(
        videos=[f"p{one}.mp4" for one in person], subjects=[f"p{one}" for one in person], start_s=span * seconds,
        end_s=(span + 1) * seconds, splits=None, targets=(Target("valence", -1.0, 1.0),),
        labels=label[:, None], path=path,
    )  # fmt: skip
    write_manifest(manifest, path)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `labels.csv`, `store`, and `shifted`: the same features, all with the same vector added."""
    folder = tmp_path_factory.mktemp("made")
    write_store(folder / "store")
    write_store(folder / "shifted", SHIFT)
    write_labels(folder / "labels.csv")
    return folder


def settings(centre: str, *words: str) -> Config:
    return load_config(None, [*WORDS, f"clips.centre={centre}", *words])


def trained(made: Path, run: Path, centre: str) -> TrainingSummary:
    events = train(str(made / "store"), made / "labels.csv", run, settings(centre), device="cpu")
    return summary_of(events, TrainingSummary)


@pytest.fixture(scope="module")
def runs(made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrainingSummary]:
    """A run on features less each person's mean (`person`), and one on features as they are (`none`)."""
    folder = tmp_path_factory.mktemp("runs")
    return {centre: trained(made, folder / centre, centre) for centre in ("person", "none")}


def scores(run: Path, store: Path, method: Method, video: str = "p0.mp4") -> Array:
    """(C, 1) of the clips, in order."""
    return predicted_video(video, run, store, method).persons[0].clips.mean


@pytest.mark.parametrize("method", METHODS)
def test_a_recording_whose_features_are_all_shifted_has_the_same_scores_and_without_it_others(
    runs: dict[str, TrainingSummary], made: Path, method: Method
) -> None:
    both = {
        centre: [scores(summary.run, made / store, method) for store in ("store", "shifted")]
        for centre, summary in runs.items()
    }
    np.testing.assert_array_equal(both["person"][0], both["person"][1])
    assert np.nanmax(np.abs(both["none"][0] - both["none"][1])) > 0.05
    assert np.isfinite(both["person"][0]).sum() == 16 and np.nanstd(both["person"][0]) > 0.05


@pytest.mark.parametrize("centre", ["person", "none"])
def test_prediction_sees_what_the_held_out_clips_of_training_were(
    runs: dict[str, TrainingSummary], made: Path, centre: str
) -> None:
    run = runs[centre].run
    table = pd.read_csv(run / "folds" / "00" / "predictions.csv")
    assert set(table["subject"]) == {"p0"} and len(table) == 16
    for method in METHODS:
        column = "valence" if method == "model" else f"valence_{method}"
        rows = affect.predict("p0.mp4", run=run, store=made / "store", method=method, device="cpu")
        both = table.merge(rows, on="start_s", suffixes=("", "_new"))
        assert len(both) == 16
        np.testing.assert_allclose(both[column], both["valence_new"], atol=2e-6)


def test_ridge_regression_is_fitted_on_the_mean_of_each_span_less_that_of_the_recording(
    runs: dict[str, TrainingSummary], made: Path
) -> None:
    features, labels, people = [], [], []
    for person in range(1, PEOPLE):  # the test person has no part in it; the validation people train too
        video = open_store(str(made / "store")).read(f"p{person}.mp4")
        values = (video.values.astype(np.float32) - video.values.astype(np.float64).mean(0).astype(np.float32)).astype(
            np.float16
        )
        for span in range(SPANS):
            features.append(values[video.frame // SPAN_FRAMES == span].astype(np.float64).mean(0))
            labels.append([affect_of(person)[span]])
            people.append(f"p{person}")
    ridge = fit_ridge(np.array(features, np.float32), np.array(labels), people)
    record = json.loads((runs["person"].run / "folds" / "00" / "fold.json").read_text("utf-8"))
    assert record["ridge"]["alpha"] == ridge.alpha
    assert record["ridge"]["left_out_ccc"] == pytest.approx(ridge.left_out_ccc, abs=1e-5)
    (model,) = load_run(runs["person"].run).models
    assert model.ridge is not None
    np.testing.assert_allclose(model.ridge.weight.numpy(), ridge.weight, atol=1e-4)


def test_it_is_in_the_card_and_the_configuration_with_a_warning_of_what_is_lost(
    runs: dict[str, TrainingSummary],
) -> None:
    for centre, summary in runs.items():
        run = load_run(summary.run)
        assert run.card.clips.centre == run.config.clips.centre == centre
        record = json.loads((summary.run / "folds" / "00" / "fold.json").read_text("utf-8"))
        assert record["clips"]["centre"] == centre
        assert yaml.safe_load((summary.run / "config.yaml").read_text("utf-8"))["clips"]["centre"] == centre
        for said in (summary.warnings, record["warnings"], run.card.training["warnings"]):
            assert (LEVELS_LOST in said) is (centre == "person")


def test_predict_needs_not_be_told(runs: dict[str, TrainingSummary], made: Path, tmp_path: Path) -> None:
    tables = []
    for store in ("store", "shifted"):
        output = tmp_path / store
        write_predictions(["p0.mp4", "p3.mp4"], runs["person"].run, output, made / store, PredictOptions(device="cpu"))
        tables.append((output / "predictions.csv").read_bytes())
    assert tables[0] == tables[1]


def test_two_people_in_one_recording_each_lose_their_own_mean(runs: dict[str, TrainingSummary], tmp_path: Path) -> None:
    def together(shift: int) -> FrameFeatures:
        """Two people side by side, of whom the second is shifted."""
        one, two = recording(0, affect_of(0)), recording(1, affect_of(1), shift)
        two = replace(two, track=np.ones_like(two.track), box_px=two.box_px + 100)
        order = np.lexsort((np.repeat([0, 1], 128), np.concatenate([one.frame, two.frame])))
        names = ("values", "frame", "track", "box_px", "score", "landmarks_px")
        rows = {name: np.concatenate([getattr(one, name), getattr(two, name)])[order] for name in names}
        return replace(one, status=np.minimum(one.status, two.status), **rows)

    store = create_store(tmp_path / "store", RECIPE)
    for name, shift in (("near.mp4", 0), ("far.mp4", 7)):
        store_features(store, name, together(shift))
    for centre, summary in runs.items():
        near, far = (
            affect.predict(video, run=summary.run, store=tmp_path / "store", subject="all", device="cpu")
            for video in ("near.mp4", "far.mp4")
        )
        assert set(near["track"]) == {0, 1}
        for track in (0, 1):
            one, other = (rows.loc[rows["track"] == track, "valence"].to_numpy() for rows in (near, far))
            if centre == "person" or track == 0:
                np.testing.assert_array_equal(one, other)
            else:
                assert np.nanmax(np.abs(one - other)) > 0.1
    alone = store_of(tmp_path / "alone", recording(1, affect_of(1)))
    of_one = affect.predict("alone.mp4", run=runs["person"].run, store=alone, device="cpu")
    both = affect.predict("far.mp4", run=runs["person"].run, store=tmp_path / "store", subject="track:1", device="cpu")
    np.testing.assert_array_equal(of_one["valence"], both["valence"])


def store_of(folder: Path, video: FrameFeatures) -> Path:
    store_features(create_store(folder, RECIPE), "alone.mp4", video)
    return folder


def test_a_mirrored_store_loses_its_own_means(made: Path, tmp_path: Path) -> None:
    flipped = Recipe({**RECIPE.fields, "view": "hflip"})
    mirrored = str(write_store(tmp_path / "mirrored", 2 * SHIFT, flipped))
    data = build_training_set(str(made / "store"), made / "labels.csv", settings("person"), "cpu", mirrored)
    assert data.mirrored is not None
    keys = data.clips.keys(np.arange(len(data.clips)))[0][:, data.clips.context]
    one, other = data.clips.gather(keys)[0], data.mirrored.gather(keys)[0]
    np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert float(one.abs().max()) < 4


def test_runs_with_it_and_without_it_are_not_one(runs: dict[str, TrainingSummary], made: Path) -> None:
    folder = runs["person"].run.parent
    with pytest.raises(RunError, match=r"differ in clips: .*centre='.*centre='") as caught:
        affect.predict("p0.mp4", run=folder, store=made / "store", device="cpu")
    assert caught.value.hint == "only runs of the same targets, clips and faces can be one"


@pytest.mark.parametrize(("spans", "unlabelled"), [
    ((1,) * PEOPLE, (0,) * PEOPLE),
    ((8, 8, 1, 1, 1, 1), (0,) * PEOPLE),
    ((8, 8, 1, 1, 1, 1), (0, 0, 5, 5, 5, 5)),  # more spans, without a label
])  # fmt: skip
def test_it_is_refused_where_most_recordings_have_one_labelled_span(
    made: Path, tmp_path: Path, spans: tuple[int, ...], unlabelled: tuple[int, ...]
) -> None:
    labels, run = write_labels(tmp_path / "labels.csv", spans, unlabelled), tmp_path / "run"
    single = sum(count == 1 for count in spans)
    words = f"clips.centre is 'person', and {single} of 6 recordings have one labelled span: what differs between"
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        list(train(str(made / "store"), labels, run, settings("person"), device="cpu"))
    assert f"'p{PEOPLE - single}.mp4'" in caught.value.message, "one of them is named"
    assert caught.value.hint == "--set clips.centre=none" and not run.exists()
    build_training_set(str(made / "store"), labels, settings("none"), "cpu")


def test_half_of_them_may_have_one_span_as_some_levels_remain(made: Path, tmp_path: Path) -> None:
    labels = write_labels(tmp_path / "labels.csv", (8, 8, 8, 1, 1, 1), (0,) * PEOPLE)
    data = build_training_set(str(made / "store"), labels, settings("person"), "cpu")
    assert LEVELS_LOST in data.warnings


@pytest.mark.parametrize("word", ["people", "video", "null", "true"])
def test_another_word_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match=r"clips\.centre is .*; expected 'none' or 'person'"):
        load_config(None, [f"clips.centre={word}"])
