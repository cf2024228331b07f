"""OpenVINO computes what torch does, for the detector and for backbones of every kind, and tells nobody."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from affect.cache import open_store
from affect.cache.records import Array
from affect.configs.schema import FeaturesConfig
from affect.errors import ConfigError, StoreError
from affect.pipeline.events import VideoOutcome
from affect.pipeline.extract.extract import extract
from affect.pipeline.extract.videos import find_videos
from affect.stages.features.backbones.load import load_backbone
from affect.stages.features.embed import Embedder, turning_picture
from affect.stages.features.engines import openvino as engine
from affect.stages.features.engines.openvino import Compiled, resolve_engine
from affect.stages.features.faces.detect import CenterFace
from affect.stages.features.known import surely_makes
from affect.stages.features.recipe import differences, settings_of
from affect.stages.features.stream import FeatureExtractor

FAST = FeaturesConfig(engine="openvino")
BACKBONES = [
    ("efficientnet-lite0", None, "auto"), ("efficientnet-lite0", None, "blocks.2:3,pooled"),
    ("timm:test_convnext", "random", "auto"), ("timm:test_vit", "random", "pooled"),
    ("resnet50-vggface2", "random", "layer3:2,pooled"), ("mobilenet_v3_small", "random", "pooled"),
]  # fmt: skip

pytestmark = pytest.mark.skipif(not engine.installed(), reason="OpenVINO is not installed")


def cosines(first: Array, second: Array) -> Array:
    one, other = first.astype(float), second.astype(float)
    found: Array = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return found


@pytest.mark.parametrize(("name", "weights", "taps"), BACKBONES)
def test_features_are_those_of_torch_at_any_size_of_a_batch(name: str, weights: str | None, taps: str) -> None:
    backbone = load_backbone(name, weights, "own", taps)
    pictures = turning_picture(backbone.input_size)
    plain, fast = (Embedder(backbone, "cpu", "fp32", word)._run(pictures) for word in ("torch", "openvino"))
    assert fast.shape == plain.shape and fast.dtype == np.float32
    np.testing.assert_allclose(fast, plain, atol=1e-4 * plain.std())
    embedder = Embedder(backbone, "cpu", "fp32", "openvino")
    for count in (1, 3, 8):
        np.testing.assert_allclose(embedder._run(pictures[:count]), plain[:count], atol=1e-4 * plain.std())


def test_bf16_keeps_the_features_where_this_cpu_has_it() -> None:
    if not engine.has_bf16():
        with pytest.raises(ConfigError, match="bf16, which this CPU does not have"):
            resolve_engine("openvino", "cpu", "bf16")
        pytest.skip("this CPU has no bfloat16")
    backbone = load_backbone("efficientnet-lite0", None, "own", "auto")
    pictures = turning_picture(backbone.input_size)
    exact, short = (Embedder(backbone, "cpu", word, "openvino").embed(pictures) for word in ("fp32", "bf16"))
    assert not np.array_equal(exact, short)
    assert cosines(exact, short).min() > 0.998


@pytest.mark.parametrize("size", [(320, 240), (640, 360), (123, 217)])
def test_faces_are_found_where_torch_finds_them(size: tuple[int, int], astronaut: Array) -> None:
    plain, fast = CenterFace(), CenterFace(engine="openvino")
    picture = np.full((size[1], size[0], 3), 110, np.uint8)
    picture[20:140, 2:122] = astronaut
    for images in ([picture], [picture, picture[:, ::-1], np.full_like(picture, 90)]):
        for one, other in zip(plain.detect(images), fast.detect(images), strict=True):
            assert len(one) == len(other)
            np.testing.assert_allclose(one.box_px, other.box_px, atol=0.01)
            np.testing.assert_allclose(one.landmarks_px, other.landmarks_px, atol=0.01)
            np.testing.assert_allclose(one.score, other.score, atol=1e-4)
    assert len(fast.detect([picture])[0]) == 1


def test_threads_that_share_it_get_the_same_numbers() -> None:
    backbone = load_backbone("timm:test_convnext", "random", "own", "auto")
    embedder = Embedder(backbone, "cpu", "fp32", "openvino")
    pictures = [np.random.default_rng(seed).integers(0, 255, (4, backbone.input_size, backbone.input_size, 3), np.uint8)
                for seed in range(12)]  # fmt: skip
    alone = [embedder.embed(one) for one in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(embedder.embed, pictures))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_store_names_its_engine_and_another_one_is_refused(meeting: Path, tmp_path: Path) -> None:
    for word in ("torch", "openvino"):
        events = extract(find_videos([str(meeting)]), str(tmp_path / word), replace(FAST, engine=word), device="cpu")
        assert [event.status for event in events if isinstance(event, VideoOutcome)] == ["done"]
    plain, fast = open_store(str(tmp_path / "torch")), open_store(str(tmp_path / "openvino"))
    assert plain.recipe.differences(fast.recipe) == {"engine": (None, "openvino")}
    one, other = plain.read("meeting.mp4"), fast.read("meeting.mp4")
    for name in ("time_s", "index", "status", "frame", "track"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_allclose(one.box_px, other.box_px, atol=0.01)
    assert cosines(one.values, other.values).min() > 0.99999
    with pytest.raises(StoreError, match="engine"):
        list(extract(find_videos([str(meeting)]), str(tmp_path / "torch"), FAST, device="cpu", overwrite=True))
    assert settings_of(fast.recipe).engine == "openvino" and settings_of(plain.recipe).engine == "torch"
    assert differences(replace(FAST, engine="auto"), fast.recipe, "s") == {}
    assert surely_makes(FAST, fast.recipe) and not surely_makes(FAST, plain.recipe)
    assert not surely_makes(FeaturesConfig(), fast.recipe)


def test_the_same_bytes_come_again_also_behind_a_block(meeting: Path) -> None:
    extractor = FeatureExtractor(replace(FAST, sample_fps="source"))
    with extractor.stream(meeting) as stream:
        blocks = list(stream)
    assert len(blocks) > 1
    first, state = blocks[0]
    with FeatureExtractor(replace(FAST, sample_fps="source")).stream(meeting, state, len(first.status)) as stream:
        rest = [block for block, _ in stream]
    for expected, found in zip([block for block, _ in blocks[1:]], rest, strict=True):
        for name, array in expected.arrays().items():
            np.testing.assert_array_equal(array, found.arrays()[name], err_msg=name)


class Moody(nn.Module):
    """Another function for other numbers of images, which no single graph has."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        means = images.mean((2, 3))
        given: torch.Tensor = means * 2 if len(images) == 2 else means
        return given


