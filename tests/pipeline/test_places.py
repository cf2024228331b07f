"""Places that cannot be looked at or written to: each is said as what it is, and never passed over in silence."""

from collections.abc import Callable
from pathlib import Path

import pytest

from affect.cache.files import write_whole
from affect.cache.opening import create_store
from affect.cache.records import Recipe
from affect.configs.schema import Config
from affect.errors import AffectError, DiskError, StoreError
from affect.pipeline.runs.folder import RunFolder, load_run, load_runs


def unreadable(path: Path) -> Path:
    """A folder that nobody can look into, whoever runs the tests: a link that leads to itself."""
    path.symlink_to(path.name)
    return path


def test_a_fold_that_cannot_be_looked_at_is_not_taken_for_one_that_is_not_there(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", Config(), {}, resume=False)
    assert folder.finished_folds() == []
    folder.write_json("folds/1/fold.json", {})
    folder.write_json("folds/0/fold.json", {})
    folder.write_json("folds/2/log.json", {})  # begun
    assert folder.finished_folds() == ["0", "1"]
    unreadable(folder.folds / "3")
    for look in (folder.finished_folds, lambda: load_run(folder.path)):
        with pytest.raises(OSError, match="folds/3"):
            look()


def test_a_run_that_cannot_be_looked_at_is_not_left_out_of_a_folder_of_runs(tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "first", Config(), {}, resume=False)
    (tmp_path / "notes").mkdir()
    with pytest.raises(AffectError, match="first has no finished fold"):
        load_runs(tmp_path)
    unreadable(tmp_path / "second")
    with pytest.raises(OSError, match="second"):
        load_runs(tmp_path)


@pytest.mark.parametrize("below", ["file", "file/deeper"])
def test_what_is_to_lie_below_a_file_is_refused_in_these_words(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("mine")
    place = tmp_path / below / "new"
    writes: dict[type[AffectError], Callable[[], object]] = {
        DiskError: lambda: write_whole(place, "text"),
        StoreError: lambda: create_store(place, Recipe({"view": "plain"})),
    }
    for kind, write in writes.items():
        with pytest.raises(kind, match=r"a part of .* path is a file, where a folder is expected") as caught:
            write()
        assert str(place) in caught.value.message and caught.value.hint
    assert (tmp_path / "file").read_text() == "mine"
