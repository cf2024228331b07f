"""Nothing of the user's is replaced, and nothing is written through a link that lay in a folder already."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from affect.cache.files import NewFile, new_folder, sweep, write_whole
from affect.cache.locks import held
from affect.cache.opening import create_store
from affect.cache.predictions import VideoPrediction
from affect.cli import main
from affect.errors import DiskError, InputError, VideoError
from affect.pipeline.events import VideoOutcome
from affect.pipeline.extract import extract
from affect.pipeline.predict.inputs import PredictOptions
from affect.pipeline.predict.outputs import Outputs
from affect.pipeline.predict.overlay import MARK, check_overlay, write_overlay
from affect.pipeline.predict.predict import predict
from affect.stages.features.video.choice import open_container
from affect.stages.views.plot import plot_person
from affect.tests.pipeline.predict.conftest import RECIPE, made_features, make_run, store_features
from affect.tests.predictions import made_person, made_prediction, write_face_video, write_predictions

CPU = PredictOptions(device="cpu", exports=("eaf", "vtt"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three models."""
    return make_run(tmp_path_factory.mktemp("runs") / "made", RECIPE, 12, folds=3)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of `one.mp4` and `two.mp4`."""
    folder = tmp_path_factory.mktemp("stored") / "features"
    made = create_store(folder, RECIPE)
    for number, name in enumerate(("one.mp4", "two.mp4")):
        store_features(made, name, made_features(np.ones((1, 40), bool), 12, seed=number))
    return folder


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_face_video(tmp_path_factory.mktemp("films") / "film.mp4", seconds=0.4)


@pytest.fixture
def output(run: Path, store: Path, tmp_path: Path) -> Path:
    """A finished output of one video."""
    write_predictions(["one.mp4"], run, tmp_path / "out", store, CPU)
    return tmp_path / "out"


def affect(*words: object) -> Result:
    """The command in this process; anything but an exit is a failure of the test."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# -- links that lie in a folder


PLANTED = [
    "summary.json.partial", ".viewer.html.partial", ".predictions.parquet.partial", "predictions.csv", "video.csv",
    "predictions.partial.csv", "video.partial.csv", "failures.csv", "failures.partial.csv", "viewer.html",
    "predictions.parquet", ".predict.lock", "plots/one.mp4.png", "annotations/one.mp4.eaf", "plots/one.mp4.png.partial",
    "annotations/one.mp4.eaf.partial", "annotations/one.mp4.vtt.partial", "predictions.json", "video.json",
    "failures.json", "bids/one_desc-affect_events.tsv", "bids/one_desc-affect_events.json",
]  # fmt: skip


def test_no_link_in_an_output_leads_a_write_elsewhere(output: Path, run: Path, store: Path, tmp_path: Path) -> None:
    for number, name in enumerate(PLANTED):
        victim = tmp_path / "victims" / str(number)
        victim.parent.mkdir(exist_ok=True)
        victim.write_text("keep")
        (output / name).parent.mkdir(exist_ok=True)
        (output / name).unlink(missing_ok=True)
        (output / name).symlink_to(victim)
    exports = [word for kind in ("eaf", "vtt", "bids") for word in ("--export", kind)]
    affect("predict", "one.mp4", "--run", run, "--store", store, "--output", output, *exports)
    (output / ".predict.lock").unlink()
    said = affect("predict", "one.mp4", "--run", run, "--store", store, "--output", output, "--export", "eaf")
    assert said.exit_code == 0, said.output
    assert {path.read_text() for path in (tmp_path / "victims").iterdir()} == {"keep"}
    assert json.loads((output / "summary.json").read_text())["complete"]
    assert len(pd.read_csv(output / "predictions.csv")) == 10 and not (output / "predictions.csv").is_symlink()


