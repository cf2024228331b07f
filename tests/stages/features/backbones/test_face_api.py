"""The face-api networks: the numbers of the package's files, from a folder or an archive, and of no other."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from affect.errors import ConfigError, WeightsError
from affect.stages.features.backbones import face_api_files
from affect.stages.features.backbones.face_api import EXPRESSIONS, FaceApi
from affect.stages.features.backbones.face_api_files import EXPRESSION, IN_PACKAGE, KNOWN, LANDMARKS, Kind, located
from affect.stages.features.backbones.load import load_backbone, weights_of
from affect.stages.features.prepare import prepare

Array = np.ndarray[Any, Any]
Files = dict[str, bytes]
WIDTHS = (3, 32, 64, 128, 256)


def shapes(outputs: int) -> dict[str, tuple[int, ...]]:
    """The file's names of the weights, in its order."""
    found: dict[str, tuple[int, ...]] = {}
    for block in range(4):
        given, made = WIDTHS[block : block + 2]
        for layer in range(4):
            name, into = f"dense{block}/conv{layer}", given if layer == 0 else made
            if block == layer == 0:
                found[f"{name}/filters"] = (3, 3, into, made)
            else:
                found[f"{name}/depthwise_filter"] = (3, 3, into, 1)
                found[f"{name}/pointwise_filter"] = (1, 1, into, made)
            found[f"{name}/bias"] = (made,)
    return {**found, "fc/weights": (256, outputs), "fc/bias": (outputs,)}


def drawn(kind: Kind, outputs: int, seed: int) -> tuple[Files, dict[str, Array]]:
    """Both files of one network, and the numbers in them; biases are stored as they are, all else in bytes."""
    draw = np.random.default_rng(seed)
    entries: list[dict[str, Any]] = []
    state: dict[str, Array] = {}
    data = b""
    for name, shape in shapes(outputs).items():
        entry: dict[str, Any] = {"name": name, "shape": list(shape), "dtype": "float32"}
        if name.endswith("bias"):
            state[name] = draw.standard_normal(shape).astype("<f4") * np.float32(0.1)
            data += state[name].tobytes()
        else:
            values = draw.integers(0, 256, shape).astype(np.uint8)
            fan_in = shape[0] * shape[1] * (1 if name.endswith("depthwise_filter") else shape[-2])
            scale = 2 / 255 / np.sqrt(fan_in)
            entry["quantization"] = {"dtype": "uint8", "scale": scale, "min": -100 * scale}
            state[name] = values * scale - 100 * scale
            data += values.tobytes()
        entries.append(entry)
    manifest = json.dumps([{"paths": [kind.values], "weights": entries}]).encode()
    return {kind.manifest: manifest, kind.values: data}, state


@pytest.fixture(scope="module")
def networks() -> tuple[Files, dict[str, dict[str, Array]]]:
    expression, landmarks = drawn(EXPRESSION, 7, 0), drawn(LANDMARKS, 136, 1)
    return expression[0] | landmarks[0], {"expression": expression[1], "landmarks": landmarks[1]}


