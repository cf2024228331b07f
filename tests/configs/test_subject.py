import pytest

from affect.configs.load import load_config
from affect.configs.schema import ClipsConfig
from affect.configs.subject import MAIN, Subject
from affect.errors import ConfigError, InputError


@pytest.mark.parametrize("word", ["main", "largest", "all", "track:0", "track:17"])
def test_a_subject_is_the_word_it_was_read_from(word: str) -> None:
    assert str(Subject.parse(word)) == word


def test_a_track_carries_its_number_and_the_others_none() -> None:
    assert Subject.parse("track:17") == Subject("track", 17)
    assert Subject.parse("main") == MAIN and MAIN.track is None


@pytest.mark.parametrize("word", ["", "Main", "somebody", "track", "track:", "track:-1", "track:x", "track:²", " main"])
def test_another_word_is_refused_with_what_was_expected(word: str) -> None:
    with pytest.raises(InputError, match="expected main, largest, all or track:N") as refused:
        Subject.parse(word)
    assert repr(word) in refused.value.message


@pytest.mark.parametrize("word", ["all", "everybody", "track:x"])
def test_a_run_is_of_one_person_and_the_configuration_says_so(word: str) -> None:
    with pytest.raises(ConfigError, match=r"clips\.subject is .* expected main, largest or track:N") as refused:
        load_config(None, (f"clips.subject={word}",))
    assert refused.value.hint == "--set clips.subject=VALUE"


@pytest.mark.parametrize("word", ["main", "largest", "track:3"])
def test_one_person_may_be_chosen_by_any_word_for_one(word: str) -> None:
    assert ClipsConfig(subject=word).subject == word
