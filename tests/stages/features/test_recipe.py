"""Settings become a recipe and a recipe settings again, also one from before there were taps."""

from dataclasses import replace

from affect.cache.records import Recipe
from affect.configs.schema import FacesConfig, FeaturesConfig
from affect.stages.features.recipe import differences, settings_of
from affect.stages.features.stream import FeatureExtractor

BACKBONE = FeaturesConfig("timm:test_convnext", "random", faces=FacesConfig(detector="none"))


def recipe_of(config: FeaturesConfig) -> Recipe:
    return FeatureExtractor(config).recipe


def test_a_recipe_says_which_taps_auto_stood_for_and_gives_them_back() -> None:
    recipe = recipe_of(FeaturesConfig(faces=FacesConfig(detector="none")))
    assert recipe.fields["taps"] == "blocks.4:4,blocks.5:2"
    assert settings_of(recipe).taps == "blocks.4:4,blocks.5:2"
    assert recipe_of(replace(settings_of(recipe))).digest == recipe.digest


def test_the_order_and_the_grid_are_part_of_the_recipe() -> None:
    words = ["stages.1:2,stages.2", "stages.2,stages.1:2", "stages.1,stages.2", "pooled"]
    assert len({recipe_of(replace(BACKBONE, taps=word)).digest for word in words}) == 4
    assert recipe_of(replace(BACKBONE, taps=" stages.1:2, stages.2:1")) == recipe_of(replace(BACKBONE, taps=words[0]))


def test_a_recipe_without_taps_is_of_pooled_features_as_all_were() -> None:
    recipe = recipe_of(BACKBONE)
    assert recipe == recipe_of(replace(BACKBONE, taps="pooled"))
    assert "taps" not in recipe.fields
    assert settings_of(recipe).taps == "pooled"


def test_settings_that_leave_the_taps_open_differ_from_no_recipe_and_others_do() -> None:
    old, new = recipe_of(BACKBONE), recipe_of(replace(BACKBONE, taps="stages.2:2"))
    for recipe in (old, new):
        assert differences(BACKBONE, recipe, "r") == {}
    assert differences(replace(BACKBONE, taps="stages.2:2"), old, "r") == {"taps": ("stages.2:2", "pooled")}
    assert differences(replace(BACKBONE, taps="pooled"), new, "r") == {"taps": ("pooled", "stages.2:2")}


def test_a_store_of_320_pixels_is_made_again_by_saying_so_and_not_by_the_default() -> None:
    fixed = replace(BACKBONE, faces=FacesConfig(input_width_px=320))
    old = recipe_of(fixed)
    assert old.fields["faces"]["input_width_px"] == 320
    assert settings_of(old).faces.input_width_px == 320
    assert recipe_of(settings_of(old, weights="random")).digest == old.digest
    auto = recipe_of(replace(BACKBONE, faces=FacesConfig()))
    assert settings_of(auto).faces.input_width_px == auto.fields["faces"]["input_width_px"] == "auto"
    assert differences(replace(BACKBONE, faces=FacesConfig()), old, "r") == {"faces.input_width_px": ("auto", 320)}
    assert differences(fixed, old, "r") == {}
