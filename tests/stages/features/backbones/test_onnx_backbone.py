"""ONNX files are run in torch and agree with onnx's own reference evaluator."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch.nn.functional import adaptive_avg_pool2d

from affect.errors import ConfigError, WeightsError
from affect.stages.features.backbones.load import load_backbone
from affect.stages.features.prepare import prepare

RANDOM = np.random.default_rng(0)
CELLS = {"positive": 3, "maps": 5}
KERNEL = RANDOM.standard_normal((8, 3, 3, 3)).astype(np.float32)


def write(
    file: Path,
    *,
    shape: tuple[str | int, ...] = ("n", 3, 32, 32),
    opset: int = 17,
    flatten_to_one: bool = False,
    kernel: np.ndarray = KERNEL,
) -> Path:
    """A small network: (transpose), convolution, relu, mean over the image, and a second output beside it."""
    nodes = []
    picture = "picture"
    if shape[1] not in (1, 3):
        nodes.append(helper.make_node("Transpose", ["picture"], ["first"], perm=[0, 3, 1, 2]))
        picture = "first"
    nodes += [
        helper.make_node("Conv", [picture, "kernel"], ["maps"], strides=[2, 2], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["maps"], ["positive"]),
        helper.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
    ]
    target = np.array([1, -1] if flatten_to_one else [0, -1], np.int64)
    nodes += [
        helper.make_node("Constant", [], ["target"], value=numpy_helper.from_array(target)),
        helper.make_node("Reshape", ["pooled", "target"], ["features"]),
        helper.make_node("Sigmoid", ["features"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("features", "scores")],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.save(model, file)
    return file


def reference(file: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    evaluator = ReferenceEvaluator(str(file))
    rows: list[Any] = [evaluator.run(None, {"picture": image[None]}) for image in images]
    return {name: np.concatenate([row[place] for row in rows]) for place, name in enumerate(("features", "scores"))}


@pytest.mark.parametrize(
    ("shape", "opset", "flatten_to_one"),
    [
        (("n", 3, 32, 32), 17, False),
        (("n", 3, 32, 32), 20, False),  # newer than the importer knows
        ((1, 3, 32, 32), 13, False),
        ((1, 3, 32, 32), 17, True),  # a graph that only works for one picture
        (("n", 32, 32, 3), 17, False),
    ],
)
def test_features_equal_the_reference_evaluators(
    tmp_path: Path, shape: tuple[str | int, ...], opset: int, flatten_to_one: bool
) -> None:
    file = write(tmp_path / "net.onnx", shape=shape, opset=opset, flatten_to_one=flatten_to_one)
    backbone = load_backbone(f"onnx:{file}")
    images = RANDOM.standard_normal((3, 3, 32, 32)).astype(np.float32)
    given = images if shape[1] == 3 else images.transpose(0, 2, 3, 1)
    expected = reference(file, given)["features"]
    for ready in (backbone, prepare(backbone, "cpu")):
        np.testing.assert_allclose(ready(torch.from_numpy(images)).numpy(), expected, rtol=1e-4, atol=1e-5)
    assert (backbone.input_size, backbone.feature_size) == (32, 8)


def test_a_description_holds_the_files_sha256_and_no_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    one, same = write(tmp_path / "net.onnx"), write(tmp_path / "elsewhere" / "net.onnx")
    assert load_backbone(f"onnx:{one}").description() == load_backbone(f"onnx:{same}").description()
    write(same, kernel=KERNEL * 2)
    assert load_backbone(f"onnx:{one}").weights_sha256 != load_backbone(f"onnx:{same}").weights_sha256


def test_tensors_in_a_second_file_are_part_of_the_sha256(tmp_path: Path) -> None:
    sums = []
    for gain in (1, 2):
        folder = tmp_path / str(gain)
        folder.mkdir()
        model = onnx.load(write(folder / "plain.onnx", kernel=KERNEL * gain))
        onnx.save(model, folder / "net.onnx", save_as_external_data=True, location="net.bin", size_threshold=0)
        backbone = load_backbone(f"onnx:{folder / 'net.onnx'}")
        sums.append(backbone.weights_sha256)
        images = torch.ones((1, 3, 32, 32))
        assert torch.equal(backbone(images), load_backbone(f"onnx:{folder / 'plain.onnx'}")(images))
    assert (tmp_path / "1" / "net.onnx").read_bytes() == (tmp_path / "2" / "net.onnx").read_bytes()
    assert sums[0] != sums[1]


def test_a_file_beside_the_graph_says_scale_order_size_and_output(tmp_path: Path) -> None:
    file = write(tmp_path / "net.onnx", shape=("n", 3, "h", "w"))
    with pytest.raises(WeightsError, match="leaves the size of its input open"):
        load_backbone(f"onnx:{file}")
    settings = {
        "mean": [127.5, 127.5, 127.5],
        "std": [128, 128, 128],
        "unit": 255,
        "channels": "bgr",
        "output": "scores",
        "input_size": 48,
    }
    (tmp_path / "net.onnx.json").write_text(json.dumps(settings))
    backbone = load_backbone(f"onnx:{file}")
    pictures = RANDOM.integers(0, 256, (2, 48, 48, 3)).astype(np.uint8)
    given = (pictures[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 128
    expected = reference(file, given)["scores"]
    found = backbone(backbone.preprocess(torch.from_numpy(pictures)))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)
    assert backbone.description()["channels"] == "bgr"


def test_a_grey_network_is_given_the_luminance(tmp_path: Path) -> None:
    file = write(tmp_path / "net.onnx", shape=("n", 1, 32, 32), kernel=KERNEL[:, :1])
    images = RANDOM.standard_normal((2, 3, 32, 32)).astype(np.float32)
    grey = np.tensordot(images, np.array([0.299, 0.587, 0.114], np.float32), ([1], [0]))[:, None]
    expected = reference(file, grey)["features"]
    np.testing.assert_allclose(
        load_backbone(f"onnx:{file}")(torch.from_numpy(images)).numpy(), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    "settings",
    ['{"men": [1, 2, 3]}', '{"mean": 3}', '{"unit": 7}', "[1]", "{", '{"channels": "gbr"}', '{"output": "x"}'],
)
def test_a_wrong_file_beside_the_graph_is_refused(tmp_path: Path, settings: str) -> None:
    file = write(tmp_path / "net.onnx")
    (tmp_path / "net.onnx.json").write_text(settings)
    with pytest.raises(ConfigError, match=r"net\.onnx"):
        load_backbone(f"onnx:{file}")


@pytest.mark.parametrize("shape", [("n", 3, 32, 64), (4, 3, 32, 32), ("n", 5, 32, 32), ("n", 3)])
def test_graphs_of_something_else_than_square_pictures_are_refused(
    tmp_path: Path, shape: tuple[str | int, ...]
) -> None:
    with pytest.raises(WeightsError, match="has input"):
        load_backbone(f"onnx:{write(tmp_path / 'net.onnx', shape=shape)}")


def test_what_cannot_be_read_or_imported_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "net.onnx"
    for content in (b"", b"no network", write(file).read_bytes()[:-40]):
        file.write_bytes(content)
        with pytest.raises(WeightsError):
            load_backbone(f"onnx:{file}")
    with pytest.raises(WeightsError, match="does not exist"):
        load_backbone(f"onnx:{tmp_path / 'none.onnx'}")
    with pytest.raises(WeightsError, match="omit --weights"):
        load_backbone(f"onnx:{write(file)}", "random")
    model = onnx.load(write(file))
    model.graph.node[1].op_type = "NonZero"
    onnx.save(model, file)
    with pytest.raises(WeightsError, match=r"onnx2torch|does not run"):
        load_backbone(f"onnx:{file}")


def every_tensor(file: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    """By the reference evaluator, one image after another."""
    evaluator = ReferenceEvaluator(str(file))
    names = ["maps", "positive", "features", "scores"]
    rows: list[Any] = [evaluator.run(names, {"picture": image[None]}) for image in images]
    return {name: np.concatenate([row[place] for row in rows]) for place, name in enumerate(names)}


@pytest.mark.parametrize("flatten_to_one", [False, True])
@pytest.mark.parametrize("opset", [17, 20])
def test_every_tensor_of_a_graph_can_be_tapped_by_its_name(tmp_path: Path, opset: int, flatten_to_one: bool) -> None:
    file = write(tmp_path / "net.onnx", opset=opset, flatten_to_one=flatten_to_one)
    backbone = load_backbone(f"onnx:{file}", taps="positive:3,scores,maps:5,pooled")
    images = RANDOM.standard_normal((3, 3, 32, 32)).astype(np.float32)
    given = every_tensor(file, images)
    cells = {name: adaptive_avg_pool2d(torch.from_numpy(given[name]), grid) for name, grid in CELLS.items()}
    parts = [cells["positive"].flatten(1), given["scores"], cells["maps"].flatten(1), given["features"]]
    expected = np.concatenate([np.asarray(part) for part in parts], 1)
    for ready in (backbone, prepare(backbone, "cpu")):
        np.testing.assert_allclose(ready(torch.from_numpy(images)).numpy(), expected, rtol=1e-4, atol=1e-5)
    assert backbone.description()["taps"] == "positive:3,scores:1,maps:5,pooled"
    assert backbone.one_by_one == flatten_to_one
    with pytest.raises(ConfigError, match="no layer 'features_'; near it are features"):
        load_backbone(f"onnx:{file}", taps="features_")


def test_an_operator_with_several_outputs_gives_each_of_them(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Split", ["picture"], ["red", "green", "blue"], axis=1),
        helper.make_node("ReduceMean", ["red"], ["mean"], axes=[2, 3], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "split",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ("n", 3, 8, 8))],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, None)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9), tmp_path / "s.onnx")
    images = torch.randn((2, 3, 8, 8), generator=torch.manual_seed(0))
    found = load_backbone(f"onnx:{tmp_path / 's.onnx'}", taps="blue,red")(images)
    torch.testing.assert_close(found, images[:, [2, 0]].mean((2, 3)))
