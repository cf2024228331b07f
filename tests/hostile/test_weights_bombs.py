"""Weights, graphs, checkpoints and models from elsewhere take what their own size explains, and run nothing."""

import json
import math
import os
import pickle
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from affect.cache.records import Recipe, Target
from affect.cache.regular import check_message
from affect.cli import main
from affect.configs.load import load_config
from affect.configs.schema import ClipsConfig, ModelConfig
from affect.errors import AffectError, ConfigError, InputError, RunError, WeightsError
from affect.pipeline.runs.folder import RunFolder, load_run
from affect.pipeline.runs.model_file import ModelCard, read_model, write_model
from affect.stages.features.backbones import load_backbone
from affect.stages.features.backbones.weights import read_state_dict
from affect.stages.temporal.ensemble import Ensemble
from affect.stages.temporal.model import ModelSpec, TemporalModel
from affect.stages.temporal.published import read_published
from affect.stages.temporal.scaling import LabelScaling

pytestmark = pytest.mark.timeout(120)
MOST_GROWTH = 300 << 20  # bytes: far below what any bomb here asks for, above what reading takes


def status(word: str) -> int:
    """Bytes of this process, by a word of its status: VmRSS or its highest, VmHWM."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(word))) << 10


@contextmanager
def little_memory() -> Iterator[None]:
    """Fails if the memory in use has grown much in between, even for a moment."""
    Path("/proc/self/clear_refs").write_text("5")  # the highest is counted anew
    before = status("VmRSS")
    yield
    grown = status("VmHWM") - before
    assert grown < MOST_GROWTH, f"{grown >> 20} MB"


def refused(kind: type[AffectError], call: Any, *words: Any) -> str:
    with little_memory(), pytest.raises(kind) as caught:
        call(*words)
    assert caught.value.exit_code == 2
    assert len(str(caught.value)) < 3000
    return str(caught.value)


NOT_FILES = ["pipe", "device", "folder", "absent", "link to a pipe", "a nul"]


def not_a_file(kind: str, folder: Path, name: str = "w.pth") -> Path:
    path = folder / name
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "link to a pipe":
        os.mkfifo(folder / "pipe")
        path.symlink_to(folder / "pipe")
    elif kind == "a nul":
        return folder / "a\0b.pth"
    return path


@pytest.mark.parametrize("kind", NOT_FILES)
def test_what_is_no_regular_file_is_opened_nowhere(kind: str, tmp_path: Path) -> None:
    path = not_a_file(kind, tmp_path)
    refused(WeightsError, load_backbone, "resnet18", path)
    refused(WeightsError, load_backbone, f"onnx:{path}")
    refused(WeightsError, read_state_dict, path)
    refused(WeightsError, read_published, path)
    refused(RunError, read_model, path)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_run_of_pipes_and_devices_is_refused(kind: str, tmp_path: Path) -> None:
    for number, name in enumerate(["config.yaml", "folds/0/fold.json", "folds/0/model.safetensors"]):
        run = make_run(tmp_path / str(number))
        (run / name).unlink()
        not_a_file(kind, (run / name).parent, Path(name).name)
        refused(RunError, load_run, run)


def zip_of(path: Path, name: str, size: int) -> Path:
    """What torch saves, packed again, with a part of `size` zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w", force_zip64=True) as part:
        for _ in range(size >> 24):
            part.write(bytes(1 << 24))
    return path


@pytest.mark.parametrize("name", ["w/data.pkl", "w/data/0", "w/version"])
def test_an_archive_that_would_grow_is_not_unpacked(name: str, tmp_path: Path) -> None:
    file = zip_of(tmp_path / "pid_1.pth.tar", name, 768 << 20)
    assert file.stat().st_size < 1 << 20
    assert "would unpack to" in refused(WeightsError, read_published, file)
    assert "would unpack to" in refused(WeightsError, load_backbone, "resnet18", file)
    result = CliRunner().invoke(main, ["import-checkpoint", str(file), "--run", str(tmp_path / "run")])
    assert result.exit_code == 2 and not (tmp_path / "run").exists()


def test_an_archive_whose_parts_are_one_piece_of_it_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("w/data/0", bytes(1 << 20))
        for number in range(1, 200):  # the directory says 200 parts, the bytes are there once
            copy = zipfile.ZipInfo(f"w/data/{number}")
            copy.file_size, copy.compress_size, copy.header_offset, copy.CRC = 1 << 20, 1 << 20, 0, 0
            archive.filelist.append(copy)
    assert "would unpack to" in refused(WeightsError, read_state_dict, file)


