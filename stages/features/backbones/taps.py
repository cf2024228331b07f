"""Features from inside a network: what its named layers give, averaged over the cells of a grid."""

import difflib
import math
import shlex
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from ....configs.taps import POOLED_TAP, Tap
from ....errors import ConfigError, InputError, shown

MOST_NEAR = 10_000  # names among which near ones are sought, and characters of each
LONGEST_NAME = 200
_HINT = "affect check-backbone NAME lists the layers of a backbone and what they give"
_THREAD = threading.local()  # `recording`: that of the pass which this thread is in


@dataclass(frozen=True, slots=True)
class Place:
    """Where a layer's values come out: a module inside the network and, of several outputs, which."""

    module: str
    output: int | None = None


class _Enough(BaseException):
    """Every tapped layer has run. No Exception: networks catch those."""

    def __init__(self, error: InputError | None = None) -> None:
        super().__init__()
        self.error = error


class _Recording:
    """What tapped layers give in one pass. A layer that runs several times counts with its last run."""

    def __init__(self, calls: int | None) -> None:
        """`calls`: after how many runs of tapped layers the pass may end; None: at the network's end."""
        self.cells: dict[Tap, Tensor] = {}
        self._left = calls
        self.calls = 0

    def add(self, taps: Sequence[Tap], value: object) -> None:
        try:
            # At once: the next layer may work in place.
            self.cells |= {tap: in_cells(value, tap) for tap in taps}
        except InputError as error:
            raise _Enough(error) from error
        self.calls += 1
        if self.calls == self._left:
            raise _Enough


class Tapping:
    """The taps of one network, which listen for good; copies of the network are listened to as well."""

    def __init__(self, net: nn.Module, taps: tuple[Tap, ...], places: Mapping[str, Place] | None, name: str) -> None:
        """`places`: the network's layers by name; None: its modules. Errors: ConfigError for a layer it lacks."""
        self.taps = taps
        self._name = name
        self._calls: int | None = None  # known after the first pass, as the sizes are
        self._sizes: list[int] = []
        modules = dict(net.named_modules())
        known = places if places is not None else {layer: Place(layer) for layer in modules if layer}
        self.places = known
        layers = dict.fromkeys(tap.layer for tap in taps if not tap.pooled)
        for layer in layers:
            if layer not in known:
                raise _unknown(layer, list(known), name)
        self._modules = [known[layer].module for layer in layers]
        for layer in layers:
            place, mine = known[layer], [tap for tap in taps if tap.layer == layer and not tap.pooled]
            modules[place.module].register_forward_hook(partial(_heard, mine, place))

    def listens_in(self, module: str) -> bool:
        """Whether something in a module of the network is tapped, or all of it."""
        return any(f"{name}.".startswith(f"{module}.") for name in self._modules)

    def run(self, net: nn.Module, images: Tensor) -> Tensor:
        """(N, D) float32: the taps of preprocessed (N, 3, S, S), in their order. The network ends after its last tap.

        Errors: ConfigError for a layer that does not run, or gives what has no such cells.
        """
        recording, output = _Recording(self._calls), None
        outer = getattr(_THREAD, "recording", None)
        _THREAD.recording = recording
        try:
            output = net(images)
        except _Enough as enough:
            if enough.error is not None:
                raise enough.error from None
        finally:
            _THREAD.recording = outer
        if POOLED_TAP not in self.taps:
            self._calls = recording.calls
        parts = [self._part(tap, recording, output, len(images)) for tap in self.taps]
        self._sizes = [part.shape[1] for part in parts]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def columns(self, layer: str | None) -> slice | None:
        """Which of the features are those of a layer without cells; None where it is not tapped so."""
        starts = [sum(self._sizes[:number]) for number in range(len(self.taps))]
        found = {
            tap: slice(start, start + size) for tap, start, size in zip(self.taps, starts, self._sizes, strict=True)
        }
        return None if layer is None else found.get(Tap(layer, 1))

    def _part(self, tap: Tap, recording: _Recording, output: object, count: int) -> Tensor:
        value = output if tap.pooled else recording.cells.get(tap)
        if value is None and not tap.pooled:
            raise ConfigError(f"features.taps: layer {shown(tap.layer)} does not run for an image", hint=_HINT)
        if not isinstance(value, Tensor) or value.shape[:1] != (count,):
            layer = "" if tap.pooled else f", layer {shown(tap.layer)},"
            raise InputError(
                f"backbone {self._name!r}{layer} gives {shape_of(value)} for {'one image' if count == 1 else count}; "
                f"expected a tensor ({count}, D)"
            )
        return value.flatten(1).float()


