"""Presets, files and `--set` words into one checked `Config`."""

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ConfigError, shown
from .plain_text import shortened
from .plain_yaml import NotPlainYamlError, Switch, WrittenInt, load_plain_yaml, read_plain_yaml
from .schema import BY_SIZE, Config
from .trust import RANDOM, Received, allowed, beside

Section = TypeVar("Section")
# A run's config.yaml and the specification in a model file (format 1) have this setting of the clips in the section
# `model`, behind the one named second. It is written there, so that the files stay as they are; both are read.
EDGES, BEHIND = "context_edges", "attention_scale"
# The settings that together say which relational loss it is, and how much of it.
_RELATIONAL = ("loss.relational", "loss.relational_weight", "loss.label_similarity", "loss.kernel_width")
GONE = {  # settings of older versions -> what to do instead; the config.yaml of an older run may have them
    "evaluation.bootstrap": "leave it out: intervals no longer come from resampling",
}


def preset_names() -> list[str]:
    """Names `--config` takes without a file."""
    folder = resources.files(__package__) / "presets"
    return sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))


def preset_tree(name: str) -> dict[str, Any]:
    """What a preset says, in its sections."""
    text = (resources.files(__package__) / "presets" / f"{name}.yaml").read_text("utf-8")
    return _edges_in_clips(_sections(parse_yaml(text, name), name))


def load_config(source: str | None = None, overrides: Iterable[str] = ()) -> Config:
    """A `Config` from a preset's name or a YAML file (None: the defaults), then `a.b=c` words in order.

    Errors: ConfigError, also for a file that names code, or weights outside its own folder, which no word replaces.
    """
    tree = {} if source is None else _edges_in_clips(_read_yaml(source))
    for word in overrides:
        key, separator, text = word.partition("=")
        if not separator or not key:
            raise ConfigError(f"--set {shown(word)} is not KEY=VALUE", hint="--set training.epochs=20")
        path = ["clips", EDGES] if key == f"model.{EDGES}" else key.split(".")
        _assign(tree, path, parse_yaml(text, shortened(word, 100)))
    tree.setdefault("by_size", _left_open(tree))
    config = config_from_dict(tree)
    features = config.features
    allowed(features.backbone, None, "--set features.backbone=")
    if not isinstance(features.weights, Received) or features.weights == RANDOM:
        return config
    weights = beside(features.weights, Path(features.weights.source).parent)
    if weights is None:
        raise ConfigError(
            f"{features.weights.source} says features.weights {shown(str(features.weights))}; a file names only what "
            "lies in its own folder",
            hint="type it: --set features.weights=FILE",
        )
    return replace(config, features=replace(features, weights=str(weights)))


def _left_open(tree: Mapping[str, Any]) -> list[str]:
    """The settings of BY_SIZE that a tree does not say; of the relational loss either all of them or none."""
    said = {name for name in BY_SIZE if _says(tree, name)}
    if any(_says(tree, name) for name in _RELATIONAL):
        said.update(_RELATIONAL)
    return [name for name in BY_SIZE if name not in said]


def _says(tree: Mapping[str, Any], name: str) -> bool:
    """Whether a tree holds this setting."""
    section, _, key = name.partition(".")
    return isinstance(tree.get(section), Mapping) and key in tree[section]


def config_from_dict(tree: Mapping[str, Any]) -> Config:
    """A `Config` from nested mappings; unknown keys and wrong types are refused by their full name."""
    return _build(Config, _edges_in_clips(tree), "")


def without_gone(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of an older run's config.yaml without the settings that are no more."""
    kept = {}
    for name, section in tree.items():
        whole = not isinstance(section, Mapping)
        kept[name] = section if whole else {k: v for k, v in section.items() if f"{name}.{_key(k)}" not in GONE}
    return kept


def config_to_dict(section: Any) -> dict[str, Any]:
    """Nested plain values of a configuration or one section of it, ready for YAML or JSON."""
    tree = {}
    for item in fields(section):
        value = getattr(section, item.name)
        tree[item.name] = config_to_dict(value) if is_dataclass(value) else _plain(value)
    return _edges_in_model(tree) if isinstance(section, Config) else tree


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, Received) else value  # YAML writes no kind of text but text


def _edges_in_clips(tree: Mapping[str, Any]) -> dict[str, Any]:
    """A tree as it was read, with the edges where `ClipsConfig` has them."""
    model, clips = tree.get("model"), tree.get("clips", {})
    if not (isinstance(model, Mapping) and isinstance(clips, Mapping) and EDGES in model):
        return dict(tree)
    edges = model[EDGES]
    if clips.get(EDGES, edges) != edges:
        raise ConfigError(
            f"clips.{EDGES} is {shown(clips[EDGES])} and model.{EDGES} is {shown(edges)}; expected one of them"
        )
    others = {key: value for key, value in model.items() if key != EDGES}
    return {**tree, "model": others, "clips": {**clips, EDGES: edges}}