def test_a_tensor_that_repeats_what_is_stored_once_is_refused(tmp_path: Path) -> None:
    huge = torch.zeros(1).expand(10**12)
    state = dict(load_backbone("squeezenet1_1", "random").net.state_dict())
    for number, content in enumerate([{"a": huge}, {**state, "features.0.weight": torch.ones(1).expand(64, 10**10)}]):
        file = tmp_path / f"{number}.pth"
        torch.save(content, file)
        assert "speak of tensors" in refused(WeightsError, load_backbone, "squeezenet1_1", file)
    sections: dict[str, Any] = {"epoch": 1, "backbone": {"module.backbone.conv1_conv.weight": huge}}
    torch.save({**sections, "neck": {"a": torch.zeros(1)}, "head": {"a": huge}}, tmp_path / "pid.pth.tar")
    refused(WeightsError, read_published, tmp_path / "pid.pth.tar")


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(2, 2).to_sparse(), torch.zeros(3, device="meta"), torch.zeros(3, dtype=torch.complex64)],
    ids=["sparse", "meta", "complex"],
)
def test_tensors_of_other_kinds_are_refused(tensor: torch.Tensor, tmp_path: Path) -> None:
    state = dict(load_backbone("squeezenet1_1", "random").net.state_dict())
    torch.save({**state, "features.0.bias": tensor}, tmp_path / "w.pth")
    refused(WeightsError, load_backbone, "squeezenet1_1", tmp_path / "w.pth")


def deep_pickle() -> bytes:
    return b"\x80\x02" + b"(" * 200_000 + b"l" * 200_000 + b"."


DAMAGED = {
    "nothing": b"",
    "a header of 10^18 bytes": struct.pack("<Q", 10**18) + b"{}",
    "a shape of 10^12": struct.pack("<Q", 62) + b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}',
    "a deep header": struct.pack("<Q", 200_000) + b"[" * 200_000,
    "a deep pickle": deep_pickle(),
    "a large bytearray": b"\x80\x02cbuiltins\nbytearray\n\x8a\x08" + struct.pack("<Q", 10**15) + b"\x85R.",
    "half an archive": b"PK\x03\x04" + bytes(100),
    "an archive's end": b"PK\x03\x04" + b"PK\x05\x06" + b"\xff" * 18,
    "text": b"import os\n",
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_files_are_refused_in_our_words(content: bytes, tmp_path: Path) -> None:
    for name in ("w.pth", "w.safetensors", "w.onnx"):
        (tmp_path / name).write_bytes(content)
    refused(WeightsError, read_state_dict, tmp_path / "w.pth")
    refused(WeightsError, read_state_dict, tmp_path / "w.safetensors")
    refused(WeightsError, read_published, tmp_path / "w.pth")
    refused(WeightsError, load_backbone, f"onnx:{tmp_path / 'w.onnx'}")
    refused(RunError, read_model, tmp_path / "w.safetensors")


def test_a_wrapper_around_a_wrapper_without_end_is_given_up(tmp_path: Path) -> None:
    torch.save({"module." * 100_000 + "w": torch.zeros(1)}, tmp_path / "w.pth")
    refused(WeightsError, load_backbone, "squeezenet1_1", tmp_path / "w.pth")


@pytest.mark.parametrize(
    "changes",
    [
        {"head": {"fc1.weight": torch.zeros(())}},
        {"neck": {"transformer.layers.0.linear1.weight": torch.zeros(())}},
        {"neck": {f"transformer.layers.{number}.linear1.weight": torch.zeros(1, 1) for number in range(5000)}},
        {"epoch": math.inf},
        {"epoch": "soon"},
        {"backbone": {}},
        {"head": {("fc", "1"): torch.zeros(1)}},
    ],
    ids=str,
)
def test_checkpoints_with_odd_parts_are_refused_in_our_words(changes: dict[str, Any], tmp_path: Path) -> None:
    content: dict[str, Any] = {
        "epoch": 1,
        "backbone": {"backbone.conv1_conv.weight": torch.zeros(1), "dim_reduction.weight": torch.zeros(16, 32)},
        "neck": {"transformer.layers.0.linear1.weight": torch.zeros(8, 16)},
        "head": {"fc1.weight": torch.zeros(1, 16), "fc2.weight": torch.zeros(1, 16)},
    }
    torch.save(content | changes, tmp_path / "pid.pth.tar")
    refused(InputError, read_published, tmp_path / "pid.pth.tar")


# --- graphs


