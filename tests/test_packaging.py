"""The repository's root is the package: what pyproject.toml lists is what is there."""

import ast
import re
import sys
import tomllib
from importlib import metadata, resources
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FOLDERS = ("pipeline", "stages", "cache", "configs")


def test_every_package_folder_is_listed_and_every_listed_one_exists() -> None:
    found = {"affect"} | {
        ".".join(["affect", *path.parent.relative_to(ROOT).parts])
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found


def test_every_file_that_is_not_python_ships() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_dir() or path.suffix in {".py", ".pyc"}:
                continue
            home = next(parent for parent in path.parents if (parent / "__init__.py").exists())
            package = ".".join(["affect", *home.relative_to(ROOT).parts])
            assert any(path.relative_to(home).match(pattern) for pattern in patterns.get(package, [])), path


def test_presets_are_found_through_the_installed_package() -> None:
    names = {item.name for item in (resources.files("affect.configs") / "presets").iterdir()}
    assert "paper.yaml" in names


def test_only_the_named_modules_lie_in_the_root() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} == {"__init__", "__main__", "cli", "errors"}


def test_environment_yml_pins_nothing_that_pyproject_says() -> None:
    text = (ROOT / "environment.yml").read_text("utf-8")
    names = {re.split(r"[<>=\[]", item)[0].strip().lower() for item in PROJECT["project"]["dependencies"]}
    said = {
        line.strip("- ").split("=")[0].strip().lower() for line in text.splitlines() if line.strip().startswith("- ")
    }
    assert not names & said
    assert text.splitlines()[-1].strip() == "- -e ."  # what runs; `make install` brings what development needs


def test_every_library_that_is_imported_is_declared() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    declared = {
        re.split(r"[<>=\[]", item)[0].lower()
        for item in [*PROJECT["project"]["dependencies"], *extras["dask"], *extras["fast"], *extras["ray"]]
    }
    homes = dict(metadata.packages_distributions()) | {"distributed": ["dask"], "google": ["onnx"]}  # which bring them
    for folder in (*FOLDERS, "."):
        for path in (ROOT / folder).glob("*.py" if folder == "." else "**/*.py"):
            for name in imported(path) - sys.stdlib_module_names:
                assert {home.lower().replace("_", "-") for home in homes.get(name, [name])} & declared, (
                    f"{path.relative_to(ROOT)}: {name}"
                )


def imported(path: Path) -> set[str]:
    """Top-level names of what a file imports from outside the package, here or there in it."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    return {name.split(".")[0] for name in names}


def test_a_page_says_why_each_dependency_is_there() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    for item in PROJECT["project"]["dependencies"]:
        name = re.split(r"[<>=\[]", item)[0]
        assert f"`{name}`" in page, name


def test_what_an_index_shows_is_the_readme_s_own_words_without_links() -> None:
    shown = ROOT / PROJECT["project"]["readme"]
    *paragraphs, last = shown.read_text("utf-8").strip().split("\n\n")
    readme = (ROOT / "README.md").read_text("utf-8").split("\n\n")
    assert [paragraph for paragraph in paragraphs if paragraph not in readme] == []
    assert "docs/" in last and not re.search(r"\]\(|<img", "\n".join([*paragraphs, last]))
