"""Where in a backbone features are taken: the word that a person types, checked in one place."""

from dataclasses import dataclass

from ..errors import ConfigError, shown

AUTO = "auto"  # the backbone's own choice
# What `auto` is for efficientnet-lite0: 112 channels at 14 x 14 places and 192 at 7 x 7. docs/defaults.md says why.
LITE0_TAPS = "blocks.4:4,blocks.5:2"
POOLED = "pooled"  # what the backbone itself gives at its end
MOST_GRID = 16
MOST_TAPS = 64
MOST_CHARACTERS = 4096
EXPECTED = f"auto, or LAYER:GRID words with commas between them, GRID 1 to {MOST_GRID}, or pooled among them"


@dataclass(frozen=True, slots=True)
class Tap:
    """A layer, averaged over the cells of a grid; or the backbone's own output, `POOLED_TAP`."""

    layer: str
    grid: int  # cells along each side

    @property
    def pooled(self) -> bool:
        """Whether it is the backbone's own output."""
        return self.grid == 0

    def __str__(self) -> str:
        return POOLED if self.pooled else f"{self.layer}:{self.grid}"


POOLED_TAP = Tap(POOLED, 0)


def parse_taps(word: str) -> tuple[Tap, ...]:
    """The taps that a word such as `blocks.4:4,blocks.5:2,pooled` names, in its order. LAYER alone is LAYER:1.

    A layer that is itself called `pooled` is `pooled:1`. Errors: ConfigError for another word, also for `auto`.
    """
    parts = [part.strip() for part in word.split(",")]
    if word == AUTO or len(word) > MOST_CHARACTERS or len(parts) > MOST_TAPS:
        raise _refused(word)
    taps = tuple(POOLED_TAP if part == POOLED else _tap(part, word) for part in parts)
    if len(set(taps)) < len(taps):
        raise ConfigError(f"features.taps {shown(word)} names a tap twice", hint="--set features.taps=LAYER:GRID")
    return taps


def spell_taps(taps: tuple[Tap, ...]) -> str:
    """The word that `parse_taps` takes, spelled in one way."""
    return ",".join(map(str, taps))


def check_taps(word: str) -> None:
    """Errors: ConfigError for a word that is neither `auto` nor taps."""
    if word != AUTO:
        parse_taps(word)


def _tap(part: str, word: str) -> Tap:
    layer, separator, grid = part.rpartition(":")
    if not (separator and grid.isascii() and grid.isdigit()):
        layer, grid = part, "1"
    if not layer or layer == AUTO or len(grid) > 2 or not 1 <= int(grid) <= MOST_GRID:
        raise _refused(word)
    return Tap(layer, int(grid))


def _refused(word: str) -> ConfigError:
    return ConfigError(
        f"features.taps is {shown(word)}; expected {EXPECTED}",
        hint="affect check-backbone NAME lists the layers of a backbone and its own choice",
    )
