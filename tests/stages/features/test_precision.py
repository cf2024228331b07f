"""What a precision means on a device, what `auto` stands for, and what becomes of a batch that has no room."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from affect.cache.records import Array
from affect.errors import VideoError
from affect.stages.features.backbones.load import Backbone, load_backbone
from affect.stages.features.backbones.network import Network, Scale
from affect.stages.features.device.rounding import float32
from affect.stages.features.embed import Embedder, turning_picture
from affect.stages.features.faces.detect import CenterFace
from affect.stages.features.prepare import prepare
from affect.tests.simulated_device import simulated

CUDA = torch.device("cuda")


def rounding() -> tuple[str, str]:
    convolutions: Any = torch.backends.cudnn
    return convolutions.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision


def backbone(net: nn.Module) -> Backbone:
    return Backbone("made", Network(net, Scale(32), 32, "0" * 64, "made"))


@pytest.fixture
def small() -> Backbone:
    torch.manual_seed(0)
    return backbone(nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()))


@pytest.mark.parametrize(
    ("precision", "expected"), [("fp32", "ieee"), ("fp16", "ieee"), ("bf16", "ieee"), ("tf32", "tf32")]
)
def test_float32_is_multiplied_as_such_on_cuda_unless_tf32_is_asked_for(
    small: Backbone, precision: str, expected: str
) -> None:
    before, seen = rounding(), set()
    with simulated() as machine:
        embedder = Embedder(small, "cuda", precision)
        machine.watch = lambda: seen.add(rounding())
        values = embedder.embed(turning_picture(32))
    assert seen == {(expected, expected)}
    assert rounding() == before, "the program around it finds its own setting again"
    assert np.allclose(values, Embedder(small, "cpu", "fp32").embed(turning_picture(32)), atol=0.02)


def test_faces_are_found_with_float32_as_such() -> None:
    before, seen = rounding(), set()
    with simulated() as machine:
        detector = CenterFace(96, "cuda")
        machine.watch = lambda: seen.add(rounding())
        detector.detect(list(turning_picture(96)))
    assert seen == {("ieee", "ieee")} and rounding() == before


def test_the_setting_stays_until_the_last_of_several_threads_has_left() -> None:
    before = rounding()
    inside, leave, ways = threading.Barrier(3), threading.Event(), []

    def stay() -> None:
        with float32(CUDA):
            inside.wait()
            leave.wait()

    def other_way() -> None:
        with float32(CUDA, tf32=True):
            ways.append(rounding())

    threads = [threading.Thread(target=stay), threading.Thread(target=stay), threading.Thread(target=other_way)]
    for thread in threads[:2]:
        thread.start()
    inside.wait()
    threads[2].start()
    with float32(CUDA):
        assert rounding() == ("ieee", "ieee")
    assert rounding() == ("ieee", "ieee") and ways == [], "the others are still inside"
    leave.set()
    for thread in threads:
        thread.join()
    assert ways == [("tf32", "tf32")] and rounding() == before


class Large(nn.Module):
    """Numbers that float16 does not hold on the way to features that it does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 8, stride=8)

    def forward(self, images: Tensor) -> Tensor:
        large: Tensor = self.conv(images) * 3e5
        return large.flatten(1) / 3e5


