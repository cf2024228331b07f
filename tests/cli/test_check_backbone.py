"""`affect check-backbone` lists what can be tapped, and says what is wrong as other commands do."""

import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from .conftest import Affect

LITE0 = "efficientnet-lite0"


def test_the_default_backbone_is_listed_with_its_taps(affect: Affect) -> None:
    result = affect("check-backbone", LITE0)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    rows = {line.split()[0]: line.split()[1:-1] for line in lines}
    assert rows["blocks.4"] == ["112", "14", "x", "14"]
    assert rows["blocks.5"] == ["192", "7", "x", "7"]
    assert rows["classifier"] == ["1280", "-"]
    assert list(rows)[:3] == ["layer", "conv_stem", "bn1"]
    assert "blocks.4.1" not in rows and "more layers lie inside these: --all" in result.output
    assert "at blocks.4:4,blocks.5:2: 2560 numbers a face" in lines[-1]
    assert "its own output has 1280" in lines[-1]


def test_every_layer_that_is_listed_can_be_tapped_and_has_the_size_that_is_listed(affect: Affect) -> None:
    words = ("check-backbone", "timm:test_convnext", "--weights", "random", "--json")
    whole = json.loads(affect(*words).output)
    assert (whole["taps"], whole["batch"], whole["device"], whole["precision"]) == ("pooled", 4, "cpu", "fp32")
    assert all(layer["milliseconds"] > 0 for layer in whole["layers"])
    for layer in whole["layers"][:: len(whole["layers"]) // 4]:
        one = json.loads(affect(*words, "--set", f"features.taps={layer['name']}").output)
        assert one["feature_size"] == layer["channels"]
        assert one["pooled_size"] == whole["feature_size"]


def test_the_tensors_of_a_graph_are_listed_and_its_names_cannot_steer_a_terminal(
    affect: Affect, tmp_path: Path
) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("MaxPool", ["picture"], ["\x1b[31mred"], kernel_shape=[4, 4], strides=[4, 4]),
            helper.make_node("GlobalAveragePool", ["\x1b[31mred"], ["mean"]),
        ],
        "named",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, (1, 3, 16, 16))],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, None)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9), tmp_path / "n.onnx")
    result = affect("check-backbone", f"onnx:{tmp_path / 'n.onnx'}")
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert "4 x 4" in result.output and "mean" in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("resnet18",), "needs weights"),
        (("resnet81",), "the nearest name is 'resnet18'"),
        ((LITE0, "--set", "features.taps=block.4"), "no layer 'block.4'; near it are blocks.4"),
        ((LITE0, "--set", "features.taps=blocks.4:15"), "expected 15 x 15 places at least"),
        ((LITE0, "--set", "features.taps=blocks.4:17"), "GRID 1 to 16"),
        ((LITE0, "--device", "x"), "is no device"),
        (("no_such_module:factory",), "cannot be imported"),
    ],
)
def test_what_cannot_be_is_said_with_a_hint(affect: Affect, words: tuple[str, ...], said: str) -> None:
    result = affect("check-backbone", *words)
    assert result.exit_code == 2
    assert said in result.output and "Hint: " in result.output