@pytest.mark.parametrize("name", ["plots", "annotations"])
def test_a_folder_that_is_a_link_is_not_written_into_and_costs_only_what_belongs_there(
    output: Path, run: Path, store: Path, tmp_path: Path, name: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.rmtree(output / name)
    (output / name).symlink_to(elsewhere)
    summary = write_predictions(["one.mp4"], run, output, store, CPU)
    assert not list(elsewhere.iterdir())
    assert "leads out of" in summary.failed[0].reason
    other = {"plots": "annotations/one.mp4.eaf", "annotations": "plots/one.mp4.png"}[name]
    assert (output / other).stat().st_size and len(pd.read_csv(output / "predictions.csv")) == 10


def test_features_go_through_no_link_that_was_not_typed(run: Path, film: Path, output: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (output / "features").symlink_to(tmp_path / "elsewhere")
    said = affect("predict", film, "one.mp4", "--run", run, "--output", output)
    assert said.exit_code == 2 and "is a link" in said.stderr and "--store" in said.stderr
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_report_and_a_resumed_run_write_through_no_link(tmp_path: Path) -> None:
    from affect.tests.pipeline.report.conftest import held_out, write_run

    run = write_run(tmp_path / "run", held_out(4, 3, 0.1), ("valence",))
    victim, elsewhere = tmp_path / "victim", tmp_path / "elsewhere"
    victim.write_text("keep")
    elsewhere.mkdir()
    (run / "report.html.partial").symlink_to(victim)
    assert affect("report", run).exit_code == 0
    (run / "report.html").unlink()
    (run / "report.html").symlink_to(victim)
    assert affect("report", run).exit_code == 2
    (run / "folds" / "01").symlink_to(elsewhere)
    with pytest.raises(DiskError, match="leads out of"):
        write_whole(run / "folds" / "01" / "model.safetensors", b"x", run)
    assert victim.read_text() == "keep" and not list(elsewhere.iterdir())


def test_a_fold_is_trained_into_no_folder_that_is_a_link(tmp_path: Path) -> None:
    store, labels, words = training(tmp_path)
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert affect("train-temporal", "--store", store, "--labels", labels, "--run", run, *words).exit_code == 0
    shutil.rmtree(run / "folds" / "01")
    (run / "folds" / "01").symlink_to(elsewhere)
    (tmp_path / "victim").write_text("keep")
    (run / "metrics.json.partial").symlink_to(tmp_path / "victim")
    said = affect("train-temporal", "--store", store, "--labels", labels, "--run", run, "--resume", *words)
    assert said.exit_code == 1 and "leads out of" in said.stderr
    assert not list(elsewhere.iterdir()) and (tmp_path / "victim").read_text() == "keep"


def test_the_failures_of_an_extraction_are_written_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("keep")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "failures.csv").symlink_to(tmp_path / "victim")
    outcome = VideoOutcome("a.mp4", "a.mp4", "failed", "no video")
    extract._write_failures(extract.ExtractionSummary(str(tmp_path / "store"), [outcome]))
    assert (tmp_path / "victim").read_text() == "keep"
    assert (tmp_path / "store" / "failures.csv").read_bytes() == b"id,path,reason\r\na.mp4,a.mp4,no video\r\n"


# -- what is the user's


@pytest.mark.parametrize("kind", ["a table", "a run", "a store", "a summary of something else", "a link"])
def test_output_takes_no_folder_of_anything_else(kind: str, run: Path, store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    if kind == "a run":
        shutil.copytree(run, folder)
        (folder / "predictions.csv").write_text("held out\n")
    elif kind == "a store":
        shutil.copytree(store, folder)
    elif kind == "a link":
        folder.mkdir()
        (folder / "predictions.csv").symlink_to(tmp_path / "nowhere")
    else:
        folder.mkdir()
        (folder / "predictions.csv").write_text("my,own\n")
        if kind == "a summary of something else":
            (folder / "summary.json").write_text('{"complete": true}')
    before = content(folder)
    said = affect("predict", "one.mp4", "--run", run, "--store", store, "--output", folder)
    assert said.exit_code == 2 and "Hint:" in said.stderr, said.output
    assert content(folder) == before


def test_output_takes_an_older_output_and_what_a_killed_call_leaves(
    output: Path, run: Path, store: Path, film: Path, tmp_path: Path
) -> None:
    summary = json.loads((output / "summary.json").read_text())
    for key in ("made_by", "missing", "warnings", "problems"):  # as it was written before
        del summary[key]
    (output / "summary.json").write_text(json.dumps(summary))
    assert not write_predictions(["one.mp4"], run, output, store, CPU).failed
    killed = tmp_path / "killed"
    create_store(killed / "features", RECIPE)
    (killed / ".affect-0123456789abcdef.partial").write_text("half")
    (killed / ".predict.lock").write_text("process 1 on nowhere")
    assert not write_predictions(["one.mp4"], run, killed, store, CPU).failed
    assert not list(killed.glob(".*"))


def test_only_ours_is_swept(tmp_path: Path) -> None:
    ours, theirs = ".affect-0123456789abcdef.partial", [".affect-mine.partial", "report.html.partial"]
    for name in (ours, *theirs):
        (tmp_path / name).write_text("x")
    (tmp_path / ".affect-00000000000000ff.partial").mkdir()
    (tmp_path / ".affect-00000000000000fe.partial").symlink_to(tmp_path / theirs[0])
    sweep(tmp_path)
    assert not (tmp_path / ours).exists()
    assert len(list(tmp_path.iterdir())) == 4


def test_beside_a_single_file_what_a_killed_call_left_goes_once_nobody_can_be_writing_it(tmp_path: Path) -> None:
    old, fresh = (tmp_path / f".affect-{number:016x}.partial.csv" for number in range(2))
    for path, days in ((old, 1.1), (fresh, 0.9)):
        path.write_text("half")
        os.utime(path, (time.time() - days * 86_400,) * 2)
    write_whole(tmp_path / "labels.csv", "x")
    assert {path.name for path in tmp_path.iterdir()} == {"labels.csv", fresh.name}


@pytest.mark.parametrize("kind", ["another recording", "a hard link", "a link", "a text", "another input"])
def test_an_overlay_replaces_nothing_but_an_older_overlay(kind: str, film: Path, tmp_path: Path) -> None:
    first, path = Path(shutil.copy(film, tmp_path / "a.mp4")), tmp_path / "other.mp4"
    if kind == "a hard link":
        os.link(first, path)
    elif kind == "a link":
        path.symlink_to(first)
    elif kind == "a text":
        path.write_text("my notes")
    else:
        shutil.copy(film, path)
    before = path.read_bytes()
    inputs = (first, path) if kind == "another input" else (first,)
    if kind == "another input":
        write_overlay(made_prediction(made_person(1), source=first), tmp_path / "older.mp4")
        before = (tmp_path / "older.mp4").read_bytes()
        (tmp_path / "older.mp4").replace(path)
    with pytest.raises(InputError) as caught:
        check_overlay(path, inputs)
    assert caught.value.hint
    with pytest.raises(InputError):
        write_overlay(made_prediction(made_person(1), source=first), path, None, inputs)
    assert path.read_bytes() == before


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov", "webm"])
def test_an_older_overlay_of_each_kind_is_known_and_replaced(ending: str, film: Path, tmp_path: Path) -> None:
    path = tmp_path / f"scores.{ending}"
    made = made_prediction(made_person(1), source=film)
    write_overlay(made, path)
    with open_container(path) as container:
        assert MARK in container.metadata.values()
    first = path.stat().st_ino
    write_overlay(made, path)
    assert path.stat().st_ino != first and [item.name for item in tmp_path.iterdir()] == [path.name]


def test_an_overlay_that_may_not_be_written_is_refused_before_anything_is_made(
    run: Path, store: Path, film: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copy(film, tmp_path / "other.mp4"))
    before = other.read_bytes()
    said = affect(
        "predict", "one.mp4", "--run", run, "--store", store, "--output", tmp_path / "out", "--overlay", other
    )
    assert said.exit_code == 2 and "is no overlay" in said.stderr
    assert other.read_bytes() == before and not (tmp_path / "out").exists()


def test_a_comparison_replaces_nothing_but_an_older_comparison(tmp_path: Path) -> None:
    from affect.tests.pipeline.report.conftest import held_out, write_run

    runs = [write_run(tmp_path / name, held_out(4, 3, error), ("valence",)) for name, error in (("a", 0.1), ("b", 0.2))]
    page, data = tmp_path / "compared.html", tmp_path / "compared.json"
    for _ in range(2):
        assert affect("report", *runs, "--output", page).exit_code == 0
    for path in (page, data):
        before = path.read_bytes()
        path.write_text("my own")
        said = affect("report", *runs, "--output", page)
        assert said.exit_code == 2 and str(path) in said.stderr and path.read_text() == "my own"
        path.write_bytes(before)
    assert affect("report", *runs, "--output", data).exit_code == 2


@pytest.mark.parametrize("name", ["labels.csv", "labels.yaml", "labels-problems.csv"])
def test_prepared_labels_replace_nothing_but_older_ones(name: str, film: Path, tmp_path: Path) -> None:
    annotations(tmp_path / "data", film)
    words = ("prepare-labels", "omg", tmp_path / "data", "--output", tmp_path / "labels.csv")
    for _ in range(2):
        made = affect(*words)
        assert made.exit_code == 0, made.output
    before = (tmp_path / name).read_bytes()
    (tmp_path / name).write_text("a,b\n1,2\n")
    rest = {key: value for key, value in content(tmp_path).items() if key != name}
    said = affect(*words)
    assert said.exit_code == 2 and "nothing was written" in said.stderr and "Hint:" in said.stderr, said.output
    assert (tmp_path / name).read_text() == "a,b\n1,2\n"
    assert {key: value for key, value in content(tmp_path).items() if key != name} == rest
    (tmp_path / name).unlink()
    (tmp_path / "victim").write_text("keep")
    (tmp_path / name).symlink_to(tmp_path / "victim")
    assert affect(*words).exit_code == 2 and (tmp_path / "victim").read_text() == "keep"
    (tmp_path / name).unlink()
    (tmp_path / name).write_bytes(before)
    assert affect(*words).exit_code == 0


def test_a_sweep_replaces_no_table_of_the_users(tmp_path: Path) -> None:
    store, labels, words = training(tmp_path)
    (tmp_path / "grid").mkdir()
    (tmp_path / "grid" / "sweep.csv").write_text("my,own\n")
    said = affect("train-temporal", "--store", store, "--labels", labels, "--run", tmp_path / "grid", *words,
                  "--set", "training.epochs=1,2")  # fmt: skip
    assert said.exit_code == 2 and (tmp_path / "grid" / "sweep.csv").read_text() == "my,own\n"


# -- two at once, and one bad item


def test_a_second_call_into_a_folder_says_who_is_writing_there(run: Path, store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with Outputs(folder, CPU) as first, closing(predict(["one.mp4"], run, folder, store, options=CPU)) as events:
        first.add(next(events))
        said = affect("predict", "one.mp4", "--run", run, "--store", store, "--output", folder)
        assert said.exit_code == 2 and f"process {os.getpid()} on" in said.stderr and "Hint:" in said.stderr
        for event in events:
            first.add(event)
    assert first.summary.complete and not list(folder.glob(".*"))
    assert affect("predict", "one.mp4", "--run", run, "--store", store, "--output", folder).exit_code == 0


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from affect.cache.locks import held\n"
        "with held(Path(sys.argv[1]), 'it'): os.kill(os.getpid(), 9)"
    )
    lock = tmp_path / ".predict.lock"
    subprocess.run([sys.executable, "-c", code, str(lock)], check=False)
    assert lock.exists()
    with held(lock, "it"), pytest.raises(InputError, match="being written"), held(lock, "it"):
        pass
    assert not lock.exists()


def test_a_picture_that_fails_costs_its_own_file(
    run: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw: Callable[..., bytes] = plot_person

    class ParseSyntaxError(Exception):
        pass

    def fail(prediction: VideoPrediction, person: Any) -> bytes:
        if prediction.video == "one.mp4":
            raise ParseSyntaxError("expected a brace")
        return draw(prediction, person)

    monkeypatch.setattr("affect.pipeline.predict.output_kinds.plot_person", fail)
    summary = write_predictions(["one.mp4", "two.mp4"], run, tmp_path, store, CPU)
    assert [item.video for item in summary.failed] == ["one.mp4"] and summary.complete
    assert "ParseSyntaxError: expected a brace" in pd.read_csv(tmp_path / "failures.csv")["reason"][0]
    assert set(pd.read_csv(tmp_path / "predictions.csv")["video"]) == {"one.mp4", "two.mp4"}
    assert (tmp_path / "annotations" / "one.mp4.eaf").exists() and (tmp_path / "plots" / "two.mp4.png").exists()


def test_a_folder_is_filled_whole_or_not_at_all(tmp_path: Path) -> None:
    with new_folder(tmp_path / "run") as partial:
        (partial / "config.yaml").write_text("x")
        assert not (tmp_path / "run").exists()
    assert (tmp_path / "run" / "config.yaml").read_text() == "x"
    with (
        pytest.raises(DiskError, match=f"no space left for {tmp_path}/second/model"),
        new_folder(tmp_path / "second") as half,
    ):
        raise DiskError(f"no space left for {half}/model")
    with pytest.raises(DiskError), new_folder(tmp_path / "run") as partial:  # what is there stays
        (partial / "config.yaml").write_text("y")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run" / "config.yaml").read_text() == "x"


def test_rows_are_added_whole_or_not_at_all(tmp_path: Path) -> None:
    import resource

    new = NewFile(tmp_path / "rows.csv")
    new.append("a,b\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(DiskError, match="no space left for"):
            new.append("1,2\n" * 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    new.append("3,4\n")
    new.place()
    assert (tmp_path / "rows.csv").read_text() == "a,b\n3,4\n"


# -- containers that name other files


def named_others(film: Path, folder: Path) -> dict[str, Path]:
    """Files that are no recording, but name one, under names that say otherwise."""
    shutil.copy(film, folder / "film.mp4")
    texts = {
        "concat.mp4": "ffconcat version 1.0\nfile film.mp4\n",
        "list.mkv": "ffconcat version 1.0\nfile 'film.mp4'\n",
        "plain.txt": "file film.mp4\n",
        "x.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{film}\n#EXT-X-ENDLIST\n",
        "hls.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfilm.mp4\n#EXT-X-ENDLIST\n",
        "x.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        "sdp.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "x.mpd": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        '<AdaptationSet><Representation id="1" bandwidth="1"><BaseURL>film.mp4</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>",
        "img%03d.png": "not a picture",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return {name: folder / name for name in texts}


def test_no_container_that_names_other_files_is_a_video(film: Path, tmp_path: Path) -> None:
    import cv2

    paths = named_others(film, tmp_path)
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"img{number:03d}.png"), np.zeros((32, 32, 3), np.uint8))
    for name, path in paths.items():
        try:
            container = open_container(path)
        except VideoError as error:
            assert str(path) in str(error) and error.hint, name
        else:
            with container:  # a picture by its name alone, of which nothing can be decoded
                assert name == "img%03d.png"
                assert not _decoded(container)
    with open_container(tmp_path / "film.mp4") as container:
        assert container.streams.video


def _decoded(container: Any) -> list[Any]:
    import av.error

    try:
        return list(container.decode(video=0))
    except av.error.FFmpegError:
        return []


def test_a_pipe_is_no_video(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(VideoError, match="is a pipe or a device"):
        open_container(tmp_path / "pipe.mp4")


# -- what a folder holds, told truly


def test_a_fold_that_is_missing_is_said_in_table_page_and_exit_code(run: Path, store: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "environment.json").write_text('{"folds": ["0", "1", "2"], "labels_sha256": "x"}')
    whole = affect("predict", "one.mp4", "--run", copy, "--store", store, "--output", tmp_path / "whole")
    assert whole.exit_code == 0, whole.output
    shutil.rmtree(copy / "folds" / "1")
    said = affect("predict", "one.mp4", "--run", copy, "--store", store, "--output", tmp_path / "out")
    words = f"2 of 3 models used: fold 1 is missing from {copy}"
    assert said.exit_code == 1 and words in said.stdout and words in said.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert words in summary["missing"][0] and summary["models"] == 2 and "not ended" in summary["missing"][0]
    assert "2 of 3 models used" in (tmp_path / "out" / "viewer.html").read_text()


def test_a_run_of_before_is_counted_against_its_metrics(run: Path, store: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "environment.json").write_text('{"labels_sha256": "x"}')
    words = ("predict", "one.mp4", "--run", copy, "--store", store, "--output", tmp_path / "out")
    said = affect(*words)
    assert said.exit_code == 1 and "training has not ended" in said.stderr
    (copy / "metrics.json").write_text('{"folds": {"done": ["0", "1", "2"], "failed": {"3": "no labels"}}}')
    said = affect(*words)
    assert said.exit_code == 0 and "no model of fold 3: its training failed" in said.stdout, said.output
    shutil.rmtree(copy / "folds" / "2")
    said = affect(*words)
    assert said.exit_code == 1 and "fold 2 is missing" in said.stderr


def test_a_model_without_its_digest_is_refused(run: Path, store: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "folds" / "1" / "fold.json").write_text("{}")
    said = affect("predict", "one.mp4", "--run", copy, "--store", store, "--output", tmp_path / "out")
    assert said.exit_code == 2 and "does not say the sha256" in said.stderr
    assert not (tmp_path / "out").exists()


def test_a_runs_files_are_read_through_no_link_and_from_no_pipe(run: Path, store: Path, tmp_path: Path) -> None:
    for name in ("folds/1/fold.json", "folds/1/model.safetensors", "config.yaml", "folds/1"):
        copy = shutil.copytree(run, tmp_path / "run")
        (copy / name).rename(tmp_path / "moved")
        (copy / name).symlink_to(tmp_path / "moved")
        said = affect("predict", "one.mp4", "--run", copy, "--store", store, "--output", tmp_path / "out")
        assert said.exit_code == 2 and "leads out of" in said.stderr, (name, said.output)
        if name != "folds/1":
            (copy / name).unlink()
            os.mkfifo(copy / name)
            said = affect("predict", "one.mp4", "--run", copy, "--store", store, "--output", tmp_path / "out")
            assert said.exit_code == 2, name
        shutil.rmtree(copy)
        shutil.rmtree(tmp_path / "moved") if (tmp_path / "moved").is_dir() else (tmp_path / "moved").unlink()


def test_a_report_shows_what_the_predictions_say_and_that_metrics_json_disagrees(tmp_path: Path) -> None:
    from affect.pipeline.report.data import read_evaluated_run
    from affect.tests.pipeline.report.conftest import held_out, write_run

    run = write_run(tmp_path / "run", held_out(5, 4, 0.3), ("valence",))
    assert read_evaluated_run(run).warnings() == []
    true = read_evaluated_run(run).metrics.spans.scores["model"]["valence"]["ccc"].value
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["spans"]["model"]["valence"]["ccc"]["value"] = 0.9987
    (run / "metrics.json").write_text(json.dumps(metrics))
    evaluated = read_evaluated_run(run)
    assert "disagrees with predictions.csv in 1 numbers, first: ccc of valence" in evaluated.warnings()[0]
    assert evaluated.metrics.spans.scores["model"]["valence"]["ccc"].value == true
    assert affect("report", run).exit_code == 0
    page = (run / "report.html").read_text()
    assert "disagrees" in page and f"{true:.3f}" in page


@pytest.mark.parametrize("text", ["[]", "{}", '{"warnings": 3}', "[" * 100_000, '{"spans": "x"', "\udcff"])
def test_metrics_of_another_format_are_an_error_of_ours(text: str, tmp_path: Path) -> None:
    from affect.tests.pipeline.report.conftest import held_out, write_run

    run = write_run(tmp_path / "run", held_out(3, 2, 0.3), ("valence",))
    (run / "metrics.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    said = affect("report", run)
    assert said.exit_code == 2 and "metrics.json" in said.stderr


def test_a_report_says_first_that_a_fold_is_missing(tmp_path: Path) -> None:
    from affect.pipeline.report.data import read_evaluated_run
    from affect.tests.pipeline.report.conftest import held_out, write_run

    run = write_run(tmp_path / "run", held_out(3, 2, 0.3), ("valence",), warnings=("people are few",))
    environment = json.loads((run / "environment.json").read_text()) | {"folds": ["00", "01"]}
    (run / "environment.json").write_text(json.dumps(environment))
    assert read_evaluated_run(run).warnings()[0].startswith("1 of 2 models are here: fold 01 is missing")
    (run / "metrics.json").unlink()
    said = affect("report", run)
    assert said.exit_code == 2 and "has not ended" in said.stderr and "--resume" in said.stderr


# -- material


def training(folder: Path) -> tuple[Path, Path, list[str]]:
    """A store, its labels, and words for a training of three folds that takes a second."""
    from affect.tests.generated import generated_features
    from affect.tests.pipeline.report.conftest import DATA
    from affect.tests.pipeline.report.conftest import SMALL as WORDS

    generated_features(folder / "store", folder / "labels.csv", DATA)
    words = [*WORDS, "training.epochs=2", "evaluation.protocol=k-fold", "evaluation.folds=3"]
    return folder / "store", folder / "labels.csv", [item for word in words for item in ("--set", word)]


def annotations(folder: Path, film: Path) -> None:
    """Annotations as the data set OMG has them: one recording is there, one is not."""
    (folder / "a1b").mkdir(parents=True)
    shutil.copy(film, folder / "a1b" / "utterance_1.mp4")
    rows = ["link,start,end,video,utterance,arousal,valence,EmotionMaxVote"]
    rows += [
        f"x,{start},{start + 2},{name},utterance_1.mp4,0.{start},0.25,4" for start, name in ((1, "a1b"), (2, "gone"))
    ]
    (folder / "omg_TrainVideos.csv").write_text("\n".join(rows) + "\n")