class NeverHalf(nn.Module):
    """Runs in bf16 and float32 alone."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 8, stride=8)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.conv(images).flatten(1)
        if features.dtype == torch.float16:
            raise RuntimeError("\"made\" not implemented for 'Half'")
        return features


@pytest.mark.parametrize("net", [Large, NeverHalf])
def test_auto_goes_on_to_the_next_precision_where_one_overflows_or_does_not_run(net: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    with simulated():
        chosen = Embedder(backbone(net()), "cuda", "auto").precision
    assert chosen in ("bf16", "fp32") and chosen != "fp16"


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    """A layer of attention as exporters write it: the scale is computed from a shape, through a Cast to float."""
    width, tokens = 8, 16
    random = np.random.default_rng(0)

    def constant(name: str, value: Array) -> onnx.TensorProto:
        return numpy_helper.from_array(value, name)

    weights = [
        constant(name, random.normal(0, 0.3, shape).astype(np.float32))
        for name, shape in (
            ("patches", (width, 3, 8, 8)), ("q", (width, width)), ("k", (width, width)), ("v", (width, width)),
        )
    ]  # fmt: skip
    weights += [constant("flat", np.array([0, width, tokens], np.int64)), constant("last", np.array([2], np.int64))]
    node = helper.make_node
    nodes = [
        node("Conv", ["picture", "patches"], ["maps"], strides=[8, 8], kernel_shape=[8, 8]),
        node("Reshape", ["maps", "flat"], ["columns"]), node("Transpose", ["columns"], ["tokens"], perm=[0, 2, 1]),
        *(node("MatMul", ["tokens", name], [f"{name}s"]) for name in "qkv"),
        node("Transpose", ["ks"], ["turned"], perm=[0, 2, 1]),
        node("Shape", ["qs"], ["shape"]), node("Gather", ["shape", "last"], ["size"]),
        node("Cast", ["size"], ["width"], to=TensorProto.FLOAT), node("Sqrt", ["width"], ["root"]),
        node("Div", ["qs", "root"], ["scaled"]), node("MatMul", ["scaled", "turned"], ["scores"]),
        node("Softmax", ["scores"], ["shares"], axis=-1), node("MatMul", ["shares", "vs"], ["mixed"]),
        node("ReduceMean", ["mixed"], ["features"], axes=[1], keepdims=0),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "attention", [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ("n", 3, 32, 32))],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, None)], weights,
    )  # fmt: skip
    file = tmp_path_factory.mktemp("onnx") / "attention.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), file)
    return load_backbone(f"onnx:{file}")


@pytest.mark.parametrize(("precision", "near"), [("fp16", 5e-3), ("bf16", 5e-2)])
def test_a_transformer_from_an_onnx_file_runs_in_half(transformer: Backbone, precision: str, near: float) -> None:
    images = transformer.preprocess(torch.from_numpy(turning_picture(32)))
    expected = transformer(images)
    features = prepare(transformer, "cpu", precision)(images)
    assert features.dtype == torch.float32 and not torch.equal(features, expected)
    assert (features - expected).abs().max() < near * expected.abs().max()


def test_auto_takes_half_for_a_transformer_from_an_onnx_file(transformer: Backbone) -> None:
    with simulated():
        assert Embedder(transformer, "cuda", "auto").precision in ("fp16", "bf16")


def test_a_batch_without_room_is_halved_and_that_is_remembered_and_said(small: Backbone) -> None:
    pictures = np.tile(turning_picture(32), (10, 1, 1, 1))
    with simulated() as machine:
        embedder = Embedder(small, "cuda", "fp32")
        whole = embedder.embed(pictures)
        assert embedder.notes() == []
        machine.most_images = 12
        assert np.array_equal(embedder.embed(pictures), whole)
        assert machine.refused == 5, "256, 128, 64, 32 and 16 at once"
        assert embedder.notes() == ["cuda had memory for 8 crops at once, not 256: features may differ by rounding"]
        embedder.embed(pictures)
        assert machine.refused == 5, "it is known now"
        machine.most_images = 0
        with pytest.raises(VideoError, match="memory of cuda is exhausted"):
            embedder.embed(pictures)
        machine.most_images = None
        assert np.array_equal(embedder.embed(pictures), whole) and embedder.notes() == []


def test_detection_takes_fewer_pictures_at_once_where_memory_is_short(tmp_path: Path) -> None:
    pictures = list(turning_picture(96))
    with simulated() as machine:
        detector = CenterFace(96, "cuda")
        whole = detector.detect(pictures)
        machine.most_images = 3
        found = detector.detect(pictures)
        assert machine.refused == 4 and detector.notes() != []
    assert [len(item) for item in found] == [len(item) for item in whole]
    assert all(np.allclose(one.box_px, other.box_px, atol=1e-3) for one, other in zip(found, whole, strict=True))
