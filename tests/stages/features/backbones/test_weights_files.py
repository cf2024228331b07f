"""Weights come from tensors alone, fit key by key, and never run code."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from affect.cache.regular import file_sha256
from affect.errors import WeightsError
from affect.stages.features.backbones.load import load_backbone
from affect.stages.features.backbones.weights import fit_file, read_state_dict, state_sha256


def small() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


class Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.victim),)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_asks_for_code_is_refused_unexecuted(tmp_path: Path, legacy: bool) -> None:
    victim, file = tmp_path / "ran", tmp_path / "weights.pth"
    content = {"state_dict": small().state_dict(), "extra": Malicious(victim)}
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match="more than tensors and numbers"):
        load_backbone("resnet18", file)
    assert not victim.exists()
    torch.load(file, weights_only=False)
    assert victim.exists(), "the file would have run its code"


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_bare_pickle_is_refused_unexecuted(tmp_path: Path) -> None:
    victim, file = tmp_path / "ran", tmp_path / "weights.pkl"
    file.write_bytes(pickle.dumps(Malicious(victim)))
    with pytest.raises(WeightsError):
        read_state_dict(file)
    assert not victim.exists()


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(small(), tmp_path / "module.pt")
    with pytest.raises(WeightsError, match="state dict alone"):
        read_state_dict(tmp_path / "module.pt")


@pytest.mark.parametrize(
    "nested",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "state_dict": state, "best": 0.5},
        lambda state: {"model": {"module." + name: value for name, value in state.items()}},
        lambda state: {"model_state_dict": {"_orig_mod." + name: value for name, value in state.items()}},
        lambda state: (
            {"module.backbone." + name: value for name, value in state.items()} | {"module.head.w": torch.ones(1)}
        ),
    ],
)
def test_checkpoints_are_opened_to_the_same_weights(tmp_path: Path, nested: object) -> None:
    assert callable(nested)
    wanted, found = small(), nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    torch.save(nested(wanted.state_dict()), tmp_path / "weights.pth")
    sha256, name = fit_file(found, tmp_path / "weights.pth")
    assert state_sha256(found) == state_sha256(wanted)
    assert (sha256, name) == (file_sha256(tmp_path / "weights.pth"), "weights.pth")


def test_safetensors_and_half_precision_are_read(tmp_path: Path) -> None:
    wanted, found = small(), nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    save_file(
        {name: value.half() if value.is_floating_point() else value for name, value in wanted.state_dict().items()},
        tmp_path / "w.safetensors",
    )
    fit_file(found, tmp_path / "w.safetensors")
    torch.testing.assert_close(found[0].weight, wanted[0].weight, atol=1e-3, rtol=0)
    assert found[0].weight.dtype == torch.float32


def change(**changes: Tensor | None) -> dict[str, Tensor]:
    state = dict(small().state_dict())
    for key, value in changes.items():
        name = key.replace("_", ".", 1)
        if value is None:
            del state[name]
        else:
            state[name] = value
    return state


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (change(**{"0_weight": None}), "1 missing: 0.weight"),
        (change(**{"2_weight": torch.ones(1)}), "1 unexpected: 2.weight"),
        (change(**{"0_bias": torch.ones(7)}), r"1 of another shape: 0.bias is \(7,\), expected \(4,\)"),
        (change(**{"1_running_var": torch.full((4,), np.nan)}), "not finite floating-point numbers: 1.running_var"),
        (change(**{"0_bias": torch.ones(4, dtype=torch.int8)}), "not finite floating-point numbers: 0.bias"),
    ],
)
def test_every_key_that_does_not_fit_is_named(tmp_path: Path, state: dict[str, Tensor], text: str) -> None:
    torch.save(state, tmp_path / "w.pth")
    net = small()
    before = state_sha256(net)
    with pytest.raises(WeightsError, match=text):
        fit_file(net, tmp_path / "w.pth")
    assert state_sha256(net) == before


def test_a_file_that_counts_no_batches_fits(tmp_path: Path) -> None:
    torch.save(change(**{"1_num_batches_tracked": None}), tmp_path / "w.pth")
    fit_file(small(), tmp_path / "w.pth")


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {}, torch.ones(3), {"state_dict": {"w": "text"}}])
def test_files_without_a_state_dict_are_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="no state dict"):
        read_state_dict(tmp_path / "w.pth")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        load_backbone("resnet18", tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="is a folder"):
        load_backbone("resnet18", tmp_path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_files_are_refused_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole{suffix}"
    if suffix == ".pth":
        torch.save(dict(small().state_dict()), whole)
    else:
        save_file(dict(small().state_dict()), whole)
    content, random = whole.read_bytes(), np.random.default_rng(0)
    file = tmp_path / f"damaged{suffix}"
    for draw in range(60):
        damaged = bytearray(content)
        if draw % 3 == 0:
            damaged = damaged[: random.integers(len(damaged))]
        else:
            for place in random.integers(0, min(len(damaged), 400 if draw % 3 == 1 else len(damaged)), 3):
                damaged[place] = random.integers(256)
        file.write_bytes(damaged)
        try:
            fit_file(small(), file)
        except WeightsError as error:
            assert "damaged" in str(error)
