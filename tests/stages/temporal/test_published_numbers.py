"""The authors' checkpoints, converted, give the authors' numbers; what is no such checkpoint is refused."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from affect.errors import WeightsError
from affect.stages.temporal.model import TemporalModel
from affect.stages.temporal.published import convert_checkpoint, read_published

PREFIXES = {"neck": "neck.", "head": "head."}


def test_every_part_equals_the_authors_within_1e_4_of_its_spread(parity: dict[str, Any]) -> None:
    differences = dict(parity["differences"]())
    assert len(differences) == 26
    assert {part: value for part, value in differences.items() if not value < 1e-5} == {}


def test_the_names_and_shapes_are_those_of_the_published_files(root: Path, parity: dict[str, Any]) -> None:
    file = root.parent / "shared" / "reference" / "keys.json"
    if not file.exists():
        pytest.skip("no reference files beside this checkout")
    keys = json.loads(file.read_text())
    assert parity["neck_shapes"](2048) == {key: tuple(shape) for key, shape in keys["neck"].items()}
    for head in ("va", "panss", "cains", "va_nocontext", "panss_nocontext"):
        expected = {key: tuple(shape) for key, shape in keys[f"head_{head}"].items()}
        assert parity["head_shapes"](head, 2048) == expected


@pytest.mark.parametrize(
    ("head", "targets", "context", "length"),
    [
        ("va", ("arousal", "valence"), 2, 16),
        ("panss", ("n3", "n6", "n1", "total"), 2, 32),
        ("cains_nocontext", ("facial", "vocal", "gestures", "speech", "total"), 0, 32),
    ],
)
def test_the_kind_of_head_follows_from_its_shapes(
    parity: dict[str, Any], head: str, targets: tuple[str, ...], context: int, length: int
) -> None:
    found = convert_checkpoint(parity["authors_checkpoint"](head, 64, PREFIXES), "x")
    assert (found.spec.targets, found.spec.context, found.spec.clip_length) == (targets, context, length)
    assert (found.backbone_name, found.epoch) == ("resnet50-vggface2", 7)
    assert list(found.backbone_state) == ["conv1_7x7_s2.weight"]
    TemporalModel(found.spec).load_state_dict(found.state, strict=True)


def test_other_names_go_to_the_read_outs_in_their_order_and_the_last_is_the_total(parity: dict[str, Any]) -> None:
    content = parity["authors_checkpoint"]("panss", 64, PREFIXES)
    spec = convert_checkpoint(content, "x", targets=("a", "b", "c", "all")).spec
    assert spec.targets == ("a", "b", "c", "all") and spec.config.total_target == "all"
    with pytest.raises(WeightsError, match="has 4 read-outs, and 2 names are given") as error:
        convert_checkpoint(content, "x", targets=("a", "b"))
    assert error.value.hint == "as published: --targets n3,n6,n1,total"


def test_a_checkpoint_file_is_read_with_and_without_the_wrapper_prefix(tmp_path: Path, parity: dict[str, Any]) -> None:
    content = parity["authors_checkpoint"]("va", 64, PREFIXES)
    bare = {
        name: {key.removeprefix("module."): value for key, value in part.items()} if isinstance(part, dict) else part
        for name, part in content.items()
    }
    states = []
    for name, checkpoint in (("a.pth.tar", content), ("b.pth.tar", bare)):
        torch.save(checkpoint, tmp_path / name)
        states.append(read_published(tmp_path / name).state)
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_missing_foreign_and_misshapen_keys_are_all_listed(parity: dict[str, Any]) -> None:
    content = parity["authors_checkpoint"]("va", 64, PREFIXES)
    del content["neck"]["module.pos_emb.weight"]
    content["head"]["module.fc_nlb.bias"] = torch.zeros(5)
    content["head"]["module.surprise"] = torch.zeros(1)
    with pytest.raises(WeightsError) as error:
        convert_checkpoint(content, "pid_3.pth.tar")
    for word in ("pid_3.pth.tar", "encoder.positions.weight", "head.hidden.bias is (5,), expected (128,)", "surprise"):
        assert word in str(error.value)


def test_half_a_checkpoint_and_another_network_are_refused(parity: dict[str, Any]) -> None:
    content = parity["authors_checkpoint"]("va", 64, PREFIXES)
    with pytest.raises(WeightsError, match="lacks neck, head"):
        convert_checkpoint({"epoch": 1, "backbone": content["backbone"]}, "x")
    with pytest.raises(WeightsError, match="neither published backbone"):
        convert_checkpoint({**content, "backbone": {"module.backbone.conv1.weight": torch.zeros(1)}}, "x")
    with pytest.raises(WeightsError, match="a list"):
        convert_checkpoint([content], "x")


class _Payload:
    """A pickle that would write a file when it is opened."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (self.path, "w")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_file_that_asks_for_code_is_refused_and_runs_none(tmp_path: Path, parity: dict[str, Any]) -> None:
    trace = tmp_path / "executed"
    content = parity["authors_checkpoint"]("va", 64, PREFIXES)
    torch.save({**content, "extra": _Payload(str(trace))}, tmp_path / "zip.pth.tar")
    (tmp_path / "plain.pth.tar").write_bytes(pickle.dumps(_Payload(str(trace))))
    (tmp_path / "noise.pth.tar").write_bytes(b"\x00\x01 no checkpoint")
    for name in ("zip.pth.tar", "plain.pth.tar", "noise.pth.tar", "absent.pth.tar"):
        with pytest.raises(WeightsError, match=name):
            read_published(tmp_path / name)
    assert not trace.exists()
