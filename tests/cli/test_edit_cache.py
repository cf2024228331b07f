"""`affect edit-cache` in words: what was done, what would be done, and what was refused."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from affect.cache.opening import open_store
from affect.cli import main
from affect.tests.generated import GeneratedData, generated_features

DATA = GeneratedData(subjects=2, videos=1, video_frames=(64, 64), feature_size=4)


def affect(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """With `s0000/v000` and `s0001/v000`; `other`, beside it, has the same and `third`."""
    for name in ("store", "other"):
        generated_features(tmp_path / name, tmp_path / f"{name}.csv", DATA)
    assert affect("edit-cache", tmp_path / "other", "rename", "s0001/v000", "third").exit_code == 0
    return tmp_path / "store"


def test_what_was_done_is_told_and_what_would_be_done_is_not_done(store: Path) -> None:
    planned = affect("edit-cache", store, "merge", store.parent / "other", "--dry-run")
    assert "copied from" in planned.stdout and "left: there already" in planned.stdout
    told = json.loads(affect("edit-cache", store, "remove", "s0000/v000", "--dry-run", "--json").stdout)
    assert told == {"store": str(store), "videos": [{"id": "s0000/v000", "would_be": "removed"}]}
    assert open_store(store).ids() == ["s0000/v000", "s0001/v000"]
    merged = json.loads(affect("edit-cache", store, "merge", store.parent / "other", "--json").stdout)
    assert [(item["id"], item["status"]) for item in merged["videos"]] == [("s0000/v000", "skipped"), ("third", "done")]
    removed = affect("edit-cache", store, "remove", "third", "s0000/v000")
    assert removed.exit_code == 0 and "third: removed" in removed.stdout
    assert open_store(store).ids() == ["s0001/v000"]


def test_one_that_is_busy_does_not_stop_the_others(store: Path) -> None:
    with open_store(store).writer("s0000/v000", "f", overwrite=True):
        result = affect("edit-cache", store, "remove", "s0000/v000", "s0001/v000")
    assert result.exit_code == 1 and "failed: s0000/v000: " in result.stderr and "is being written by" in result.stderr
    assert open_store(store).ids() == ["s0000/v000"]


@pytest.mark.parametrize("damaged", ["store", "other"])
def test_an_entry_of_both_stores_that_is_damaged_fails_alone_and_the_others_are_merged(
    damaged: str, store: Path
) -> None:
    other, head = store.parent / "other", store.parent / damaged / "s0000" / "v000.zarr" / "zarr.json"
    head.write_text('{"zzz', "utf-8")
    planned = affect("edit-cache", store, "merge", other, "--dry-run")
    assert planned.exit_code == 1 and "copied from" in planned.stdout
    assert "failed: s0000/v000: not copied: " in planned.stderr and f"{damaged}/s0000/v000" in planned.stderr
    told = affect("edit-cache", store, "merge", other, "--dry-run", "--json")
    words = {item["id"]: item["would_be"] for item in json.loads(told.stdout)["videos"]}
    assert told.exit_code == 1 and words["s0000/v000"].startswith("not copied: ") and "copied" in words["third"]
    assert open_store(store).ids() == ["s0000/v000", "s0001/v000"], "nothing is done yet"
    merged = affect("edit-cache", store, "merge", other, "--json")
    assert merged.exit_code == 1, merged.output
    assert [(item["id"], item["status"]) for item in json.loads(merged.stdout)["videos"]] == [
        ("s0000/v000", "failed"), ("third", "done"),
    ]  # fmt: skip
    assert open_store(store).verify("third") == []
    again = affect("edit-cache", store, "merge", other)
    assert again.exit_code == 1 and "failed: s0000/v000: " in again.stderr and "third: left" in again.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["remove", "night"], "holds no entry 'night'"), (["remove", "../store"], "holds no entry"),
        (["remove", "s0000"], "holds no entry 's0000'"), (["rename", "s0000/v000", "my video"], "'my%20video' can"),
        (["rename", "s0000/v000"], "rename OLD NEW"), (["rename", "s0000/v000", "s0001/v000"], "another recording"),
        (["merge", "nowhere"], "is not a store"), (["delete", "s0000/v000"], "'delete' is not one of"),
        (["remove"], "Missing argument"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_changed(words: list[str], said: str, store: Path) -> None:
    refused = affect("edit-cache", store, *words)
    assert refused.exit_code == 2 and said in refused.output, refused.output
    assert open_store(store).ids() == ["s0000/v000", "s0001/v000"]
