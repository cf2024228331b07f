import pytest

from affect.configs.load import load_config
from affect.configs.schema import FeaturesConfig
from affect.configs.taps import POOLED_TAP, Tap, parse_taps, spell_taps
from affect.errors import ConfigError


@pytest.mark.parametrize(
    ("word", "taps", "spelled"),
    [
        ("blocks.4:4,blocks.5:2", (Tap("blocks.4", 4), Tap("blocks.5", 2)), "blocks.4:4,blocks.5:2"),
        (" blocks.5 , pooled", (Tap("blocks.5", 1), POOLED_TAP), "blocks.5:1,pooled"),
        ("pooled", (POOLED_TAP,), "pooled"),
        ("pooled:1", (Tap("pooled", 1),), "pooled:1"),  # a layer of that name
        ("a:1,a:16", (Tap("a", 1), Tap("a", 16)), "a:1,a:16"),
        ("StatefulCall/out:0:1", (Tap("StatefulCall/out:0", 1),), "StatefulCall/out:0:1"),
    ],
)
def test_a_word_of_taps_is_read_and_spelled_in_one_way(word: str, taps: tuple[Tap, ...], spelled: str) -> None:
    assert parse_taps(word) == taps
    assert spell_taps(taps) == spelled
    assert parse_taps(spelled) == taps


@pytest.mark.parametrize(
    "word",
    ["", ",", "a,", "a:0", "a:17", "a:016", ":2", "a:2,a:2", "a,a:1", "pooled,pooled", "auto,a", "auto:2",
     ",".join(f"a{number}" for number in range(65)), "a" * 5000],
)  # fmt: skip
def test_other_words_are_refused_by_the_settings(word: str) -> None:
    with pytest.raises(ConfigError, match=r"features\.taps") as caught:
        FeaturesConfig(taps=word)
    assert len(caught.value.message) < 500


def test_taps_are_typed_as_any_setting() -> None:
    assert load_config(None, ["features.taps=blocks.4:4,blocks.5:2"]).features.taps == "blocks.4:4,blocks.5:2"
    for word in ("7", "1:4"):  # layers of nn.Sequential
        assert load_config(None, [f"features.taps={word}"]).features.taps == word
    assert load_config().features.taps == "auto"
