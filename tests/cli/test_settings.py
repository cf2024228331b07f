"""`affect settings` and `affect info` tell what can be set and what is here."""

import importlib.metadata
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from affect.cli import main
from affect.errors import DeviceError
from affect.pipeline.devices import resolve_device
from affect.pipeline.info.info import info
from affect.pipeline.workers import cores
from affect.tests.light import assert_light

ROOT = Path(__file__).resolve().parent.parent.parent


def said(*words: str) -> str:
    result = CliRunner().invoke(main, list(words))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_one_setting_is_shown_with_its_range_and_its_presets() -> None:
    lines = said("settings", "clips.length").splitlines()
    assert lines[0] == "clips.length = 16"
    assert "  takes a whole number, 1 to 1000 (kept frames)" in lines
    assert any(line.startswith("  presets: ") and "cains=32" in line for line in lines)


def test_markdown_is_the_page_of_the_docs() -> None:
    assert said("settings", "--markdown") == (ROOT / "docs" / "settings.md").read_text("utf-8")
    result = CliRunner().invoke(main, ["settings", "epochs", "--markdown"])
    assert result.exit_code == 2 and "--markdown" in result.stderr


def test_an_unknown_word_is_refused_with_a_hint_and_nothing_on_the_output() -> None:
    result = CliRunner().invoke(main, ["settings", "no\x1bsuch", "--json"])
    assert result.exit_code == 2 and result.stdout == ""
    assert "Hint: " in result.stderr and "\x1b" not in result.stderr


def test_settings_are_shown_without_arrays_or_torch() -> None:
    assert_light(["settings"])


def test_info_names_what_a_report_of_a_fault_needs() -> None:
    found: dict[str, Any] = json.loads(said("info", "--json"))
    assert found["version"] == importlib.metadata.version("affect")
    assert found["packages"]["torch"] == importlib.metadata.version("torch")
    assert found["cores"] == cores() and found["devices"]["cpu"] is not None and found["auto"] == resolve_device("auto")
    assert {"dask", "ray", "fast"} <= found["extras"].keys() and "dev" not in found["extras"]
    assert found["engines"]["torch"] == found["packages"]["torch"] and "libavcodec" in found["decoder"]
    text = said("info")
    for word in (found["version"], found["python"], found["decoder"], found["packages"]["zarr"], "weights of timm"):
        assert word in text


def test_info_can_be_pasted_without_the_name_of_its_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "jane.doe"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("TORCH_HOME", str(home / "models"))
    assert info().places["weights of torchvision"] == str(Path("~/models/hub/checkpoints"))
    assert "jane.doe" not in said("info") and "jane.doe" not in said("info", "--json")


def test_info_needs_no_home_of_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)  # as in a container that runs under a number of no user
    result = CliRunner().invoke(main, ["info"])
    assert result.exit_code == 0, result.output
    assert "weights of torchvision" in result.output


def test_info_says_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name in {"openvino", "ray", "zarr"}:
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    lines = said("info").splitlines()
    assert "engine openvino: not installed" in lines and "extra ray: ray not installed" in lines
    assert "warning: zarr is missing" in lines, "what the package itself needs is more than an extra"


def test_info_names_each_gpu_and_which_device_auto_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    card = type("Card", (), {"name": "Big Card", "total_memory": 24 << 30})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: card)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "Big Card")
    monkeypatch.setattr("affect.pipeline.devices._refusal", lambda device: "")
    text = said("info")
    assert "device cuda:0: Big Card, 24.0 GiB; auto" in text and "device cuda:1: Big Card" in text
    assert not re.search("device cpu:.*auto", text)
    monkeypatch.setattr("affect.pipeline.devices._refusal", lambda device: "no kernel image is there for it")
    text = said("info")
    assert re.search("device cpu:.*; auto", text) and "note: the CPU computes" in text
    with pytest.raises(DeviceError):
        resolve_device("cuda")
