"""Ids of entries: whatever a recording is called, its id is one, and no id is longer than a store can list."""

import pytest

from affect.cache.edit import plan_edit
from affect.cache.ids import LONGEST_COMPONENT, LONGEST_ID, entry_id, is_id
from affect.cache.opening import create_store
from affect.cache.records import FrameFeatures, Recipe, VideoInfo
from affect.errors import InputError


@pytest.mark.parametrize("letters", ["a", "я", "aя", "\U0001f600", "~", ".", "%", " .zarr"])
def test_what_a_recording_is_called_makes_an_id_however_long_it_is(letters: str) -> None:
    for before in ("", "b", "bc", "day/"):
        for count in (1, 24, 25, 26, 40, 66, 67, 68, 150, 199, 200, 201, 400):
            for name in (before + letters * count, "/".join([before + letters * 30] * count)):
                made = entry_id(name)
                assert is_id(made), made
                assert len(made) < LONGEST_ID and max(map(len, made.split("/"))) <= LONGEST_COMPONENT


def test_an_id_at_the_limit_is_renamed_to_and_one_beyond_is_told_which_can_be(tmp_path: object) -> None:
    store = create_store(f"{tmp_path}/store", Recipe({"backbone": "made"}))
    with store.writer("a", "a") as writer:
        writer.append(FrameFeatures.empty(2), b"")
        writer.commit(VideoInfo(store.recipe.digest, "a", 1, 1, None, 0, None, 5.0, 9, 9, 0, "made"))
    folders = "/".join(["x" * 199] * 3)
    for beyond in (f"{folders}/{'y' * 100}", "z" * 201):
        with pytest.raises(InputError, match="expected at most 699 characters, 200 of them") as caught:
            plan_edit(store.location, "rename", ["a", beyond])
        assert caught.value.hint == f"'{entry_id(beyond)}' can" and is_id(entry_id(beyond))
    longest = f"{folders}/{'y' * 99}"
    for change in plan_edit(store.location, "rename", ["a", longest]):
        change.make()
    assert store.ids() == [longest] and store.verify(longest) == []
