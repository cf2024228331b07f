"""A store's recipe is known without its network only where the network would say the same."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from affect.cache.opening import spell_differences
from affect.cache.records import Recipe
from affect.configs.schema import FacesConfig, FeaturesConfig
from affect.stages.features import known
from affect.stages.features.faces.detector_file import detector_file
from affect.stages.features.known import surely_makes
from affect.stages.features.stream import FeatureExtractor

USUAL = FeaturesConfig()
CHANGES = {
    "rate": replace(USUAL, sample_fps=3.125),
    "every frame": replace(USUAL, sample_fps="source"),
    "view": replace(USUAL, view="hflip"),
    "stream": replace(USUAL, stream=1),
    "precision": replace(USUAL, precision="bf16"),
    "pooled": replace(USUAL, taps="pooled"),
    "other taps": replace(USUAL, taps="blocks.4:2"),
    "whole frames": replace(USUAL, faces=FacesConfig(detector="none")),
    "one look": replace(USUAL, faces=FacesConfig(input_width_px=320)),
    "boxes": replace(USUAL, faces=FacesConfig(crop="box")),
}


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return FeatureExtractor(USUAL).recipe


@pytest.mark.parametrize("said", [
    USUAL, replace(USUAL, taps="blocks.4:4,blocks.5:2"), replace(USUAL, precision="fp32"),
    replace(USUAL, weights=str(known._own_weights("efficientnet-lite0"))),
])  # fmt: skip
def test_the_same_settings_make_it_however_they_are_said(said: FeaturesConfig, recipe: Recipe) -> None:
    assert surely_makes(said, recipe)
    assert FeatureExtractor(said).recipe == recipe


@pytest.mark.parametrize("change", CHANGES)
def test_another_setting_does_not_make_it(change: str, recipe: Recipe) -> None:
    assert not surely_makes(CHANGES[change], recipe)
    if change != "precision":  # `auto` is what the store says
        assert not surely_makes(USUAL, FeatureExtractor(CHANGES[change]).recipe)


@pytest.mark.parametrize("field", ["algorithm", "decoder", "weights_sha256", "backbone", "preprocessing"])
def test_a_recipe_that_differs_in_what_no_setting_says_is_not_made(field: str, recipe: Recipe) -> None:
    assert not surely_makes(USUAL, Recipe({**recipe.fields, field: "another"}))
    assert not surely_makes(USUAL, Recipe({name: value for name, value in recipe.fields.items() if name != field}))
    for name in ("detector_sha256", "warp"):
        faces = recipe.fields["faces"]
        assert not surely_makes(USUAL, Recipe({**recipe.fields, "faces": {**faces, name: "another"}}))
        less = {key: value for key, value in faces.items() if key != name}
        assert not surely_makes(USUAL, Recipe({**recipe.fields, "faces": less}))


def test_another_opencv_does_not_make_it(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "__version__", "4.14.0")
    assert not surely_makes(USUAL, recipe)
    theirs = FeatureExtractor(USUAL).recipe
    (said,) = recipe.differences(theirs).items()
    assert said[0] == "faces" and "faces.warp" in spell_differences(dict([said]))
    whole = replace(USUAL, faces=replace(USUAL.faces, detector="none"))
    assert "warp" not in str(FeatureExtractor(whole).recipe.fields), "whole frames are not warped"


def test_weights_that_changed_under_the_same_name_do_not_make_it(recipe: Recipe, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    shutil.copy(str(known._own_weights("efficientnet-lite0")), weights)
    said = replace(USUAL, weights=str(weights))
    assert surely_makes(said, recipe)
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    assert not surely_makes(said, recipe)
    weights.unlink()
    assert not surely_makes(said, recipe)


@pytest.mark.parametrize("backbone", ["timm:test_convnext", "resnet18", "mine:make", "onnx:net.onnx", "face-api"])
def test_what_only_the_network_can_tell_is_left_to_it(backbone: str, recipe: Recipe, tmp_path: Path) -> None:
    assert not surely_makes(replace(USUAL, backbone=backbone), recipe)
    same = Recipe({**recipe.fields, "backbone": backbone})
    assert not surely_makes(replace(USUAL, backbone=backbone, weights="random"), same)


def test_a_changed_detector_does_not_make_it(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "centerface.onnx"
    other.write_bytes(detector_file().read_bytes() + b" ")
    monkeypatch.setattr(known, "detector_file", lambda: other)
    assert not surely_makes(USUAL, recipe)
    assert "torch" in sys.modules  # the fixture's; that none is needed is shown in a process of its own
