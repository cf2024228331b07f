"""CITATION.cff, the changelog, the package and the containers say the same."""

import datetime
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# Of the Citation File Format 1.2.0: what may stand at the top, and what must.
KEYS = {"abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi", "identifiers", "keywords",
        "license", "license-url", "message", "preferred-citation", "references", "repository", "repository-artifact",
        "repository-code", "title", "type", "url", "version"}  # fmt: skip
REQUIRED = {"authors", "cff-version", "message", "title"}
OF_PERSON = {"family-names", "given-names", "name-particle", "name-suffix", "affiliation", "orcid", "email", "alias"}
OF_GROUP = {"name", "alias", "city", "country", "email", "website"}


@pytest.fixture(scope="module")
def citation() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    return found


def test_the_citation_is_of_the_format(citation: dict[str, Any]) -> None:
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert set(citation) <= KEYS and set(citation) >= REQUIRED
    assert all(isinstance(citation[key], str) and citation[key] for key in ("message", "title", "abstract"))
    for of in (citation, *citation["references"]):
        assert of["authors"]
        for author in of["authors"]:
            assert set(author) <= (OF_GROUP if "name" in author else OF_PERSON), author
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= set(reference)


def test_it_is_of_this_version_and_licence(citation: dict[str, Any]) -> None:
    assert str(citation["version"]) == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["title"] == PROJECT["name"]
    first = re.search(r"^## (\S+) \((\d{4}-\d\d-\d\d)\)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert first, "the newest heading names a version and the day of its release"
    assert first[1] == PROJECT["version"]
    assert citation["date-released"] == datetime.date.fromisoformat(first[2])


def test_the_page_s_entries_for_latex_are_those_of_the_citation(citation: dict[str, Any]) -> None:
    software, paper = re.findall(r"^@.*?^}", (ROOT / "docs" / "faq.md").read_text("utf-8"), re.M | re.S)
    assert f"{{{citation['version']}}}" in software and f"{{{citation['date-released'].year}}}" in software
    assert citation["title"] in software and citation["authors"][0]["name"] in software
    (reference,) = citation["references"]
    assert reference["title"] in paper and f"{{{reference['year']}}}" in paper
    assert all(author["family-names"] in paper for author in reference["authors"])


def test_both_containers_are_of_one_recipe() -> None:
    docker, apptainer = ((ROOT / name).read_text("utf-8") for name in ("Dockerfile", "apptainer.def"))
    base = re.search(r"^FROM (\S+)$", docker, re.M)
    assert base and f"From: {base[1]}\n" in apptainer
    assert base[1].startswith("python:3.11") and PROJECT["requires-python"] == ">=3.11"
    packages = [re.search(r"--no-install-recommends ([^\\\n]+)", text) for text in (docker, apptainer)]
    assert packages[0] and packages[1] and packages[0][1].split() == packages[1][1].split()
    assert "pip install --no-cache-dir /src" in docker and "pip install --no-cache-dir /src" in apptainer
    assert 'ENTRYPOINT ["affect"]' in docker and 'exec affect "$@"' in apptainer
    assert "affect" in PROJECT["scripts"]
    left_out = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert {".git", ".venv"} <= set(left_out) and not {"cache", "configs", "pipeline", "stages", "docs"} & set(left_out)


def test_extras_bring_what_they_name_and_the_package_no_tools() -> None:
    extras = {name: {re.split(r"[<>=\[]", item)[0] for item in items}
              for name, items in PROJECT["optional-dependencies"].items()}  # fmt: skip
    assert (extras["dask"], extras["ray"], extras["fast"]) == ({"dask"}, {"ray"}, {"openvino"})
    needed = {re.split(r"[<>=\[]", item)[0] for item in PROJECT["dependencies"]}
    assert not needed & (extras["dev"] | extras["dask"] | extras["ray"] | extras["fast"]) - {"affect"}
