"""Data flows one way: cli -> pipeline -> stages -> cache -> errors, and no stage imports another."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("pipeline", "stages", "cache", "configs")
MAY_IMPORT = {
    "cli": {"pipeline", "configs", "errors"},
    "pipeline": {
        "pipeline",
        "stages.features",
        "stages.labels",
        "stages.temporal",
        "stages.views",
        "cache",
        "configs",
        "errors",
    },
    "stages.features": {"stages.features", "cache", "configs", "errors"},
    "stages.labels": {"stages.labels", "cache", "configs", "errors"},
    "stages.temporal": {"stages.temporal", "cache", "configs", "errors"},
    "stages.views": {"stages.views", "cache", "configs", "errors"},
    "cache": {"cache", "configs", "errors"},
    "configs": {"configs", "errors"},
    "errors": set(),
}
HEAVY = {"torch", "torchvision", "cv2", "av", "zarr", "h5py", "onnx", "timm", "matplotlib", "pandas", "scipy"}
SOURCES = [*sorted(path for place in PLACES for path in (ROOT / place).rglob("*.py")), ROOT / "cli.py"]


def place_of(module: str) -> str:
    """`stages.features.decode` lives in `stages.features`, `cache.store` in `cache`."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "stages" and len(parts) > 1 else parts[0]


def imported(path: Path) -> Iterator[str]:
    """Modules of this package that a file imports, as dotted names from the root."""
    package = list(path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            if node.module:
                yield ".".join([*base, node.module])
            else:
                yield from (".".join([*base, alias.name]) for alias in node.names)


def test_there_is_something_to_check() -> None:
    assert len(SOURCES) > 20


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_imports_only_what_its_room_may(path: Path) -> None:
    here = place_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    if here == "stages":  # the package file itself
        return
    for module in imported(path):
        assert place_of(module) in MAY_IMPORT[here], f"{path.relative_to(ROOT)} imports {module}"


def test_only_the_cache_knows_zarr_and_h5py() -> None:
    for path in SOURCES:
        if path.relative_to(ROOT).parts[0] == "cache":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not {name.split(".")[0] for name in names} & {"zarr", "h5py"}, path


def test_the_command_line_and_its_settings_import_nothing_heavy() -> None:
    code = f"import sys, affect.cli, affect.configs.load; print(sorted({HEAVY!r} & set(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_nothing_prints_but_the_command_line() -> None:
    for path in SOURCES:
        calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
        prints = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
        assert not prints, f"{path.relative_to(ROOT)}:{[call.lineno for call in prints]}"
