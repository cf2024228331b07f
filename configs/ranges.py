"""What a setting means and which numbers it may have: said once, beside its default, and checked when it is made."""

from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any

from ..errors import ConfigError, shown


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers a setting may have, both ends with it unless they are open. Never NaN, never infinite."""

    low: float
    high: float
    above: bool = False  # not `low` itself
    below: bool = False  # not `high` itself
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            return False
        try:
            found = float(value)
        except OverflowError:
            return False
        inside = self.low < found if self.above else self.low <= found
        return inside and (found < self.high if self.below else found <= self.high)

    def __str__(self) -> str:
        kind = "a whole number, " if self.whole else "a number, "
        return f"{kind}{'above ' if self.above else ''}{self.low:g} to {'below ' if self.below else ''}{self.high:.10g}"


def setting(default: Any, meaning: str, unit: str = "", **more: Any) -> Any:
    """A field of a dataclass with what it means, and its unit.

    The manual of the settings (`manual.py`) is made of these words, so they are written for who types them.
    """
    made = {"default_factory": default.copy} if isinstance(default, dict) else {"default": default}
    return field(**made, metadata={"meaning": meaning, "unit": unit, **more})


def number(default: Any, low: float, high: float, meaning: str, unit: str = "", **ends: bool) -> Any:
    """The same for a number from `low` to `high`. ends: `above` and `below`, as in `Range`."""
    return setting(default, meaning, unit, range=Range(low, high, **ends))


def count(default: Any, low: int, high: int, meaning: str, unit: str = "") -> Any:
    """The same for a whole number."""
    return setting(default, meaning, unit, range=Range(low, high, whole=True))


def check_ranges(section: Any, where: str) -> None:
    """Errors: ConfigError for the first number outside its range; None and words are another type's business."""
    for item in fields(section):
        span, value = item.metadata.get("range"), getattr(section, item.name)
        if span is not None and value is not None and not isinstance(value, str):
            require(value in span, f"{where}.{item.name}", value, str(span))


def require(condition: bool, key: str, value: object, expected: str) -> None:
    """Errors: ConfigError naming the setting, its value and what was expected, where the condition does not hold."""
    if not condition:
        raise ConfigError(f"{key} is {shown(value)}; expected {expected}", hint=f"--set {key}=VALUE")
