"""What a file names as code is not run: run folders, settings, stores; what is typed is run as documented."""

import json
import os
import pickle
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result

from affect.cache.opening import create_store
from affect.cache.records import FrameFeatures, FrameStatus, Recipe, Target, VideoInfo
from affect.cli import main
from affect.configs.load import config_to_dict, load_config
from affect.configs.schema import ClipsConfig, Config, FeaturesConfig, ModelConfig
from affect.errors import ConfigError
from affect.pipeline.runs.folder import RunFolder
from affect.pipeline.runs.model_file import ModelCard, write_model
from affect.stages.features.backbones import load_backbone
from affect.stages.temporal.ensemble import Ensemble
from affect.stages.temporal.model import ModelSpec, TemporalModel
from affect.stages.temporal.scaling import LabelScaling
from affect.tests.predictions import write_face_video

FACES = ["features.faces.detector=none"]
SMALL = replace(
    load_config(None, FACES),
    clips=ClipsConfig(length=4, context=1),
    model=ModelConfig(width=16, heads=2, layers=1, feed_forward=16),
)
TARGETS = (Target("valence", -1.0, 1.0),)
CODE = "import os\nopen(os.environ['AFFECT_TEST_MARK'], 'a').write('ran ')\n"
NETWORK = """
import torch
from torch import nn

class Mean(nn.Module):
    def __init__(self, weights=None):
        super().__init__()
        self.input_size, self.feature_size = 16, 3
        self.gain = nn.Parameter(torch.ones(3))
    def preprocess(self, images):
        return nn.functional.interpolate(images.float() / 255, size=16)
    def forward(self, images):
        return images.mean((2, 3)) * self.gain
"""
NAMES = [
    "runpy:run_path",
    " runpy:run_path",
    "runpy :run_path",
    "runpy:run_path ",
    "\u00a0runpy:run_path",
    "Runpy:run_path",
    "affect_test_evil:factory",
    "affect_test_package.inner:factory",
    "timm:local-dir:{run}",
    "timm: local-dir:{run}",
    "TIMM:local-dir:{run}",
    "timm:hf-hub:someone/something",
    "hf-hub:someone/something",
    "onnx:net.onnx",
    "ONNX:net.onnx",
    "os:system",
    "affect.cli:main",
]


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that appears once code of this test's own has run; its modules are forgotten afterwards."""
    path = tmp_path / "ran"
    monkeypatch.setenv("AFFECT_TEST_MARK", str(path))
    yield path
    for name in [name for name in sys.modules if name.startswith("affect_test_")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_face_video(tmp_path_factory.mktemp("video") / "interview.mp4")


@pytest.fixture(scope="module")
def sound() -> tuple[Recipe, int]:
    """The recipe of the settings in SMALL, and the size of its features."""
    from affect.stages.features.stream import FeatureExtractor

    extractor = FeatureExtractor(SMALL.features)
    return extractor.recipe, extractor.feature_size


def affect(*words: object) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def make_run(path: Path, recipe: Recipe, size: int, features: FeaturesConfig = SMALL.features) -> Path:
    """A run of one untrained model."""
    folder = RunFolder.create(path, replace(SMALL, features=features), {}, resume=False)
    spec = ModelSpec(size, ("valence",), SMALL.clips.length, SMALL.clips.context, SMALL.model)
    torch.manual_seed(0)
    model = TemporalModel(spec).eval()
    card = ModelCard(spec, recipe, SMALL.clips, LabelScaling.from_ranges(TARGETS), TARGETS)
    digest = write_model(folder.folds / "0" / "model.safetensors", Ensemble([model]), card)
    folder.write_json("folds/0/fold.json", {"model_sha256": digest})
    return path


def edit(path: Path, **features: object) -> None:
    """Change the features that a file of settings says."""
    tree = yaml.safe_load(path.read_text("utf-8"))
    tree["features"].update(features)
    path.write_text(yaml.safe_dump(tree, allow_unicode=True), "utf-8")


def put_code(folder: Path) -> None:
    """Everything that one of NAMES could find in a folder: a script, modules, a package, a graph, a timm folder."""
    (folder / "notes.txt").write_text(CODE)
    (folder / "affect_test_evil.py").write_text(CODE + "def factory(weights):\n    pass\n")
    package = folder / "affect_test_package"
    package.mkdir(exist_ok=True)
    for name in ("__init__.py", "inner.py"):
        (package / name).write_text(CODE + "def factory(weights):\n    pass\n")
    (folder / "config.json").write_text(json.dumps({"architecture": "resnet18"}))
    (folder / "net.onnx").write_bytes(b"no graph")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: object) -> None:
        raise AssertionError(f"the network was asked: {words}")

    monkeypatch.setattr("socket.socket.connect", refuse)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("forged", [False, True], ids=["settings", "settings and models"])
