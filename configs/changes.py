"""What a prediction may decide for itself, as neither features nor models depend on it."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from ..errors import ConfigError, shown
from .load import load_config
from .subject import Subject

CHANGEABLE = {  # setting -> the option of `predict` that it is
    "clips.hop": "stride",
    "clips.subject": "subject",
    "clips.min_valid": "min_valid",
    "evaluation.method": "method",
}


def choices(words: Iterable[str], **said: Any) -> dict[str, Any]:
    """Option of `predict` -> value, as `a.b=c` words and the options themselves say it; None: as the run was trained.

    said: what the options of the call say. Errors: ConfigError for a setting that a run's models or their features
    depend on, for two answers to one question, and as `load_config`.
    """
    chosen = dict.fromkeys(CHANGEABLE.values()) | said
    for key, value in map(_change, words):
        option = CHANGEABLE[key]
        if said.get(option) not in (None, value):
            raise ConfigError(
                f"--{option} {shown(said[option])} and --set {key}={shown(value)} are two answers",
                hint="type one of them",
            )
        chosen[option] = value
    return chosen


def _change(word: str) -> tuple[str, Any]:
    key, separator, text = word.partition("=")
    if key == "clips.subject" and separator:  # here it may be all, which no run can learn from
        return key, str(Subject.parse(text))
    config = load_config(None, [word])
    if key not in CHANGEABLE:
        raise _decided(key)
    return key, attrgetter(key)(config)


def _decided(key: str) -> ConfigError:
    """That a run has decided this setting, and how to have another."""
    if key.startswith("features."):
        what = "the features of the run were made with it"
        how = f"affect extract-features ... --store NEW_STORE --set {key}=VALUE, then train-temporal on that store"
    else:
        what, how = (
            "the models of the run were trained with it",
            f"affect train-temporal ... --run NEW_RUN --set {key}=VALUE",
        )
    return ConfigError(
        f"{key} cannot be set for a prediction: {what}; expected one of {', '.join(CHANGEABLE)}", hint=how
    )
