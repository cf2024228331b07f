"""Numbers, sizes and nesting from outside: what is out of bounds is refused at the start, by its name."""

import json
import math
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from affect.cache.json_files import read_json
from affect.cache.manifest import read_manifest
from affect.cache.tables import MOST_BYTES, MOST_COLUMNS, read_table
from affect.cli import main
from affect.configs.load import config_from_dict, config_to_dict, load_config, preset_names
from affect.configs.plain_yaml import MOST_DEPTH, NotPlainYamlError, load_plain_yaml, read_plain_yaml
from affect.configs.schema import Config, ModelConfig, TrainingConfig
from affect.errors import AffectError, ConfigError, InputError, ManifestError, RunError, shown
from affect.pipeline.prepare_labels import prepare_labels
from affect.pipeline.runs.folder import RunFolder
from affect.pipeline.train.train import TrainingSummary, train
from affect.pipeline.workers import Workers, cores
from affect.stages.labels.tables import header
from affect.tests.generated import GeneratedData, generated_features

TINY: dict[str, dict[str, Any]] = {
    "model": {"width": 8, "heads": 2, "layers": 1, "feed_forward": 8},
    "training": {"epochs": 1, "batch_size": 8},
    "clips": {"length": 4, "context": 1},
    "evaluation": {"protocol": "k-fold", "folds": 2},
}
VALUES: list[Any] = [math.nan, math.inf, -math.inf, -1, 0, 10**18, 1e18, 10**400, "x", [1], [], {}, True, None, "nan"]
MANY = 10**5000  # digits, which Python writes no more


def settings(section: Any, where: str = "") -> Iterator[str]:
    for item in fields(section):
        value, name = getattr(section, item.name), f"{where}{item.name}"
        yield from settings(value, f"{name}.") if is_dataclass(value) else [name]


SETTINGS = list(settings(Config()))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    shape = GeneratedData(subjects=4, videos=1, video_frames=(32, 32), feature_size=8)
    generated_features(folder / "store", folder / "labels.csv", shape)
    return folder


def tree_with(name: str, value: Any) -> dict[str, Any]:
    tree: dict[str, Any] = {key: dict(section) for key, section in TINY.items()}
    place = tree
    *path, last = name.split(".")
    for key in path:
        place = place.setdefault(key, {})
    place[last] = value
    return tree


def test_every_setting_is_walked() -> None:
    assert len(SETTINGS) > 50 and {"training.seed", "features.faces.min_iou", "labels.ranges"} <= set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_value_is_refused_by_its_name_or_trains(name: str, data: Path, tmp_path: Path) -> None:
    trained = 0
    for number, value in enumerate(VALUES):
        try:
            config = config_from_dict(tree_with(name, value))
        except ConfigError as error:
            assert name in error.message and len(error.message) < 1000, f"{value!r}: {error.message}"
            continue
        number_of = dict(_leaves(config_to_dict(config)))
        assert all(math.isfinite(found) for found in number_of.values() if isinstance(found, float)), (
            f"{name}={value!r}"
        )
        if trained >= 2 or name.startswith("features."):  # the store says what made its features
            continue
        run = tmp_path / str(number)
        try:
            events = list(train(str(data / "store"), data / "labels.csv", run, config, device="cpu"))
        except InputError as error:
            assert not run.exists(), f"{name}={value!r} is refused too late: {error}"
            continue
        trained += 1
        summary = events[-1]
        assert isinstance(summary, TrainingSummary) and not summary.failed, f"{name}={value!r}: {summary!r}"


