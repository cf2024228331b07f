import pytest

from affect.configs.load import load_config, preset_names


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_a_valid_configuration(name: str) -> None:
    load_config(name)