@pytest.fixture
def files(networks: tuple[Files, dict[str, dict[str, Array]]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    """Files of the format with drawn numbers, taken for the known ones."""
    known = {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in networks[0].items()}
    monkeypatch.setattr(face_api_files, "KNOWN", known)
    yield dict(networks[0])


def write_folder(folder: Path, files: Files) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def write_archive(
    file: Path, files: Files, members: tuple[tarfile.TarInfo, ...] = (), inside: str = IN_PACKAGE
) -> Path:
    """An archive like npm's: `members` first, of no content."""
    with tarfile.open(file, "w:gz") as archive:
        for member in members:
            archive.addfile(member)
        for name, data in files.items():
            member = tarfile.TarInfo(inside + name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file


def same(maps: Array, stride: int) -> Array:
    """TensorFlow's padding: as many places come out as there are strides, the odd one more behind."""
    pads = []
    for size in maps.shape[:2]:
        whole = max((-(-size // stride) - 1) * stride + 3 - size, 0)
        pads.append((whole // 2, whole - whole // 2))
    return np.pad(maps, [*pads, (0, 0)])


def convolved(maps: Array, state: dict[str, Array], name: str, stride: int) -> Array:
    """(H, W, C) through one convolution of the file, offset by offset."""
    padded, size = same(maps, stride), -(-maps.shape[0] // stride)
    ordinary = state.get(f"{name}/filters")
    kernel = state[f"{name}/depthwise_filter"] if ordinary is None else ordinary
    total: Any = 0
    for row in range(3):
        for column in range(3):
            part = padded[row::stride, column::stride][:size, :size]
            total = total + (part @ kernel[row, column] if ordinary is not None else part * kernel[row, column, :, 0])
    if ordinary is None:
        total = total @ state[f"{name}/pointwise_filter"][0, 0]
    return np.asarray(total + state[f"{name}/bias"])


def reference(image: Array, state: dict[str, Array]) -> dict[str, Array]:
    """What one network gives for an (112, 112, 3) image, in float64."""
    maps, found = (image.astype(float) - [122.782, 117.001, 104.298]) / 255, {}
    for block in range(4):
        a = np.maximum(convolved(maps, state, f"dense{block}/conv0", 2), 0)
        b = convolved(a, state, f"dense{block}/conv1", 1)
        c = convolved(np.maximum(a + b, 0), state, f"dense{block}/conv2", 1)
        d = convolved(np.maximum(a + b + c, 0), state, f"dense{block}/conv3", 1)
        maps = np.maximum(a + b + c + d, 0)
        found[f"dense{block}"] = maps.mean((0, 1))
    found["pooled"] = found["dense3"]
    found["output"] = found["pooled"] @ state["fc/weights"] + state["fc/bias"]
    return found


def test_both_networks_give_what_their_files_say(
    files: Files, networks: tuple[Files, dict[str, dict[str, Array]]], photographs: torch.Tensor, tmp_path: Path
) -> None:
    image = photographs[:1, 20:132, 20:132]
    folder = write_folder(tmp_path / "weights", files)
    for part, output in (("expression", "logits"), ("landmarks", "points")):
        wanted = reference(image[0].numpy(), networks[1][part])
        for layer in ("dense0", "dense2", "dense3", "pooled", output):
            expected = torch.from_numpy(wanted["output" if layer == output else layer])[None].float()
            backbone = load_backbone("face-api", folder, taps=f"{part}.{layer}")
            for ready in (backbone, prepare(backbone, "cpu")):
                torch.testing.assert_close(ready(ready.preprocess(image)), expected, rtol=1e-4, atol=1e-4)


def test_its_own_taps_are_expressions_a_middle_layer_and_points(files: Files, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "weights", files)
    backbone = load_backbone("face-api", folder)
    assert backbone.description()["taps"] == "expression.logits:1,landmarks.dense2:1,landmarks.points:1"
    assert backbone.feature_size == 7 + 128 + 136
    assert load_backbone("face-api", folder, taps="pooled").feature_size == len(EXPRESSIONS) + 136


def test_a_folder_a_package_and_its_archive_are_the_same_weights(files: Files, tmp_path: Path) -> None:
    places = [
        write_folder(tmp_path / "bare", files),
        write_folder(tmp_path / "unpacked" / "package" / "model", files).parent.parent,
        write_folder(tmp_path / "package" / "model", files).parent,
        write_archive(tmp_path / "package.tgz", files),
    ]
    found = [load_backbone("face-api", place) for place in places]
    assert len({str(backbone.description()) for backbone in found}) == 1
    for place in places:
        assert weights_of("face-api", place) == (place.resolve(), found[0].weights_sha256)


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("archived", [False, True])
def test_a_file_that_is_not_the_packages_is_refused_before_it_is_read(
    files: Files, tmp_path: Path, name: str, archived: bool
) -> None:
    def place(data: bytes | None) -> Path:
        others = {key: value for key, value in files.items() if key != name}
        given = others if data is None else others | {name: data}
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        return write_archive(folder, given) if archived else write_folder(folder, given)

    changed = bytearray(files[name])
    changed[len(changed) // 2] ^= 1
    for data in (bytes(changed), files[name][:-1], files[name] + b"\0", b"", b"[" * 6000, b"\xff" * 7000):
        with pytest.raises(WeightsError, match=rf"{name}.*\n.*npm pack"):
            load_backbone("face-api", place(data))
    with pytest.raises(WeightsError, match=f"lack {name}"):
        load_backbone("face-api", place(None))


def test_what_is_no_folder_and_no_archive_is_refused(files: Files, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("no archive")
    whole = write_archive(tmp_path / "package.tgz", files).read_bytes()
    (tmp_path / "short").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "scratched").write_bytes(whole[:3000] + b"\0" * 3000 + whole[6000:])
    (tmp_path / "gzip").write_bytes(gzip.compress(b"no archive"))
    for place in ("empty", "text", "short", "scratched", "gzip", "none", "/dev/null", "a\0b"):
        with pytest.raises(WeightsError, match="npm pack"):
            load_backbone("face-api", tmp_path / place)
    with pytest.raises(WeightsError, match=r"needs its weights.*\n.*npm pack"):
        load_backbone("face-api")


def special(name: str, kind: bytes, **more: Any) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    for key, value in more.items():
        setattr(member, key, value)
    return member


def test_links_devices_and_paths_of_an_archive_lead_nowhere(files: Files, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(files[EXPRESSION.values])
    name = IN_PACKAGE + EXPRESSION.values
    others = {key: data for key, data in files.items() if key != EXPRESSION.values}
    kinds: list[Callable[[], tarfile.TarInfo]] = [
        lambda: special(name, tarfile.SYMTYPE, linkname=str(secret)),
        lambda: special(name, tarfile.LNKTYPE, linkname=str(secret)),
        lambda: special(name, tarfile.FIFOTYPE),
        lambda: special(name, tarfile.CHRTYPE, devmajor=1, devminor=5),
        lambda: special(name, tarfile.DIRTYPE),
    ]
    for number, kind in enumerate(kinds):
        with pytest.raises(WeightsError, match=f"lack {EXPRESSION.values}"):
            load_backbone("face-api", write_archive(tmp_path / f"{number}.tgz", others, (kind(),)))
        # In front of the file itself, such a member is passed over.
        load_backbone("face-api", write_archive(tmp_path / f"whole{number}.tgz", files, (kind(),)))
    for inside in ("../", "/", "package/", f"../{IN_PACKAGE}", str(tmp_path) + "/"):
        with pytest.raises(WeightsError, match="lack"):
            load_backbone("face-api", write_archive(tmp_path / "elsewhere.tgz", files, inside=inside))
    assert {path.suffix for path in tmp_path.iterdir()} <= {".tgz", ""}, "nothing was unpacked"


def test_an_archive_that_would_grow_is_refused_after_a_bounded_part_of_it(files: Files, tmp_path: Path) -> None:
    zeros = b"\0" * (64 << 20)
    bombs = {
        "member": write_archive(tmp_path / "member.tgz", {"zeros": zeros, **dict.fromkeys(files, b"")}),
        "blocks": tmp_path / "blocks.tgz",
        "header": tmp_path / "header.tgz",
    }
    bombs["blocks"].write_bytes(gzip.compress(zeros))
    header = special("x", b"x", size=len(zeros)).tobuf()  # a PAX header of 64 MiB
    bombs["header"].write_bytes(gzip.compress(header + zeros))
    for bomb in bombs.values():
        with pytest.raises(WeightsError):
            load_backbone("face-api", bomb)
    with pytest.raises(WeightsError, match="unpacks to more than"):
        load_backbone("face-api", bombs["member"])


def test_a_folder_may_be_a_link_and_its_place_is_the_real_one(files: Files, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "real", files)
    (tmp_path / "link").symlink_to(folder)
    assert located(tmp_path / "link") == folder
    load_backbone("face-api", tmp_path / "link")


def test_its_networks_can_be_looked_at_without_weights() -> None:
    drawn_net = load_backbone("face-api", "random")
    assert sum(weight.numel() for weight in FaceApi().parameters()) == sum(
        int(np.prod(shape)) for outputs in (7, 136) for shape in shapes(outputs).values()
    )
    with pytest.raises(ConfigError, match=r"near it are landmarks\.dense2"):
        load_backbone("face-api", "random", taps="landmark.dense2")
    assert drawn_net.weights_name == "random"


def shared(root: Path) -> tuple[Path, Path]:
    weights, numbers = root.parent / "shared" / "weights" / "face-api", root.parent / "shared" / "reference"
    if not (weights.is_dir() and (numbers / "face_api.npz").is_file()):
        pytest.skip("the weights are not here")
    return weights, numbers / "face_api.npz"


@pytest.mark.parametrize("part", ["expression", "landmarks"])
def test_the_packages_own_weights_give_the_golden_numbers(root: Path, part: str) -> None:
    weights, numbers = shared(root)
    golden = np.load(numbers)
    output = {"expression": "logits", "landmarks": "points"}[part]
    for layer, key in ((output, "output"), ("pooled", "pooled"), ("dense2", "stage3_mean")):
        backbone = load_backbone("face-api", weights, taps=f"{part}.{layer}")
        expected = torch.from_numpy(golden[f"{part}/{key}"])
        for ready in (backbone, prepare(backbone, "cpu")):
            found = ready(ready.preprocess(torch.from_numpy(golden["image"])))
            assert (found - expected).abs().max() < 1e-4 * expected.std()
