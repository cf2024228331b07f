"""Opening what is no store, another store, or a store of the future: what the user is told."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from affect.cache import create_store, entry_id, open_store
from affect.cache.blobs_local import LocalFolder
from affect.cache.records import Recipe
from affect.errors import StoreError


def document(location: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((location / "store.json").read_text())
    return found


def test_a_store_says_what_it_is(tmp_path: Path, recipe: Recipe) -> None:
    create_store(tmp_path / "a" / "store", recipe, "hdf5")
    said = {"format_version": 1, "format": "hdf5", "digest": recipe.digest, "recipe": recipe.fields}
    assert said.items() <= document(tmp_path / "a" / "store").items()
    again = open_store(f"file://{tmp_path}/a/store")
    assert (again.format, again.recipe, again.ids()) == ("hdf5", recipe, [])
    assert create_store(tmp_path / "a" / "store", recipe).format == "hdf5"


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir, lambda path: (path.mkdir(), (path / "x").touch())])
def test_a_folder_without_a_store_is_no_store(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "videos")
    with pytest.raises(StoreError, match=r"videos is not a store: it has no store\.json") as caught:
        open_store(tmp_path / "videos")
    assert "affect extract-features VIDEOS --store" in str(caught.value.hint)


def test_a_folder_with_other_things_in_it_does_not_become_a_store(tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / "holiday.mp4").touch()
    with pytest.raises(StoreError, match=r"not empty: it holds 'holiday\.mp4'"):
        create_store(tmp_path, recipe)
    with pytest.raises(StoreError, match="is a file"):
        create_store(tmp_path / "holiday.mp4", recipe)


def test_every_field_that_differs_is_named(tmp_path: Path, recipe: Recipe) -> None:
    create_store(tmp_path / "store", recipe)
    fields = {"backbone": {"name": "sfew", "weights_sha256": "ab12"}, "sample_fps": 3.125, "precision": "bf16"}
    with pytest.raises(StoreError) as caught:
        create_store(tmp_path / "store", Recipe(fields))
    message = caught.value.message
    assert 'backbone.name is "lite0" there and "sfew" here' in message
    assert 'precision is null there and "bf16" here' in message
    assert 'view is "plain" there and null here' in message
    assert "sample_fps" not in message
    assert "weights" not in message
    assert "another --store" in str(caught.value.hint)


def test_another_format_and_one_that_does_not_exist_are_refused(tmp_path: Path, recipe: Recipe) -> None:
    create_store(tmp_path / "store", recipe, "zarr")
    with pytest.raises(StoreError, match="is in format zarr, not hdf5"):
        create_store(tmp_path / "store", recipe, "hdf5")
    with pytest.raises(StoreError, match="no store format 'parquet'; expected zarr or hdf5"):
        create_store(tmp_path / "new", recipe, "parquet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "has format_version 2; this version of affect reads up to 1"),
        ({"format_version": "x"}, "has format_version x"),
        ({"format": "parquet"}, "names format 'parquet'"),
        ({"recipe": {"view": "hflip"}}, "was changed: its digest is"),
        ({"digest": None}, "was changed: its digest is None"),
        ({"recipe": None}, "and a recipe"),
    ],
)
def test_a_newer_or_changed_description_is_refused(
    tmp_path: Path, recipe: Recipe, change: dict[str, Any], message: str
) -> None:
    create_store(tmp_path / "store", recipe)
    (tmp_path / "store" / "store.json").write_text(json.dumps({**document(tmp_path / "store"), **change}))
    with pytest.raises(StoreError, match=message):
        open_store(tmp_path / "store")
    with pytest.raises(StoreError, match=message):
        create_store(tmp_path / "store", recipe)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format_version": 1}'])
def test_a_description_that_is_none_is_refused(tmp_path: Path, recipe: Recipe, text: str) -> None:
    create_store(tmp_path / "store", recipe)
    (tmp_path / "store" / "store.json").write_text(text)
    with pytest.raises(StoreError, match=r"store\.json cannot be read"):
        open_store(tmp_path / "store")


def test_two_runs_that_make_one_store_at_once_agree_on_it(tmp_path: Path) -> None:
    recipes = [Recipe({"view": name}) for name in ("plain", "hflip")]
    made: list[str] = []

    def make(recipe: Recipe) -> None:
        try:
            made.append(create_store(tmp_path / "store", recipe).recipe.digest)
        except StoreError as error:
            made.append(error.message)

    threads = [threading.Thread(target=make, args=(recipes[number % 2],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    digest = open_store(tmp_path / "store").recipe.digest
    assert made.count(digest) == 4
    assert sum("made with another recipe" in line for line in made) == 4


def test_a_store_that_another_run_made_just_now_is_not_a_foreign_folder(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_store(tmp_path / "store", recipe)
    monkeypatch.setattr(LocalFolder, "exists", lambda *_: False)  # as it was a moment before
    assert create_store(tmp_path / "store", recipe).recipe == recipe


def test_folders_that_a_killed_run_left_empty_go(tmp_path: Path, recipe: Recipe) -> None:
    create_store(tmp_path / "store", recipe)
    (tmp_path / "store" / ".journal" / "visit" / "a.mp4.journal").mkdir(parents=True)
    (tmp_path / "store" / ".journal" / ".tmp-1" / "values").mkdir(parents=True)
    create_store(tmp_path / "store", recipe)
    left = {path.relative_to(tmp_path / "store").as_posix() for path in (tmp_path / "store").rglob("*")}
    assert left == {"store.json", ".journal", ".journal/.lock"}


def test_an_object_store_that_cannot_be_reached_is_an_error_with_a_hint(recipe: Recipe, s3: str) -> None:
    with pytest.raises(StoreError, match="is not a store"):
        open_store("s3://features/nothing/here")
    with pytest.raises(StoreError, match="no-such-bucket"):
        create_store("s3://no-such-bucket/x", recipe)
    with pytest.raises(StoreError, match="cannot be reached"):
        open_store("gopher://features/x")


def test_ids_are_safe_and_distinct() -> None:
    paths = [
        "a.mp4", "a/b.mp4", "../x.mp4", "%2E./x.mp4", ".hidden/x.mp4", "a b/é%03d.mp4", "a%20b", "a b", "A.mp4", "",
        "/", "a/", "a//b", "/a", "x.zarr/y", "x%2Ezarr/y", "x.h5", "é" * 100, "é" * 99 + "e", "n" * 200, "n" * 201,
        "n" * 202, "d/" * 400 + "a", "d/" * 401 + "a", "\udcff.mp4", "~", "日本語.mp4", "con\n\t\0",
    ]  # fmt: skip
    ids = [entry_id(path) for path in paths]
    assert len(set(ids)) == len(paths)
    for name in ids:
        assert len(name) <= 700
        assert all(0 < len(part) <= 200 and not part.startswith(".") for part in name.split("/"))
        assert not any(part.endswith((".zarr", ".h5", ".journal")) for part in name.split("/"))
        assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/%~")
    assert entry_id("session 1/P07.mp4") == "session%201/P07.mp4"
    assert entry_id("../x.mp4") == "%2E%2E/x.mp4"