def _leaves(tree: dict[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        yield from _leaves(value, f"{where}{key}.") if isinstance(value, dict) else [(f"{where}{key}", value)]


@pytest.mark.parametrize(
    "word",
    [
        "evaluation.folds=-1", "evaluation.folds=1000000000000", "training.step_factor=.nan",
        "training.step_factor=nan", "model.width=-5", "training.seed=-1", "training.epochs=1000000000",
        "training.learning_rate=inf", "model.heads=7", "model.layers=1000000", "training.batch_size=1e9",
        "loss.contrastive_temperature=.nan", "loss.relational_weight=.inf", "clips.hop=0", "evaluation.folds=1",
        "labels.ranges={v: [0, .inf]}", "labels.ranges={v: [.nan, 1]}", "features.faces.cut_threshold=.nan",
        "training.epochs=" + "9" * 5000, "training.learning_rate=" + "9" * 500, "training.seed=0x" + "f" * 6000,
    ],
)  # fmt: skip
def test_a_slip_is_refused_before_anything_is_made(word: str, data: Path, tmp_path: Path) -> None:
    words = ["--store", data / "store", "--labels", data / "labels.csv", "--run", tmp_path / "run"]
    chosen = ["model.heads=2", "evaluation.protocol=k-fold", "evaluation.folds=2", word]
    sets = [part for setting in chosen for part in ("--set", setting)]
    result = CliRunner().invoke(main, ["train-temporal", *map(str, words), *sets])
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit) and len(result.output) < 2000
    assert word.partition("=")[0].rpartition(".")[2] in result.output and not (tmp_path / "run").exists()


def test_heads_that_do_not_divide_the_features_are_refused_before_anything_is_made(data: Path, tmp_path: Path) -> None:
    config = load_config(None, ["model.heads=3", "evaluation.protocol=k-fold", "evaluation.folds=2"])
    with pytest.raises(ConfigError, match="heads"):
        list(train(str(data / "store"), data / "labels.csv", tmp_path / "run", config, device="cpu"))
    assert not (tmp_path / "run").exists()


def test_the_settings_of_the_class_are_checked_as_those_of_a_file() -> None:
    for make in (lambda: TrainingConfig(epochs=0), lambda: ModelConfig(width=MANY), lambda: TrainingConfig(seed=True)):
        with pytest.raises(ConfigError):
            make()


@pytest.mark.parametrize("preset", preset_names())
def test_what_presets_say_is_within_bounds_and_written_so_that_it_is_read(preset: str) -> None:
    tree = config_to_dict(load_config(preset))
    assert config_to_dict(config_from_dict(load_plain_yaml(yaml.safe_dump(tree, sort_keys=False)))) == tree


@pytest.mark.parametrize(
    "words",
    [
        ["import-checkpoint", "x.pth.tar", "--run", "r", "--context", "-1"],
        ["import-checkpoint", "x.pth.tar", "--run", "r", "--context", "1000000000"],
        ["import-checkpoint", "x.pth.tar", "--run", "r", "--clip-length", "0"],
        ["import-checkpoint", "x.pth.tar", "--run", "r", "--clip-length", "1000000000"],
        ["predict", "x", "--run", "r", "--output", "o", "--stride", "0"],
        ["predict", "x", "--run", "r", "--output", "o", "--stride", "9" * 30],
        ["predict", "x", "--run", "r", "--output", "o", "--jobs", "-3"],
        ["check-videos", "x", "--jobs", "0"],
        ["demo", "--seed", "-1"],
    ],
)
def test_a_number_on_the_command_line_has_bounds(words: list[str]) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2 and "not in the range" in result.output


@pytest.mark.parametrize("span_s", [math.nan, math.inf, 0.0, -1.0, 1e9])
def test_the_length_of_a_span_is_a_number_of_seconds(span_s: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--span-s"):
        prepare_labels("amigos", tmp_path, tmp_path / "o.csv", span_s=span_s)


def test_jobs_are_bounded_by_the_work_and_the_cores() -> None:
    assert Workers(40).pool(2) == 2
    assert Workers(10_000).pool(10_000) == max(2, cores())
    assert Workers(2).pool(1000) == 2
    assert Workers(8).pool(1) == 2, "a worker's death must not be this process's"
    assert Workers(40, "dask", "tcp://x:1").pool(2) == 40, "a cluster has cores of its own"


def test_too_many_jobs_are_said_once(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    result = CliRunner().invoke(main, ["check-videos", str(tmp_path), "--jobs", "500"])
    assert result.stderr.count(f"{cores()} at a time") == 1


LAUGHS = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
)
BOMBS = {
    "aliases": f"{LAUGHS}\ntraining: *a11\n",
    "inline": "training: {epochs: [&a [x,x], *a]}\n",
    "merge": "a: &a {epochs: 1}\ntraining: {<<: *a}\n",
    "deep list": "training: " + "[" * 50_000,
    "deep blocks": "".join(" " * n + "a:\n" for n in range(900)),
    "deep mapping": "{a: " * 20_000,
    "deep keys": "? " * 5000,
    "digits": "training: {epochs: " + "9" * 10_000 + "}\n",
    "tag": "training: !!python/object/apply:os.system [id]\n",
    "no number": "training: {epochs: !!int 'x'}\n",
    "empty number": "training: {epochs: !!int ''}\n",
    "empty float": "a: !!float ''\n",
    "no bool": "a: !!bool maybe\n",
    "nul": "training: \x00\n",
    "long": "# " + "x" * (2 << 20),
    "unhashable": "? {a: [1]}\n: 2\n",
}  # fmt: skip
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from affect.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_yaml_bomb_is_refused_where_it_stands(bomb: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(BOMBS[bomb], "utf-8")
    with pytest.raises(NotPlainYamlError) as caught:
        read_plain_yaml(path)
    assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)
    if bomb in ("aliases", "inline", "merge", "deep list", "deep blocks", "deep mapping", "tag"):
        assert str(caught.value).startswith("line ")
    (tmp_path / "labels.csv").write_text("video,subject,start_s,end_s,v\na,b,0,1,1\n")
    (tmp_path / "labels.yaml").write_text(BOMBS[bomb], "utf-8")
    (tmp_path / "config.yaml").write_text(BOMBS[bomb], "utf-8")
    with pytest.raises(ConfigError, match="YAML"):
        load_config(str(path))
    with pytest.raises(ManifestError, match="YAML"):
        read_manifest(tmp_path / "labels.csv")
    with pytest.raises(RunError, match="YAML"):
        RunFolder(tmp_path).config()


def test_a_bomb_takes_neither_memory_nor_time_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(BOMBS["aliases"])
    words = ["check-videos", str(tmp_path), "--config", str(path)]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr and len(done.stderr) < 1000


def test_yaml_as_people_write_it_is_read() -> None:
    text = "a: 1 # c\nb: [1, 2.5, x]\nc:\n  d: 'é'\n  e: null\n"
    assert load_plain_yaml(text) == yaml.safe_load(text) and load_plain_yaml("") is None
    assert load_plain_yaml("[2001-99-99, 2001-01-02]") == ["2001-99-99", "2001-01-02"]  # no setting is a date
    nested = "[" * (MOST_DEPTH - 1) + "]" * (MOST_DEPTH - 1)
    assert load_plain_yaml(nested) is not None


def test_what_is_quoted_has_a_bound() -> None:
    bomb: list[Any] = ["x"] * 10
    for _ in range(12):
        bomb = [bomb] * 10
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (bomb, deep, MANY, "x" * 10**7, {"a": bomb}, {n: n for n in range(10**5)}, b"x" * 10**6):
        assert len(shown(value)) <= 200
    assert shown("a") == "'a'" and shown([1, "b"]) == "[1, 'b']" and shown(1.5) == "1.5"


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, '{"a": ' + "9" * 9000 + "}", "\x00", "[1]", ""])
def test_json_that_is_too_deep_or_no_object_is_our_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(RunError) as caught:
        read_json(path)
    assert str(path) in caught.value.message and len(caught.value.message) < 500 + len(str(path))