def graph(file: Path, *, name: str = "pool", domain: str = "", **changes: Any) -> onnx.ModelProto:
    """A small network with one matrix, whose first node has that name and domain."""
    matrix = numpy_helper.from_array(np.ones((3, 4), np.float32), "matrix")
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"], name=name, domain=domain),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["y"]),
    ]
    made = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, changes.get("shape", ("n", 3, 32, 32)))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], [matrix],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    model = helper.make_model(made, opset_imports=opsets, ir_version=9)
    onnx.save(model, file)
    return model


INJECTED = [
    'x") if not getattr(__import__("os"), "mkdir")("{mark}") else getattr(self, "x',
    'x"), getattr(__import__("os"), "mkdir")("{mark}"), getattr(self, "x',
    '__import__("os")',
    "a\nimport os",
]


@pytest.mark.parametrize("place", ["node", "graph", "output", "input", "domain"])
@pytest.mark.parametrize("text", INJECTED)
def test_no_name_in_a_graph_becomes_code(place: str, text: str, tmp_path: Path) -> None:
    mark, file = tmp_path / "ran", tmp_path / "net.onnx"
    text = text.replace("{mark}", str(mark).replace(".", "/"))
    model = graph(file)
    if place == "node":
        for node in model.graph.node:
            node.name = text
    elif place == "graph":
        model.graph.name = text
    elif place == "domain":
        model.graph.node[0].domain = text
        model.opset_import.append(helper.make_opsetid(text, 1))
    elif place == "output":
        model.graph.output[0].name = model.graph.node[2].output[0] = text
    else:
        model.graph.input[0].name = model.graph.node[0].input[0] = text
    onnx.save(model, file)
    if place == "domain":
        assert "operators of" in refused(WeightsError, load_backbone, f"onnx:{file}")
    else:
        assert load_backbone(f"onnx:{file}").feature_size == 4
    assert not mark.exists()


@pytest.mark.parametrize("domain", ["com.example", "ai.onnx.contrib", "com.microsoft", "os:system"])
def test_operators_that_are_not_onnxs_own_are_refused(domain: str, tmp_path: Path) -> None:
    graph(tmp_path / "net.onnx", domain=domain)
    assert domain in refused(WeightsError, load_backbone, f"onnx:{tmp_path / 'net.onnx'}")


def outside(file: Path, location: str, *, length: int | None = None, offset: int = 0, dims: tuple[int, ...] = (3, 4),
            in_node: bool = False) -> Path:  # fmt: skip
    """The small network with its matrix in another file."""
    model = graph(file)
    tensor = model.graph.initializer[0]
    if in_node:
        model.graph.node.insert(0, helper.make_node("Constant", [], ["matrix"], value=tensor))
        tensor = model.graph.node[0].attribute[0].t
        del model.graph.initializer[:]
    tensor.ClearField("raw_data")
    del tensor.dims[:]
    tensor.dims.extend(dims)
    tensor.data_location = TensorProto.EXTERNAL
    pairs = {"location": location, "offset": offset} | ({} if length is None else {"length": length})
    for key, value in pairs.items():
        tensor.external_data.add(key=key, value=str(value))
    file.write_bytes(model.SerializeToString())
    return file


@pytest.mark.parametrize("in_node", [False, True])
def test_tensors_in_another_file_are_read_from_a_regular_file_beside_the_model_alone(
    in_node: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    file, numbers = folder / "net.onnx", np.ones((3, 4), np.float32).tobytes()
    (tmp_path / "secret").write_bytes(numbers)
    (folder / "good").write_bytes(numbers)
    assert load_backbone(f"onnx:{outside(file, 'good', in_node=in_node)}").feature_size == 4
    assert load_backbone(f"onnx:{outside(file, 'good', length=48, in_node=in_node)}").feature_size == 4
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "zero").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe")
    with (folder / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 40)
    (folder / "short").write_bytes(numbers[:-1])
    for location in ("/dev/zero", "zero", "pipe", "link", "../secret", str(tmp_path / "secret"), "sparse", "short",
                     "absent", "", ".", "a\0b", "/proc/self/environ"):  # fmt: skip
        refused(WeightsError, load_backbone, f"onnx:{outside(file, location, in_node=in_node)}")
    for changes in ({"length": 40}, {"length": 1 << 40}, {"offset": 8}, {"offset": -8}, {"offset": 1 << 62},
                    {"dims": (3, 1 << 40)}, {"dims": (-3, 4)}, {"dims": (1 << 62, 1 << 62)}):  # fmt: skip
        refused(WeightsError, load_backbone, f"onnx:{outside(file, 'good', **changes, in_node=in_node)}")


@pytest.mark.parametrize("side", [0, 10**9, 1 << 62])
def test_an_input_of_any_size_is_refused(side: int, tmp_path: Path) -> None:
    graph(tmp_path / "net.onnx", shape=("n", 3, side, side))
    (tmp_path / "net.onnx.json").write_text(json.dumps({"input_size": side} if side == 0 else {}))
    refused(InputError, load_backbone, f"onnx:{tmp_path / 'net.onnx'}")


