"""What goes wrong with tables, settings, weights, networks, recordings and keys."""

import os

import onnx
import torch
import yaml
from onnx import TensorProto, helper
from safetensors.torch import load_file, save

from affect.tests.hostile.changes import (
    Mutator,
    Work,
    as_json,
    as_yaml,
    code,
    swapped,
    table_text,
)
from affect.tests.hostile.hidden_code import CODE, evil


def yaml_bomb(*names: str) -> Mutator:
    """Aliases, tags, depth, duplicate keys."""

    def change(work: Work) -> tuple[str, str]:
        path = work.folder / work.draw.choice(names)
        laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 10)
        )
        way, text = work.draw.choice([
            ("laughs", laughs),
            ("laughs in a value", "training:\n  epochs: &e " + nested_aliases() + "\n"),
            ("laughs in ranges", "targets:\n  valence: {range: " + nested_aliases() + "}\n"),
            ("itself", "features: &a\n  faces: *a\n"),
            ("tag", f"!!python/object/apply:os.mkdir ['{work.outside / 'pwned'}']\n"),
            ("tag inside", f"features:\n  backbone: !!python/object/apply:os.mkdir ['{work.outside / 'pwned'}']\n"),
            ("module", "features: !!python/module:received_code\n"),
            ("deep", "features: " + "{a: " * 5000 + "1" + "}" * 5000 + "\n"),
            ("deep list", "[" * 20_000),
            ("twice", path.read_text() + "\n" + path.read_text()),
            ("documents", path.read_text() + "\n---\n" + path.read_text()),
            ("long number", "training:\n  epochs: " + "9" * 100_000 + "\n"),
            ("sexagesimal", "training:\n  epochs: 1" + ":59" * 20_000 + "\n"),
            ("binary", "features:\n  backbone: !!binary " + "A" * 1000 + "\n"),
            ("merge", "<<: [{a: 1}, {b: 2}]\nfeatures: {<<: {<<: {}}}\n"),
            ("nul", "features:\n  backbone: \"\\0\"\n"),
            ("utf-16", ""),
        ])  # fmt: skip
        if way == "utf-16":
            path.write_bytes(path.read_text().encode("utf-16"))
        else:
            path.write_text(text)
        return f"{work.name(path)}: {way}", ""

    return change


def nested_aliases() -> str:
    """A billion laughs as a value."""
    text = "&b0 [x, x, x, x, x, x, x, x, x]"
    for level in range(1, 9):
        text = f"&b{level} [{text}, {', '.join([f'*b{level - 1}'] * 8)}]"
    return text


def settings(work: Work) -> tuple[str, str]:
    """A value in a configuration file, or a setting that names code."""
    path = work.folder / "config.yaml"
    tree = yaml.safe_load(path.read_text())
    if work.draw.random() < 0.3:
        name, weights = work.draw.choice(CODE)
        (work.folder / "notes.txt").write_text(code(work))
        (work.folder / "received_code.py").write_text(code(work))
        tree["features"] |= {"backbone": name, "weights": weights and str(work.folder / weights)}
        said = f"backbone {name}"
    else:
        tree, said = swapped(work, tree)
    path.write_text(as_yaml(work, tree))
    return f"config.yaml: {said}", ""


def sidecar(work: Work) -> tuple[str, str]:
    """A value beside the label table."""
    path = work.folder / "labels.yaml"
    tree, said = swapped(work, yaml.safe_load(path.read_text()))
    path.write_text(as_yaml(work, tree))
    return f"labels.yaml: {said}", ""


def label_table(work: Work) -> tuple[str, str]:
    """A cell, a column or the form of a table of labels."""
    path = work.file("labels.csv", "omg/*.csv") if (work.folder / "omg").exists() else work.folder / "labels.csv"
    text = table_text(work, path)
    encoding = work.draw.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"])
    path.write_bytes(text.encode(encoding, "replace"))
    return f"{work.name(path)}: another table in {encoding}", ""


def weights_file(work: Work) -> tuple[str, str]:
    """A file of weights with a pickle, a bomb or other tensors in it."""
    path = work.file("net.pth", "net.safetensors", "pid_1.pth.tar")
    if path.suffix != ".safetensors" or work.draw.random() < 0.3:
        path.write_bytes(evil(work))
        return f"{path.name}: a pickle", ""
    tensors = load_file(path)
    name = work.draw.choice(sorted(tensors))
    way = work.draw.choice(["nan", "shape", "gone", "more", "names"])
    if way == "nan":
        tensors[name] = torch.full_like(tensors[name], float("nan"))
    elif way == "shape":
        tensors[name] = torch.zeros(work.draw.choice([(0,), (1,), (10_000_000,), (3, 3, 3)]))
    elif way == "gone":
        del tensors[name]
    elif way == "more":
        tensors |= {f"\x1b[2J{number}": torch.zeros(1) for number in range(work.draw.choice([1, 20_000]))}
    else:
        tensors = {f"{'module.' * 5000}{key}": value for key, value in tensors.items()}
    path.write_bytes(save(tensors))
    return f"{path.name}: {way}", ""