HEADER = "video,subject,start_s,end_s"
TABLES: dict[str, Any] = {
    "columns": lambda: HEADER + "," + ",".join(f"c{n}" for n in range(100_000)) + "\n",
    "a million columns": lambda: HEADER + "," * 1_000_000 + "\n",
    "header": lambda: HEADER + "," + "x" * (30 << 20),
    "quoted header": lambda: HEADER + ',"' + "x\n" * (2 << 20),
    "many lines of header": lambda: HEADER + ',"a\n"' * 500_000,
    "name": lambda: HEADER + "," + "x" * 5000 + "\na,b,0,1,1\n",
    "nul": lambda: HEADER + ",v\na,b,0,1,1\n\x00,b,0,1,2\n",
    "video": lambda: HEADER + ",v\n" + "a" * (20 << 20) + ",b,0,1,1\n",
    "number": lambda: HEADER + ",v\na,b,0,1," + "z" * (20 << 20) + "\n",
    "split": lambda: HEADER + ",split,v\na,b,0,1," + "z" * (20 << 20) + ",1\n",
    "twice": lambda: HEADER + "," + ",".join(["v"] * 4000) + "\n",
    "missing": lambda: ",".join(f"c{n}" for n in range(4000)) + "\n",
}  # fmt: skip
READ = """
import resource, sys, time
from pathlib import Path
from affect.cache.manifest import read_manifest
from affect.errors import ManifestError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_manifest(sys.argv[1])
except ManifestError as error:
    assert len(error.message) < 2000, len(error.message)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < 20 * Path(sys.argv[1]).stat().st_size + (100 << 20), grown
    print("refused", error.message)
"""


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_that_is_none_is_refused_within_its_own_size(kind: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TABLES[kind](), "utf-8")
    words: Sequence[str] = [sys.executable, "-c", READ, str(tmp_path / "t.csv")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("refused"), done.stdout + done.stderr[-2000:]


@pytest.mark.parametrize("kind", ["columns", "a million columns", "header"])
def test_a_data_sets_own_table_is_bounded_too(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(TABLES[kind](), "utf-8")
    assert len(header(path)) <= MOST_COLUMNS + 2
    if kind != "header":
        with pytest.raises(ManifestError, match="columns"):
            read_table(path)


def test_a_data_sets_table_that_is_mostly_a_hole_is_refused_unread(tmp_path: Path) -> None:
    for name in ("t.csv", "t.xlsx"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(MOST_BYTES + 1)
        with pytest.raises(ManifestError, match=f"{name} has more than"):
            read_table(tmp_path / name)


def test_a_workbook_that_unfolds_far_beyond_its_size_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w", zipfile.ZIP_DEFLATED) as parts:
        for number in range(4):  # each below the bound
            parts.writestr(f"xl/worksheets/sheet{number}.xml", bytes(MOST_BYTES // 3))
    assert (tmp_path / "t.xlsx").stat().st_size < 1 << 20
    with pytest.raises(ManifestError, match="has more than"):
        read_table(tmp_path / "t.xlsx")


def test_as_many_columns_as_are_allowed_are_read(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(MOST_COLUMNS - 4)]
    path = tmp_path / "t.csv"
    path.write_text(f"{HEADER},{','.join(names)}\n" + f"a,b,0,1,{','.join('1' for _ in names)}\n" * 1)
    assert len(read_manifest(path).targets) == len(names)


def test_every_refusal_crosses_to_another_process(tmp_path: Path) -> None:
    import pickle

    with pytest.raises(AffectError) as caught:
        read_json(tmp_path / "none.json")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert json.loads("{}") == {}