BESIDE = [
    "[" * 200_000,
    '{"interpolation": "x"}',
    '{"std": [0, 1, 1]}',
    '{"mean": [NaN, 1, 1]}',
    '{"input_size": 1000000000}',
    '{"input_size": "a"}',
    '{"input_size": true}',
]


@pytest.mark.parametrize("text", BESIDE, ids=lambda text: text[:30])
def test_settings_beside_a_graph_are_checked(text: str, tmp_path: Path) -> None:
    graph(tmp_path / "net.onnx")
    (tmp_path / "net.onnx.json").write_text(text)
    refused(ConfigError, load_backbone, f"onnx:{tmp_path / 'net.onnx'}")


def test_a_pipe_beside_a_graph_is_not_opened(tmp_path: Path) -> None:
    graph(tmp_path / "net.onnx")
    os.mkfifo(tmp_path / "net.onnx.json")
    refused(ConfigError, load_backbone, f"onnx:{tmp_path / 'net.onnx'}")


# --- models of a run

MODEL = ModelConfig(width=16, heads=2, layers=1, feed_forward=8)
CLIPS = ClipsConfig(length=4, context=1)
TARGETS = (Target("valence", -1.0, 1.0), Target("N1", 1.0, 7.0, "points"))


def make_run(path: Path) -> Path:
    """A run of one untrained model."""
    config = load_config(None, ["model.width=16", "model.heads=2", "model.layers=1", "model.feed_forward=8"])
    folder = RunFolder.create(path, config, {}, resume=False)
    spec = ModelSpec(12, ("valence", "N1"), CLIPS.length, CLIPS.context, MODEL)
    recipe = Recipe({"backbone": "made", "precision": "fp32"})
    card = ModelCard(spec, recipe, CLIPS, LabelScaling.from_ranges(TARGETS), TARGETS, {"valence": 0.1, "N1": 3.0})
    digest = write_model(folder.folds / "0" / "model.safetensors", Ensemble([TemporalModel(spec)]), card)
    folder.write_json("folds/0/fold.json", {"model_sha256": digest})
    return path


def rewritten(file: Path, change: Any, metadata: str | None = None, tensors: dict[str, Any] | None = None) -> Path:
    """The model file with another card, under another digest: nothing of it is keyed."""
    with safetensors.safe_open(file, framework="pt") as opened:
        card = json.loads(opened.metadata()["affect"])
        held = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no dict
    change(card)
    text = json.dumps(card) if metadata is None else metadata
    file.write_bytes(safetensors.torch.save({**held, **(tensors or {})}, {"affect": text}))
    return file


def put(path: str, value: Any) -> Any:
    def change(card: dict[str, Any]) -> None:
        *places, last = path.split(".")
        inner: Any = card
        for place in places:
            inner = inner[place]
        inner[last] = value

    return change


def each(where: str, *values: Any) -> list[tuple[str, Any]]:
    """The same place of a card, with one value after another."""
    return [(where, value) for value in values]


CARDS: list[tuple[str, Any]] = [
    *each("spec.config.layers", 2, 10**6, 10**30, -1, 0, "many", 1.5, None),
    *each("spec.config.width", 10**7, 32, 10**30, -5, 0, None),
    *each("spec.config.heads", 3, 10**9, 10**30, 0),
    *each("spec.config.feed_forward", 10**9, 10**30, 0),
    *each("spec.feature_size", 10**12, 10**30, 13, -1, 0, "x", 1e999, []),
    *each("spec.clip_length", 10**9, 0, -1, 1e999),
    *each("spec.context", 0, -1, 10**9),
    *each("spec.targets", [], ["valence"], ["valence", "valence"], ["valence", "other"], [[]], 3),
    *each("spec.targets", [str(number) for number in range(20_000)]),
    ("spec.config.total_target", "nobody"),
    ("spec.config.total_target", "N1"),
    *each("ranges.N1", [math.nan, 1], [1, 1], [7, 1], [1, math.inf], [1], "ab", [1e999, 2]),
    ("ranges", {}),
    ("ranges", []),
    ("scaling.targets", ["other", "valence"]),
    ("scaling.offset", [0.0]),
    ("scaling.scale", [0.0, 1.0]),
    ("scaling.scale", [math.nan, 1.0]),
    ("units.N1", 7),
    ("units", None),
    ("training_mean.N1", math.nan),
    ("training_mean.other", 1.0),
    ("clips.length", 10**9),
    ("clips", []),
    ("recipe", {"backbone": "other"}),
    ("recipe", 3),
    ("format_version", 3),
    ("format_version", 1),
    ("format_version", True),
    ("format_version", "x" * 10**6),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), CARDS, ids=lambda value: str(value)[:30])