def _edges_in_model(tree: dict[str, Any]) -> dict[str, Any]:
    """A tree as it is written, with the edges where the files have them."""
    model: dict[str, Any] = {}
    for key, value in tree["model"].items():
        model[key] = value
        if key == BEHIND:
            model[EDGES] = tree["clips"][EDGES]
    return {**tree, "model": model, "clips": {key: value for key, value in tree["clips"].items() if key != EDGES}}


def _read_yaml(source: str) -> dict[str, Any]:
    """The tree of a preset, or of a file, whose words for code and files are marked as that file's."""
    if source in preset_names():
        return preset_tree(source)
    if not Path(source).is_file():
        raise ConfigError(
            f"configuration {source!r} is neither a file nor a preset", hint=f"presets: {', '.join(preset_names())}"
        )
    tree = read_tree(Path(source))
    if isinstance(features := tree.get("features"), dict):
        names = {key: features.get(key) for key in ("backbone", "weights")}
        marked = {key: Received(word, source) for key, word in names.items() if isinstance(word, str)}
        tree["features"] = {**features, **marked}
    return tree


def read_tree(path: Path) -> dict[str, Any]:
    """The sections in a file of settings. Errors: ConfigError for what is none, or cannot be read."""
    try:
        return _sections(read_plain_yaml(path), str(path))
    except OSError as error:
        raise ConfigError(f"configuration {path} cannot be read: {error.strerror}") from error
    except NotPlainYamlError as error:
        raise ConfigError(f"configuration {path} is not valid YAML: {error}") from error


def _sections(tree: Any, source: str) -> dict[str, Any]:
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"configuration {source} holds {shown(tree)}; expected sections of key: value")
    return tree


def parse_yaml(text: str, where: str) -> Any:
    """What YAML says, of plain values alone. Errors: ConfigError."""
    try:
        return load_plain_yaml(text)
    except NotPlainYamlError as error:
        raise ConfigError(f"configuration {where} is not valid YAML: {error}") from error


def _assign(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"--set {'.'.join(path)}: {key} is a value, not a section")
    tree[path[-1]] = value


def _build(kind: type[Section], tree: Any, where: str) -> Section:
    if not isinstance(tree, Mapping):
        raise ConfigError(f"{where or 'configuration'} is {shown(tree)}; expected a section of key: value")
    hints = typing.get_type_hints(kind)
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    values = {}
    for key, value in tree.items():
        name = f"{where}.{_key(key)}" if where else _key(key)
        if key not in known:
            near = difflib.get_close_matches(_key(key), known, n=1)
            raise ConfigError(
                f"unknown setting {name[:100]}",
                hint=GONE.get(name) or (f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"),
            )
        values[key] = _convert(value, hints[key], name)
    missing = [
        name
        for name, item in known.items()
        if name not in values and item.default is MISSING and item.default_factory is MISSING
    ]
    if missing:
        raise ConfigError(f"{where or 'configuration'} lacks {', '.join(missing)}")
    return kind(**values)


def _convert(value: Any, kind: Any, name: str) -> Any:
    """`value` as the annotated type `kind`, or a ConfigError that names the setting."""
    if is_dataclass(kind):
        return _build(typing.cast(type[Any], kind), value, name)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        for option in arguments:
            try:
                return _convert(value, option, name)
            except ConfigError:
                continue
    elif origin is typing.Literal:
        if value in arguments:
            return arguments[arguments.index(value)]
    elif kind is type(None):
        if value is None:
            return None
    elif origin is tuple and isinstance(value, str | int | float):
        return _convert([value], kind, name)
    elif origin is tuple and isinstance(value, list | tuple):
        if arguments[-1] is ...:
            return tuple(_convert(item, arguments[0], name) for item in value)
        if len(arguments) == len(value):
            return tuple(_convert(item, option, name) for item, option in zip(value, arguments, strict=True))
    elif origin is dict and isinstance(value, Mapping):
        return {_key(key): _convert(item, arguments[1], f"{name}.{_key(key)}") for key, item in value.items()}
    elif kind is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-5 as a string
        except (ValueError, OverflowError):
            pass
    elif kind is str and isinstance(value, str | int | float) and not isinstance(value, bool):
        return _key(value)
    elif kind is bool and isinstance(value, Switch):
        return value.on
    elif kind is int and isinstance(value, WrittenInt):
        return int(value)
    elif isinstance(kind, type) and type(value) is kind:
        return value
    raise ConfigError(f"{name} is {shown(value)}; expected {_describe(kind)}", hint=f"--set {name}=VALUE")


def _key(key: Any) -> str:
    """A key, or a number that is meant as text, as it is written; one of thousands of digits cannot be."""
    if isinstance(key, Received):
        return key
    try:
        return str(getattr(key, "text", key))
    except ValueError:
        return shown(key)


def _describe(kind: Any) -> str:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_describe(option) for option in arguments)
    if origin is typing.Literal:
        return " or ".join(map(repr, arguments))
    if kind is type(None):
        return "null"
    return {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false"}.get(
        getattr(kind, "__name__", ""), str(kind)
    )
