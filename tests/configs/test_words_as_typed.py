"""Words of settings stay as they are typed, whatever YAML would make of them."""

from pathlib import Path

import pytest

from affect.configs.load import load_config
from affect.errors import ConfigError


@pytest.mark.parametrize("name", ["010", "007", "1_000", "1:30", "0x1F", "1e3", "no", "on", "2026-05-01", "1.50"])
def test_a_persons_name_is_what_was_typed(name: str, tmp_path: Path) -> None:
    for word in (name, f"[{name}]", f"[p1, {name}]"):
        found = load_config(None, [f"evaluation.test_subjects={word}"]).evaluation.test_subjects
        assert found[-1] == name and type(found[-1]) is str
    file = tmp_path / "own.yaml"
    file.write_text(f"evaluation: {{test_subjects: [{name}]}}\nlabels: {{ranges: {{{name}: [0, 1]}}}}\n")
    config = load_config(str(file))
    assert config.evaluation.test_subjects == (name,) and dict(config.labels.ranges) == {name: (0.0, 1.0)}


def test_numbers_and_switches_are_read_as_before() -> None:
    words = ["training.epochs=010", "training.learning_rate=1e-3", "training.standardise=no", "clips.context=2"]
    config = load_config(None, words)
    assert config.training.epochs == 8 and type(config.training.epochs) is int
    assert config.training.learning_rate == 1e-3 and config.training.standardise is False
    assert load_config(None, ["training.standardise=on"]).training.standardise is True
    with pytest.raises(ConfigError, match=r"training\.epochs is 'on'; expected a whole number"):
        load_config(None, ["training.epochs=on"])