def test_a_card_that_its_file_does_not_bear_out_is_refused_before_anything_is_made(
    path: str, value: Any, tmp_path: Path
) -> None:
    file = make_run(tmp_path / "run") / "folds" / "0" / "model.safetensors"
    read_model(file)
    rewritten(file, put(path, value))
    assert str(file) in refused(RunError, read_model, file)


@pytest.mark.parametrize(
    "metadata", ["[" * 200_000, "{}", "3", "{", '{"format_version": 1}'], ids=lambda text: text[:30]
)
def test_a_card_that_is_none_is_refused(metadata: str, tmp_path: Path) -> None:
    file = make_run(tmp_path / "run") / "folds" / "0" / "model.safetensors"
    refused(RunError, read_model, rewritten(file, lambda card: None, metadata))


def test_tensors_that_the_specification_does_not_speak_of_are_refused(tmp_path: Path) -> None:
    file = make_run(tmp_path / "run") / "folds" / "0" / "model.safetensors"
    more: list[dict[str, torch.Tensor]] = [
        {"more": torch.zeros(1)},
        {"feature_mean": torch.zeros(13)},
        {"feature_mean": torch.zeros(12, dtype=torch.float64)},
        {"head.slice_bias": torch.zeros(())},
    ]
    whole = file.read_bytes()
    for tensors in more:
        file.write_bytes(whole)
        refused(RunError, read_model, rewritten(file, lambda card: None, None, tensors))


def test_a_deep_or_odd_record_of_a_fold_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    for text in ("[" * 200_000, '{"model_sha256": 7}', "{" * 100, "\xff"):
        (run / "folds" / "0" / "fold.json").write_bytes(text.encode("latin-1"))
        refused(RunError, load_run, run)


LAUGHS = "training:\n  epochs:\n  - &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"  - &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]\n" for number in range(1, 10)
)
MERGES = "training:\n  epochs:\n  - &a0 {x: 1, y: 2}\n" + "".join(
    f"  - &a{number} {{<<: [{', '.join([f'*a{number - 1}'] * 9)}]}}\n" for number in range(1, 10)
)
SETTINGS = {
    "aliases": LAUGHS,
    "merges": MERGES,
    "itself": "training: &t {epochs: *t}\n",
    "deep": "training: " + "[" * 20_000,
    "long": "x" * (2 << 20),
    "a long key": "k" * 500_000 + ": 1\n",
    "a long value": "training: {epochs: " + "k" * 500_000 + "}\n",
    "a date": "training: {epochs: 2001-99-99}\n",
    "a tag": "training: {epochs: !!timestamp x}\n",
    "no number": "training: {epochs: !!int ''}\n",
    "python": "training: {epochs: !!python/object/apply:os.system [true]}\n",
    "a number": f"training: {{epochs: {'9' * 5000}}}\n",
    "bytes": "\x00",
    "no utf-8": "\udcff",
}


@pytest.mark.parametrize("text", SETTINGS.values(), ids=SETTINGS.keys())
def test_settings_take_no_more_than_they_are(text: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    refused(ConfigError, load_config, str(file))
    run = make_run(tmp_path / "run")
    (run / "config.yaml").write_bytes(file.read_bytes())
    refused(RunError, RunFolder(run).config)


def test_a_pickle_in_the_place_of_a_model_is_not_opened(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Hostile()))
    refused(RunError, read_model, tmp_path / "model.safetensors")
    assert not (tmp_path / "ran").exists()


def test_a_graph_that_goes_on_as_a_hole_or_is_cut_is_refused_unread(tmp_path: Path) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in "xy"]
    data = helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:])).SerializeToString()
    for tail, size in ((b"", 8 << 30), (b"\x00", len(data) + 1), (b"\x0a\xff\xff\xff\x7f", len(data) + 5)):
        file = tmp_path / "net.onnx"
        file.write_bytes(data + tail)
        os.truncate(file, size)
        with pytest.raises(WeightsError, match="cannot be read as ONNX"):
            load_backbone(f"onnx:{file}")
    (tmp_path / "net.onnx").write_bytes(data[:-3])
    with pytest.raises(WeightsError, match="cannot be read as ONNX"):
        load_backbone(f"onnx:{tmp_path / 'net.onnx'}")
    (tmp_path / "net.onnx").write_bytes(data)
    check_message(tmp_path / "net.onnx")