@pytest.mark.parametrize("name", NAMES)
def test_a_run_folder_runs_nothing_that_it_names(
    name: str, forged: bool, mark: Path, video: Path, sound: tuple[Recipe, int], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run = tmp_path / "run"
    name = name.format(run=run)
    recipe = Recipe({**sound[0].fields, "backbone": name}) if forged else sound[0]
    make_run(run, recipe, sound[1])
    put_code(run)
    edit(run / "config.yaml", backbone=name, weights="notes.txt")
    monkeypatch.chdir(run)  # modules and files of the run are those of the working directory too
    monkeypatch.syspath_prepend(run)
    result = affect("predict", video, "--run", ".", "--output", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert "config.yaml" in result.output and "Hint: " in result.output
    if forged and ":" in name:
        assert "names code" in result.output and "--backbone " in result.output
    assert not mark.exists()
    assert not (tmp_path / "out").exists()


def test_settings_that_are_not_those_of_the_models_are_named(
    video: Path, sound: tuple[Recipe, int], tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run", *sound)
    edit(run / "config.yaml", sample_fps=8.0, view="hflip")
    result = affect("predict", video, "--run", run, "--output", tmp_path / "out")
    assert result.exit_code == 2
    assert "features.view 'hflip', not 'plain'" in result.output and "features.sample_fps 8.0, not 5.0" in result.output


def features_of(size: int, frames: int = 24) -> FrameFeatures:
    rng = np.random.default_rng(0)
    return FrameFeatures(
        time_s=np.arange(frames) / 3.125, index=np.arange(frames),
        status=np.full(frames, FrameStatus.OK, np.uint8), values=rng.random((frames, size)).astype(np.float16),
        frame=np.arange(frames), track=np.zeros(frames, np.int32),
        box_px=np.tile(np.array([0, 0, 9, 9], np.float32), (frames, 1)), score=np.ones(frames, np.float32),
        landmarks_px=np.zeros((frames, 5, 2), np.float32),
    )  # fmt: skip


def make_store(path: Path, recipe: Recipe, entries: tuple[str, ...], weights: str | None = None) -> Path:
    store = create_store(path, recipe, weights=weights)
    for entry in entries:
        info = VideoInfo(
            recipe_digest=recipe.digest, fingerprint=entry, file_bytes=1, file_mtime_ns=1, header_frames=None,
            decoded_frames=24, duration_s=None, average_fps=3.125, width_px=64, height_px=64, rotation_deg=0,
            codec="made", persons={0: 0},
        )  # fmt: skip
        with store.writer(entry, entry) as writer:
            writer.append(features_of(3), b"")
            writer.commit(info)
    return path


CODE_RECIPE = Recipe(
    {"backbone": "runpy:run_path", "faces": {"detector": "none"}, "precision": "fp32", "sample_fps": 3.125}
)
CODE_FEATURES = replace(SMALL.features, backbone="runpy:run_path", precision="fp32")


def test_what_is_stored_already_is_scored_without_the_code_that_a_run_names(mark: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text(CODE)
    weights = str(tmp_path / "notes.txt")
    store = make_store(tmp_path / "store", CODE_RECIPE, ("a.mp4",), weights)
    run = make_run(tmp_path / "run", CODE_RECIPE, 3, replace(CODE_FEATURES, weights=weights))
    result = affect("predict", "a.mp4", "--run", run, "--store", store, "--output", tmp_path / "out", "--no-video")
    assert result.exit_code == 0, result.output
    assert affect("inspect-cache", store).exit_code == 0
    assert not mark.exists()


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["timm:local-dir:{folder}", "timm:hf-hub:someone/something", "timm:resnet18.none",
                                  "timm:resnet18.x:y", "timm:", "timm:../resnet18"])  # fmt: skip
def test_a_typed_timm_name_reaches_no_folder_and_no_network(name: str, mark: Path, tmp_path: Path) -> None:
    put_code(tmp_path)
    with pytest.raises(ConfigError, match="timm"):
        load_backbone(name.format(folder=tmp_path), "random")
    assert not mark.exists()


def train(store: Path, folder: Path, *words: str) -> Result:
    rows = [f"{name}.mp4,{name},{start},{start + 1.2},{side},{value}" for name, side in
            (("a", "train"), ("b", "train"), ("c", "validation"), ("d", "test"))
            for start, value in ((0, 0.1), (2, 0.5), (4, -0.3))]  # fmt: skip
    (folder / "labels.csv").write_text("video,subject,start_s,end_s,split,valence\n" + "\n".join(rows) + "\n")
    small = ["clips.length=4", "clips.context=1", "model.width=16", "model.heads=2", "model.layers=1",
             "model.feed_forward=16", "training.epochs=1"]  # fmt: skip
    sets = [word for setting in (*small, *words) for word in ("--set", setting)]
    return affect("train-temporal", "--store", store, "--labels", folder / "labels.csv", "--run", folder / "run", *sets)


@pytest.mark.parametrize("name", ["runpy:run_path", "timm:local-dir:/tmp", " affect_test_evil:factory"])
def test_a_store_names_code_for_no_run_unless_it_is_typed_and_even_then_the_run_runs_nothing(
    name: str, mark: Path, video: Path, tmp_path: Path
) -> None:
    (tmp_path / "README.txt").write_text(CODE)
    recipe = Recipe({**CODE_RECIPE.fields, "backbone": name})
    entries = ("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    store = make_store(tmp_path / "store", recipe, entries, str(tmp_path / "README.txt"))
    result = train(store, tmp_path)
    assert result.exit_code == 2
    assert "store" in result.output and "names code" in result.output
    assert "--set features.backbone=" in result.output
    assert not (tmp_path / "run").exists()
    other = train(store, tmp_path, "features.backbone=resnet18")
    assert other.exit_code == 2 and not (tmp_path / "run").exists()
    assert train(store, tmp_path, f"features.backbone='{name}'").exit_code == 0
    config = (tmp_path / "run" / "config.yaml").read_text("utf-8")
    assert yaml.safe_load(config)["features"]["backbone"] == name
    result = affect("predict", video, "--run", tmp_path / "run", "--output", tmp_path / "out")
    assert result.exit_code == 2 and "names code" in result.output, result.output
    assert not mark.exists()


SETTINGS = {
    "plain": "features:\n  backbone: {name}\n  weights: {file}\n",
    "anchored": "features: &words\n  backbone: &name '{name}'\n  weights: {file}\nlabels: {{targets: [*name]}}\n",
    "merged": "features: {{<<: {{backbone: '{name}'}}, weights: {file}}}\n",
    "an alias": "labels: &l {{targets: [&n '{name}']}}\nfeatures: {{backbone: *n, weights: {file}}}\n",
    "json": '{{"features": {{"backbone": "{name}", "weights": "{file}"}}}}\n',
    "escaped": 'features:\n  "backb\\x6fne": "runpy\\u003arun_path"\n  weights: {file}\n',
    "said twice": "features:\n  backbone: resnet18\n  backbone: {name}\n  weights: {file}\n",
    "tagged": "features: !!map {{backbone: !!str '{name}', weights: {file}}}\n",
    "an unknown section": "base: &words\n  backbone: {name}\n  weights: {file}\n",
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
@pytest.mark.parametrize("command", ["extract-features", "check-videos", "train-temporal", "import-checkpoint"])
def test_a_file_of_settings_runs_nothing_that_it_names(
    settings: str, command: str, mark: Path, video: Path, tmp_path: Path
) -> None:
    (tmp_path / "code.txt").write_text(CODE)
    file = tmp_path / "settings.yaml"
    file.write_text(settings.format(name="runpy:run_path", file=tmp_path / "code.txt"))
    words: dict[str, list[object]] = {
        "extract-features": [video, "--store", tmp_path / "store"],
        "check-videos": [video],
        "train-temporal": ["--store", tmp_path, "--labels", tmp_path / "l.csv", "--run", tmp_path / "run"],
        "import-checkpoint": [tmp_path / "pid_1.pth.tar", "--run", tmp_path / "run"],
    }
    result = affect(command, *words[command], "--config", file)
    assert result.exit_code == 2, result.output
    assert "settings.yaml" in result.output or "unknown setting base" in result.output
    assert not mark.exists()
    assert not (tmp_path / "store").exists() and not (tmp_path / "run").exists()


def test_a_typed_name_takes_the_place_of_the_files(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("features: {backbone: 'runpy:run_path', sample_fps: 2}\n")
    with pytest.raises(ConfigError, match=r"settings\.yaml says features\.backbone 'runpy:run_path', which names code"):
        load_config(str(file))
    features = load_config(str(file), ["features.backbone=own.module:factory"]).features
    assert (features.backbone, features.sample_fps) == ("own.module:factory", 2.0)
    assert load_config(str(file), ["features.backbone=runpy:run_path"]).features.backbone == "runpy:run_path"


def test_a_file_of_settings_names_weights_in_its_own_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    file = tmp_path / "sub" / "settings.yaml"
    (tmp_path / "sub" / "link.pth").symlink_to(tmp_path / "secret")
    for word in ("../secret", "/dev/zero", str(tmp_path / "secret"), "link.pth", '"a\\0b"'):
        file.write_text(f"features: {{weights: {word}}}\n")
        with pytest.raises(ConfigError, match="only what lies in its own folder"):
            load_config(str(file))
        assert load_config(str(file), ["features.weights=/mine"]).features.weights == "/mine"
    file.write_text("features: {weights: w.pth}\n")
    assert load_config(str(file)).features.weights == str(tmp_path / "sub" / "w.pth")
    file.write_text("features: {weights: random}\n")
    assert load_config(str(file)).features.weights == "random"


def test_a_word_of_a_file_stays_one_on_its_way_to_a_worker_and_is_refused_by_whoever_would_load_it() -> None:
    from affect.configs.trust import Received, received

    features = received(FeaturesConfig(backbone="runpy:run_path"), "run/config.yaml")
    sent = pickle.loads(pickle.dumps(replace(features, view="hflip")))
    assert isinstance(sent.backbone, Received) and sent.backbone.source == "run/config.yaml"
    assert sent == replace(FeaturesConfig(backbone="runpy:run_path"), view="hflip")
    assert yaml.safe_load(yaml.safe_dump(config_to_dict(Config(features=sent))))["features"]["view"] == "hflip"
    with pytest.raises(ConfigError, match=r"run/config\.yaml says features\.backbone 'runpy:run_path'"):
        load_backbone(sent.backbone)
    assert load_backbone(Received("squeezenet1_1", "x"), "random").feature_size == 512


@pytest.mark.parametrize("name", ["os:system", "torch.hub:load", "runpy:run_path", "builtins:exec", "sys:exit", "os:",
                                  "os.path:join", "json:loads", "functools:partial", "torch:load", "torch.nn:Linear",
                                  "pathlib:Path", "subprocess:run", "torchvision.models:resnet18"])  # fmt: skip
@pytest.mark.parametrize("weights", [None, "random"])
def test_a_typed_factory_that_is_none_is_told_so(name: str, weights: str | None, video: Path, tmp_path: Path) -> None:
    words = ["--weights", weights] if weights else []
    result = affect("extract-features", video, "--store", tmp_path / "store", "--backbone", name, *words)
    assert result.exit_code == 2, result.output
    assert f"backbone '{name}'" in result.output or f"'{name}' returned" in result.output
    assert not (tmp_path / "store").exists()


@pytest.fixture
def own(mark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's package; its network is in `affect_test_own.net`, and each of its files marks that it was run."""
    folder = tmp_path / "mine"
    (folder / "affect_test_own").mkdir(parents=True)
    (folder / "affect_test_own" / "__init__.py").write_text(CODE)
    (folder / "affect_test_own" / "net.py").write_text(CODE + NETWORK)
    (folder / "affect_test_own" / "doors.py").write_text(CODE + "from .net import Mean as Door\n")
    monkeypatch.syspath_prepend(folder)
    return folder / "affect_test_own"


@pytest.mark.parametrize("name", ["affect_test_own.net:Mean", "affect_test_own.doors:Door"])
def test_predict_takes_a_users_backbone_once_it_is_typed_again(
    name: str, own: Path, mark: Path, video: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    words = ["--backbone", name, "--faces", "none"]
    assert affect("extract-features", video, "--store", store, *words).exit_code == 0
    recipe = create_recipe(store)
    assert recipe.fields["backbone"] == name and len(recipe.fields["code_sha256"]) == 64
    features = replace(SMALL.features, backbone=name, precision="fp32")
    run = make_run(tmp_path / "run", recipe, 3, features)
    forget(mark)
    untyped = affect("predict", video, "--run", run, "--output", tmp_path / "out")
    assert untyped.exit_code == 2
    assert f"Hint: if you know that code, say so by typing its name: --backbone {name}" in untyped.output
    wrong = affect("predict", video, "--run", run, "--output", tmp_path / "out", "--backbone", "other.module:Mean")
    assert wrong.exit_code == 2 and "other.module:Mean" in wrong.output and name in wrong.output
    assert not mark.exists()
    typed = affect("predict", video, "--run", run, "--output", tmp_path / "out", "--backbone", name)
    assert typed.exit_code == 0, typed.output
    assert mark.exists()


def create_recipe(store: Path) -> Recipe:
    return Recipe(json.loads((store / "store.json").read_text("utf-8"))["recipe"])


def forget(mark: Path) -> None:
    """As if the user's code had never been imported."""
    mark.unlink(missing_ok=True)
    for name in [name for name in sys.modules if name.startswith("affect_test_")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "imports"), [("affect_test_own.net:Mean", False), ("affect_test_own.doors:Door", True)]
)
def test_code_that_is_not_that_of_the_run_is_not_called(
    name: str, imports: bool, own: Path, mark: Path, video: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    assert affect("extract-features", video, "--store", store, "--backbone", name, "--faces", "none").exit_code == 0
    run = make_run(tmp_path / "run", create_recipe(store), 3, replace(SMALL.features, backbone=name, precision="fp32"))
    called = tmp_path / "called"
    code = (own / "net.py").read_text()
    (own / "net.py").write_text(code.replace("super()", f"open({str(called)!r}, 'w'); super()"))
    forget(mark)
    result = affect("predict", video, "--run", run, "--output", tmp_path / "out", "--backbone", name)
    assert result.exit_code == 2, result.output
    assert "is not that of" in result.output and "it was not called" in result.output
    assert not called.exists()
    assert mark.exists() == imports, "a file that defines its factory is known without an import of its packages"


def test_finding_a_modules_file_imports_no_package_around_it(own: Path, mark: Path) -> None:
    from affect.stages.features.backbones.user import source_of

    assert source_of("affect_test_own.net:Mean") == own / "net.py"
    assert source_of("affect_test_own:Mean") == own / "__init__.py"
    for name in (
        "affect_test_own.absent:x",
        "affect_test_absent.net:x",
        ":x",
        "a..b:x",
        "affect_test_own.net.deeper:x",
    ):
        assert source_of(name) is None
    assert not mark.exists() and "affect_test_own" not in sys.modules


def test_weights_that_a_run_names_are_its_own_or_proven(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from affect.stages.features.stream import FeatureExtractor

    net = load_backbone("squeezenet1_1", "random").net
    mine = tmp_path / "elsewhere" / "w.pth"
    mine.parent.mkdir()
    torch.save(net.state_dict(), mine)
    features = replace(SMALL.features, backbone="squeezenet1_1", weights=str(mine), precision="fp32")
    extractor = FeatureExtractor(features)
    run = make_run(tmp_path / "run", extractor.recipe, extractor.feature_size, features)

    def call(store: str, *words: object) -> Result:
        places = ["--run", run, "--output", tmp_path / "out", "--store", tmp_path / store]
        return affect("predict", video, *places, *words)

    assert call("one").exit_code == 0, "one's own run finds its weights where they were"
    changed = tmp_path / "changed.pth"
    torch.save({**net.state_dict(), "features.0.bias": torch.ones(64)}, changed)
    os.mkfifo(run / "pipe")
    (run / "link.pth").symlink_to(mine)
    read = []
    monkeypatch.setattr("torch.load", lambda *words, **_: read.append(words))
    for word in (str(changed), "/dev/zero", str(run / "pipe"), "pipe", "../elsewhere/w.pth", "link.pth", "absent.pth",
                 "/proc/self/environ", str(tmp_path)):  # fmt: skip
        edit(run / "config.yaml", weights=word)
        result = call("two")
        assert result.exit_code == 2, (word, result.output)
        assert "weights" in result.output and "--weights FILE" in result.output, result.output
    assert not read, "nothing was parsed"
    monkeypatch.undo()
    assert call("three", "--weights", mine).exit_code == 0
    assert call("four", "--weights", changed).exit_code == 2


def test_a_graph_is_typed_again_by_its_file(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("GlobalAveragePool", ["x"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 3, 32, 32))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )  # fmt: skip
    folder = tmp_path / "graphs"
    folder.mkdir()
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "net.onnx")
    name, store = f"onnx:{folder / 'net.onnx'}", tmp_path / "store"
    assert affect("extract-features", video, "--store", store, "--backbone", name, "--faces", "none").exit_code == 0
    features = replace(SMALL.features, backbone="onnx:net.onnx", precision="fp32")
    run = make_run(tmp_path / "run", create_recipe(store), 3, features)
    monkeypatch.chdir(folder)
    words = ["predict", video, "--run", run, "--output", tmp_path / "out"]
    assert affect(*words).exit_code == 2
    monkeypatch.chdir(tmp_path)
    assert affect(*words, "--backbone", name).exit_code == 0


def test_a_recipe_of_other_kinds_of_values_is_refused(video: Path, sound: tuple[Recipe, int], tmp_path: Path) -> None:
    odd: list[dict[str, Any]] = [{"faces": 3}, {"backbone": ["a"]}, {"sample_fps": {"a": 1}}, {"precision": None}]
    for number, fields in enumerate(odd):
        run = make_run(tmp_path / str(number), Recipe({**sound[0].fields, **fields}), sound[1])
        assert affect("predict", video, "--run", run, "--output", tmp_path / "out").exit_code == 2