def network(work: Work) -> tuple[str, str]:
    """An ONNX network with data elsewhere, foreign domains, or too much of everything."""
    path = work.folder / "net.onnx"
    model = onnx.load(path)
    secret = work.outside / "secret.txt"
    way = work.draw.choice(
        ["external", "fifo", "domain", "constant", "shape", "nodes", "function", "side file", "swap"]
    )
    weight = model.graph.initializer[0]
    if way in ("external", "fifo"):
        place = work.draw.choice([str(secret), "../../outside/secret.txt", "/dev/zero", "data.bin", "."])
        if way == "fifo":
            place = "data.bin"
            os.mkfifo(work.folder / place)
        elif place == "data.bin":
            (work.folder / place).symlink_to(secret)
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        for key, value in {"location": place, "offset": "0", "length": str(work.draw.choice([864, 10**12]))}.items():
            entry = weight.external_data.add()
            entry.key, entry.value = key, value
    elif way == "domain":
        model.opset_import.append(helper.make_opsetid("received.code", 1))
        model.graph.node[1].domain = "received.code"
        model.graph.node[1].op_type = work.draw.choice(["Exec", "os.system", "GlobalAveragePool"])
    elif way == "constant":
        shape = helper.make_tensor("shape", TensorProto.INT64, [1], [work.draw.choice([10**11, 2 * 10**9])])
        model.graph.initializer.append(shape)
        model.graph.node.append(helper.make_node("ConstantOfShape", ["shape"], ["large"]))
        model.graph.node.append(helper.make_node("Add", ["large", "features"], ["sum"]))
        model.graph.output[0].name = "sum"
    elif way == "shape":
        sides = work.draw.choice([(3, 10**6), (3, 0), (10**6, 32), (3, -5), (1, 1)])
        for dimension, size in zip(model.graph.input[0].type.tensor_type.shape.dim[1:3], sides, strict=True):
            dimension.dim_value = size
    elif way == "nodes":
        last = "features"
        for number in range(3000):
            model.graph.node.append(helper.make_node("Identity", [last], [f"n{number}"]))
            last = f"n{number}"
    elif way == "function":
        body = [helper.make_node("Exec", ["x"], ["y"])]
        opsets = [helper.make_opsetid("", 17)]
        model.functions.append(helper.make_function("received.code", "Exec", ["x"], ["y"], body, opsets))
    elif way == "side file":
        tree, _ = swapped(work, {"input_size": 32, "mean": [0, 0, 0], "std": [1, 1, 1], "channels": "rgb", "output": 0})
        path.with_name("net.onnx.json").write_text(as_json(work, tree))
        path.with_suffix(".json").write_text(as_json(work, tree))
    else:
        model.graph.node[0].op_type = work.draw.choice(["Loop", "If", "Scan", "Resize", "Tile", "Expand"])
    onnx.save(model, path)
    return f"net.onnx: {way}", ""


def playlist(work: Work) -> tuple[str, str]:
    """A list of other recordings in the place of a recording."""
    path = work.file("two/S5.mp4", "videos/S5.mp4")
    secret = work.outside / "secret.mp4"
    text = work.draw.choice([
        f"ffconcat version 1.0\nfile '{secret}'\n",
        "ffconcat version 1.0\nfile 'S4.mp4'\n",
        "ffconcat version 1.0\nfile 'S5.mp4'\n",
        f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{secret}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        "a=rtpmap:96 H264/90000\n",
        f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
        f'<Representation id="1" bandwidth="1"><BaseURL>{secret}</BaseURL></Representation>'
        "</AdaptationSet></Period></MPD>",
        f'<smil><body><video src="{secret}"/></body></smil>',
        f"[playlist]\nFile1={secret}\nNumberOfEntries=1\n",
    ])  # fmt: skip
    named = path.with_name("S5" + work.draw.choice([".mp4", ".mp4", ".mkv", ".m3u8", ".ts", ".avi"]))
    if path.parent.name == "videos":
        named = path
    path.unlink()
    named.write_text(text)
    return f"{work.name(named)}: {text[:40]!r}", ""


def key_file(work: Work) -> tuple[str, str]:
    """A key that is none."""
    path = work.folder / "key"
    path.write_bytes(work.draw.choice([
        b"", b"a" * 16, b"\0" * 16, b"\0" * 64, b"short", b"0123456789abcdef" * 4, os.urandom(0), b"a" * 50_000_000,
        b"\xff\xfe" * 20, b" " * 100,
    ]))  # fmt: skip
    path.chmod(work.draw.choice([0o600, 0o644, 0o666, 0o400]))
    return f"key of {path.stat().st_size} bytes, mode {path.stat().st_mode & 0o777:o}", ""