def in_cells(value: object, tap: Tap) -> Tensor:
    """(N, C * grid * grid) float32: means over the cells of (N, C, H, W), (N, H, W, C), (N, L, C) or (N, C).

    (N, H, W, C) is told by H = W, as images are square. L tokens are a square of places, or lie in one cell.
    Errors: ConfigError for other shapes, and for fewer places than cells.
    """
    if not (isinstance(value, Tensor) and value.is_floating_point() and 2 <= value.ndim <= 4):
        raise _no_cells(tap, value, "expected numbers (N, C, H, W), (N, L, C) or (N, C)")
    maps = _as_maps(value.float(), tap)
    if min(maps.shape[2:]) < tap.grid:
        raise _no_cells(tap, value, f"expected {tap.grid} x {tap.grid} places at least")
    return adaptive_avg_pool2d(maps, tap.grid).flatten(1)


def _as_maps(value: Tensor, tap: Tap) -> Tensor:
    """(N, C, H, W)."""
    if value.ndim == 2:
        return value[:, :, None, None]
    if value.ndim == 4:
        return value.permute(0, 3, 1, 2) if channels_last(value.shape) else value
    tokens = value.transpose(1, 2)
    side = math.isqrt(tokens.shape[2])
    if side * side == tokens.shape[2]:
        return tokens.reshape(*tokens.shape[:2], side, side)
    if tap.grid > 1:
        raise _no_cells(tap, value, f"{tokens.shape[2]} tokens are no square; expected {tap.layer}:1")
    return tokens[..., None]


def channels_last(shape: Sequence[int]) -> bool:
    """Whether (N, A, B, C) is (N, H, W, C)."""
    return shape[1] == shape[2] != shape[3]


def shape_of(value: object) -> str:
    """The shape of a tensor, or what there is instead of one."""
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__


def part_of(value: object, place: Place) -> object:
    """What comes out at a place, of what its module gives."""
    return value[place.output] if place.output is not None and isinstance(value, list | tuple) else value


def size_of(value: object, count: int) -> tuple[int, tuple[int, ...]] | None:
    """C, and (H, W), (L,) or (), of what a layer gives for `count` images; None for what cannot be tapped."""
    if not (isinstance(value, Tensor) and value.is_floating_point() and 2 <= value.ndim <= 4 and len(value) == count):
        return None
    if value.ndim == 3 or (value.ndim == 4 and channels_last(value.shape)):
        return value.shape[-1], tuple(value.shape[1:-1])
    return value.shape[1], tuple(value.shape[2:])


def _heard(taps: Sequence[Tap], place: Place, _layer: nn.Module, _given: object, value: object) -> None:
    recording: _Recording | None = getattr(_THREAD, "recording", None)
    if recording is not None:
        recording.add(taps, part_of(value, place))


def _no_cells(tap: Tap, value: object, expected: str) -> ConfigError:
    return ConfigError(f"features.taps: layer {shown(tap.layer)} gives {shape_of(value)}; {expected}", hint=_HINT)


def _unknown(layer: str, known: Sequence[str], backbone: str) -> ConfigError:
    names = [name for name in known[:MOST_NEAR] if len(name) <= LONGEST_NAME]
    near = difflib.get_close_matches(layer[:LONGEST_NAME], names, n=3, cutoff=0.5)
    return ConfigError(
        f"backbone {backbone!r} has no layer {shown(layer)}" + (f"; near it are {', '.join(near)}" if near else ""),
        hint=f"affect check-backbone {shlex.quote(backbone)} lists its layers",
    )
