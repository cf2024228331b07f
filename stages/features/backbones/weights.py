"""Files of weights to state dicts, and state dicts into networks: strictly, and without running code from a file."""

import hashlib
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ....cache.foreign import asked_for, foreign
from ....cache.regular import check_tensors, check_unpacked, file_sha256, regular_size
from ....errors import WeightsError, first_line, listed, shown

StateDict = dict[str, Tensor]
NESTS = ("state_dict", "model_state_dict", "model", "backbone", "net")  # where checkpoints keep their tensors
PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")  # that wrappers put before each key
MOST_WRAPPERS = 8  # around one another
SHOWN = 5  # differences named in a message


def state_sha256(net: nn.Module) -> str:
    """sha256 over names, types, shapes and values of a network's state dict, in hexadecimal."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def existing_file(path: str | Path) -> Path:
    """The path, made absolute. Errors: WeightsError where there is no such file, or a pipe or device in its place."""
    try:
        file = Path(path).expanduser()
        if file.is_dir():
            refuse_foreign(file, "")
        regular_size(file)
        return file.resolve()
    except WeightsError:
        raise
    except FileNotFoundError as error:
        raise WeightsError(f"weights {shown(str(path))}: the file does not exist", hint="--weights FILE") from error
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        else:
            reason = first_line(error)
        raise WeightsError(f"weights {shown(str(path))} cannot be used: {reason}", hint="--weights FILE") from error


def read_state_dict(path: Path) -> StateDict:
    """Tensors of a .safetensors file, or of a PyTorch file read with `weights_only`; nests are opened.

    Errors: WeightsError for a file that is neither, holds no tensors or more than its size explains, or asks for code
    to be run.
    """
    safetensors = path.suffix == ".safetensors"
    refuse_foreign(path, "safetensors" if safetensors else "torch")
    try:
        size = regular_size(path)
        if safetensors:
            state: StateDict = dict(load_file(path))
        else:
            check_unpacked(path)
            state = _open_nests(torch.load(path, map_location="cpu", weights_only=True), path)
        check_tensors(state, size)
        return state
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"weights {str(path)!r} hold more than tensors and numbers, or are damaged; nothing in them was run "
            f"({asked_for(error)})",
            hint="save the model's state dict alone: safetensors.torch.save_file(model.state_dict(), FILE)",
        ) from error
    except Exception as error:
        raise WeightsError(
            f"weights {str(path)!r} cannot be read as a state dict ({first_line(error)})",
            hint="give a .safetensors file, or a .pth file made with torch.save(model.state_dict(), FILE)",
        ) from error


def refuse_foreign(path: Path, own: str) -> None:
    """Errors: WeightsError where the first bytes tell that the file is another kind than `own`."""
    try:
        found = foreign(path, (own,))
    except OSError:
        return  # whoever reads it says so
    if found is not None:
        raise WeightsError(f"weights {shown(str(path))} are {found.what}; nothing in them was run", hint=found.hint)


def _open_nests(content: object, path: Path) -> StateDict:
    for _ in NESTS:
        if not isinstance(content, Mapping):
            break
        if content and all(isinstance(value, Tensor) for value in content.values()):
            return {name if isinstance(name, str) else shown(name): value for name, value in content.items()}
        inner = next((content[nest] for nest in NESTS if isinstance(content.get(nest), Mapping)), None)
        if inner is None:
            break
        content = inner
    found = (
        sorted(shown(name) for name in list(content)[:SHOWN])
        if isinstance(content, Mapping)
        else type(content).__name__
    )
    raise WeightsError(
        f"weights {str(path)!r} hold no state dict: expected tensors by name, bare or under one of "
        f"{', '.join(NESTS)}; found {found}"
    )


def without_prefixes(state: StateDict, wanted: Iterable[str]) -> StateDict:
    """The state dict with wrappers' prefixes taken off. Under `backbone.` whatever lies beside it is another part's."""
    wanted = list(wanted)
    for _ in range(MOST_WRAPPERS):
        changed = False
        for prefix in PREFIXES:
            inside = {name: value for name, value in state.items() if name.startswith(prefix)}
            complete = len(inside) == len(state) or prefix == "backbone."
            if inside and complete and not any(name.startswith(prefix) for name in wanted):
                state = {name.removeprefix(prefix): value for name, value in inside.items()}
                changed = True
        if not changed:
            break
    return state


def fit(
    net: nn.Module,
    state: StateDict,
    source: str,
    *,
    names: Mapping[str, str] | None = None,
    dropped: tuple[str, ...] = (),
) -> None:
    """Loads a state dict into a network, every key accounted for.

    `names`: the network's keys -> the file's keys, where they differ. `dropped`: beginnings of keys a file may hold
    besides (its classifier).
    Errors: WeightsError that names missing, unexpected and misshapen keys.
    """
    own = net.state_dict()
    names = names or {name: name for name in own}
    assert names.keys() == own.keys(), set(names) ^ set(own)
    state = without_prefixes(state, names.values())
    # Files older than PyTorch 0.4.1 count no batches; nothing in eval mode reads the count.
    needed = [name for mine, name in names.items() if not mine.endswith("num_batches_tracked")]
    problems = {
        "missing": [name for name in needed if name not in state],
        "unexpected": sorted(name for name in set(state) - set(names.values()) if not name.startswith(dropped)),
        "of another shape": [
            f"{theirs} is {tuple(state[theirs].shape)}, expected {tuple(own[mine].shape)}"
            for mine, theirs in names.items()
            if theirs in state and state[theirs].shape != own[mine].shape
        ],
        "not finite floating-point numbers": [
            theirs
            for mine, theirs in names.items()
            if own[mine].is_floating_point() and _broken(state.get(theirs), own[mine].shape)
        ],
    }
    if any(problems.values()):
        text = "; ".join(f"{len(keys)} {kind}: {_short(keys)}" for kind, keys in problems.items() if keys)
        raise WeightsError(
            f"{source} do not fit: {text}", hint="check that the file belongs to the backbone named by --backbone"
        )
    net.load_state_dict({mine: state.get(theirs, own[mine]) for mine, theirs in names.items()}, strict=True)


def _broken(tensor: Tensor | None, shape: torch.Size) -> bool:
    return (
        tensor is not None
        and tensor.shape == shape
        and not (tensor.is_floating_point() and bool(tensor.isfinite().all()))
    )


def _short(keys: list[str]) -> str:
    return listed([key[:200] for key in keys], SHOWN)


def fit_file(
    net: nn.Module,
    path: str | Path,
    *,
    names: Mapping[str, str] | None = None,
    dropped: tuple[str, ...] = (),
) -> tuple[str, str]:
    """(sha256, name) of a weights file, after loading it into the network. Errors: WeightsError."""
    file = existing_file(path)
    fit(net, read_state_dict(file), f"weights {file.name!r}", names=names, dropped=dropped)
    return file_sha256(file), file.name
