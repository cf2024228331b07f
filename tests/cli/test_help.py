"""Help is there for every command, has an example, and loads nothing heavy."""

import inspect

import click
import pytest
from click.testing import CliRunner

from affect.cli import main
from affect.tests.light import assert_light

COMMANDS = sorted(main.commands)


def test_the_commands_are_those_of_the_documentation() -> None:
    assert sorted(
        ["check-backbone", "check-videos", "demo", "describe-faces", "edit-cache", "export-features",
         "extract-features", "import-checkpoint", "import-features", "info", "inspect-cache", "predict",
         "prepare-labels", "report",
         "settings", "train-temporal"]
    ) == COMMANDS  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Example: affect" in result.output or "affect " + name in result.output.split("Options:")[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does_or_has_choices(name: str) -> None:
    for option in main.commands[name].params:
        if isinstance(option, click.Option):
            assert option.help or isinstance(option.type, click.Choice), f"{name} {option.name}"


def test_help_loads_no_torch() -> None:
    assert_light(["--help"], *([name, "--help"] for name in main.commands))


def test_a_wrong_option_exits_with_2() -> None:
    result = CliRunner().invoke(main, ["extract-features", "--no-such-option"])
    assert result.exit_code == 2


def test_an_unknown_setting_names_the_nearest_one() -> None:
    result = CliRunner().invoke(main, ["extract-features", "x.mp4", "--store", "s", "--set", "features.bakbone=x"])
    assert result.exit_code == 2
    assert "did you mean backbone?" in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_takes_each_option_that_it_offers_and_no_other(name: str) -> None:
    command = main.commands[name]
    assert command.callback is not None
    taken = set(inspect.signature(command.callback).parameters)
    assert {option.name for option in command.params if option.expose_value} == taken


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_more_or_less_and_keeps_a_log(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert all(f"  {option} " in result.output for option in ("--verbose", "--quiet", "--log"))


def test_a_new_command_has_them_by_itself() -> None:
    @main.command("new")
    def new() -> None:
        """New."""

    del main.commands["new"]
    assert {"verbose", "quiet", "log"} <= {option.name for option in new.params}