class Unknown(nn.Module):
    """What OpenVINO has no name for."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        given: torch.Tensor = torch.linalg.eigvals(images.mean(1)).real
        return given


@pytest.mark.parametrize("net", [Moody(), Unknown()])
def test_a_network_that_it_does_not_compute_is_refused_and_never_computed_otherwise(net: nn.Module) -> None:
    with pytest.raises(ConfigError, match="OpenVINO") as failure:
        Compiled(net)(np.random.default_rng(0).random((1, 3, 8, 8), np.float32))
    assert failure.value.hint == "--set features.engine=torch"


def test_settings_that_cannot_be_are_refused_with_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="expected a CPU"):
        resolve_engine("openvino", "cuda:0")
    with pytest.raises(ConfigError, match="fp16; expected fp32 or bf16"):
        resolve_engine("openvino", "cpu", "fp16")
    assert resolve_engine("auto", "cpu") == "openvino"
    assert resolve_engine("auto", "cpu", "fp16") == resolve_engine("auto", "cuda") == "torch"
    assert resolve_engine("torch", "cuda", "fp16") == "torch"
    monkeypatch.setattr(engine, "installed", lambda: False)
    assert resolve_engine("auto", "cpu") == "torch"
    with pytest.raises(ConfigError, match="not installed") as failure:
        resolve_engine("openvino", "cpu")
    assert failure.value.hint == "pip install 'affect[fast]'"


QUIET = """
import sys
called = []
outside = ("socket.", "urllib.", "http.")
sys.addaudithook(lambda event, _: called.append(event) if event.startswith(outside) else None)
import numpy as np, torch
from affect.stages.features.engines.openvino import Compiled, has_bf16
has_bf16()
Compiled(torch.nn.Conv2d(3, 4, 3))(np.zeros((1, 3, 8, 8), np.float32))
print(sorted({*called}), sys.modules.get("openvino_telemetry"), "openvino" in sys.modules)
"""


def test_nothing_is_told_to_anybody() -> None:
    said = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, timeout=120, check=True).stdout
    assert said.strip() == "[] None True"
