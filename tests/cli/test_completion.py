"""A shell completes commands, options, presets and settings: the line that docs/start.md gives works in bash."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LINE = r'eval "$(_AFFECT_COMPLETE=bash_source affect)"'
PROGRAM = "import sys\nfrom affect.cli import main\nsys.argv[0] = 'affect'\nmain(prog_name='affect')\n"


@pytest.fixture
def bash(tmp_path: Path) -> str:
    """A bash whose path has the command `affect`."""
    found = shutil.which("bash")
    if found is None:
        pytest.skip("no bash here")
    script = tmp_path / "affect"
    script.write_text(f"#!{sys.executable}\n{PROGRAM}", "utf-8")
    script.chmod(0o755)
    return found


def completed(*words: str, begun: str = "") -> list[str]:
    """What is offered after `affect WORDS` for the word that is begun."""
    typed = " ".join(["affect", *words, begun])
    environment = os.environ | {
        "_AFFECT_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) + 1)
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_the_line_of_the_page_makes_bash_complete_the_command(bash: str, tmp_path: Path) -> None:
    assert LINE in (ROOT / "docs" / "start.md").read_text("utf-8")
    script = (
        f"{LINE}\ncomplete -p affect\nCOMP_WORDS=(affect sett)\nCOMP_CWORD=1\n_affect_completion affect sett affect\n"
        'echo "offered: ${COMPREPLY[*]}"\n'
    )
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [bash, "--norc", "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert re.search(r"complete .*-F _affect_completion affect", done.stdout)
    assert "offered: settings" in done.stdout


def test_commands_and_options_are_offered() -> None:
    assert "train-temporal" in completed(begun="tr")
    assert "--overwrite" in completed("extract-features", begun="--over")


def test_settings_and_presets_are_offered_where_they_are_typed() -> None:
    assert completed("settings", begun="training.ep") == ["training.epochs"]
    assert completed("train-temporal", "--set", begun="training.ep") == ["training.epochs="]
    assert completed("train-temporal", "--config", begun="pan") == ["panss"]
