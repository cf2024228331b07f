"""A device that is not there: tensors say `cuda:0` or `mps:0`, hold their numbers on the CPU, and refuse to be mixed.

Real values are computed, so whole commands run on it, and a tensor of the host among those of the device is an error as
on real hardware. What is copied to the host without waiting is not there before its event says so. Not simulated: what
kernels cost and round, streams, memory but for `most_images`, and the rules of a device's own autocast (the CPU's are
used). What passes here has not run on a GPU.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest import mock

import timm  # noqa: F401 - what keeps a function of torch at import keeps the real one
import torch
import torch._dynamo
import torchvision  # noqa: F401
from onnx2torch import convert  # noqa: F401
from torch import Tensor
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

ACCELERATORS = ("cuda", "mps")
FACTORIES = (
    "zeros", "ones", "empty", "rand", "randn", "full", "tensor", "arange", "eye", "as_tensor", "linspace", "randint",
    "randperm",
)  # fmt: skip
COPIES = ("_to_copy", "copy_", "_foreach_copy_")  # may go from one device to another
# A number for the host, or a result as large as the values say: the host waits for what the device is at.
SIZED_BY_VALUES = ("_local_scalar_dense", "nonzero", "masked_select", "nms", "unique", "_unique2")
POISON = 111  # what the host's memory holds until a copy has arrived
INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_")  # may take indices that lie on the host
_to = Tensor.to
_MOVING = threading.Lock()


@dataclass(eq=False, frozen=True, slots=True)
class Copy:
    """To the host, begun and not waited for."""

    memory: Tensor  # of the host
    values: Tensor  # that it will hold


@dataclass(slots=True)
class Machine:
    """What the simulated machine can do, and what was asked of it. Change it while it runs."""

    most_images: int | None = None  # that a convolution takes at once before memory is exhausted
    has_kernels: bool = True  # False: the card is older than the build of torch supports
    has_float64: bool = True
    computed: int = 0  # operations on the device
    copied: int = 0  # tensors to the device
    waited: int = 0  # times that the host needed a number, or a whole tensor, of the device
    refused: int = 0  # for want of memory
    watch: Callable[[], None] | None = None  # called before each operation
    on_their_way: "list[Copy]" = field(default_factory=list)


_machine = Machine()


class Simulated(Tensor):
    """A tensor of the device."""

    held: Tensor
    place: str

    @staticmethod
    def __new__(cls, held: Tensor, place: str) -> "Simulated":
        made: Simulated = Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            layout=held.layout, device=held.device, requires_grad=held.requires_grad,
        )  # fmt: skip
        _require_dtype(held.dtype, place)
        made.held, made.place = held.detach() if held.requires_grad else held, place
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device(self.place)

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return self.place.startswith("cuda")

    @property
    def is_cpu(self) -> bool:  # type: ignore[override]
        return False

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Simulated({tuple(self.shape)}, {self.dtype}, {self.place})"

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError(f"can't convert {self.place} device type tensor to numpy. Use Tensor.cpu() first")

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.numpy()

    def tolist(self) -> Any:
        _machine.waited += 1
        return self.held.tolist()

    def __iter__(self) -> Iterator[Tensor]:  # torch's unbinds, which a tensor of inference mode refuses here
        return iter([Simulated(part, self.place) for part in self.held.unbind(0)])

    def cpu(self, *_: Any, **__: Any) -> Tensor:
        _machine.waited += 1
        return self.held.clone()

    def quantile(self, q: Any, *given: Any, **named: Any) -> Tensor:  # torch's makes its scratch of the host's kind
        return Simulated(self.held.quantile(q, *given, **named), self.place)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        place = _place_of(func, name, args, kwargs)
        if place != "cpu":
            _compute(name, args)
        if place != "cpu" and name in SIZED_BY_VALUES:
            _machine.waited += 1
        if name == "copy_":
            if isinstance(args[1], Simulated) and not isinstance(args[0], Simulated) and args[2:] == (True,):
                with _MOVING:
                    _machine.on_their_way.append(Copy(args[0], args[1].held.clone()))
                return args[0].fill_(POISON)
            _count_move(args[1], args[0])
        result = func(*tree_map(_bare, args), **tree_map(_bare, kwargs))
        if name == "_local_scalar_dense":
            return result

        def placed(value: Any) -> Any:
            bare = isinstance(value, Tensor) and not isinstance(value, Simulated) and place != "cpu"
            return Simulated(value, place) if bare else value

        return return_and_correct_aliasing(  # type: ignore[no-untyped-call]
            func, args, kwargs, tree_map(placed, result)
        )


class Event:
    """A mark behind what a device was asked for; who waits for it has the copies that were begun before it."""

    def __init__(self, **_: Any) -> None:
        self._before: list[Copy] = []

    def record(self, _stream: Any = None) -> None:
        with _MOVING:
            self._before = [*_machine.on_their_way]

    def synchronize(self) -> None:
        with _MOVING, torch.inference_mode():
            _machine.waited += 1
            for pair in self._before:
                if pair in _machine.on_their_way:
                    _machine.on_their_way.remove(pair)
                    pair.memory.copy_(pair.values)


def _bare(value: Any) -> Any:
    return value.held if isinstance(value, Simulated) else value


def _label(value: Tensor) -> str:
    return value.place if isinstance(value, Simulated) else "cpu"


def _named(device: Any) -> str:
    found = torch.device(device)
    return f"{found.type}:{found.index or 0}" if found.type in ACCELERATORS else found.type


def _count_move(source: Any, goal: Any) -> None:
    there, here = (isinstance(value, Simulated) for value in (goal, source))
    _machine.copied += there and not here
    _machine.waited += here and not there


def _require_dtype(dtype: torch.dtype, place: str) -> None:
    if dtype == torch.float64 and place != "cpu" and not _machine.has_float64:
        raise TypeError(f"Cannot convert a {place} Tensor to float64 dtype as the framework doesn't support float64")


def _compute(name: str, args: tuple[Any, ...]) -> None:
    """What the device does with an operation before its result is there."""
    _machine.computed += 1
    if _machine.watch is not None:
        _machine.watch()
    if not _machine.has_kernels and name not in COPIES:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device")
    if name in ("convolution", "conv2d") and _machine.most_images is not None and len(args[0]) > _machine.most_images:
        _machine.refused += 1
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def _place_of(func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Where an operation runs. Errors: RuntimeError for tensors of two devices; numbers of the host may join."""
    if name in COPIES:
        return _label(args[0][0] if isinstance(args[0], list | tuple) else args[0])
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    if name in INDEXING:
        indices = {_label(value) for value in args[1] if value is not None} - {"cpu"}
        places = {_label(args[0])} | indices
    else:
        places = {_label(value) for value in tensors if value.dim() or isinstance(value, Simulated)}
    if len(places) > 1:
        raise RuntimeError(
            f"{func}: Expected all tensors to be on the same device, but found at least two devices, "
            + " and ".join(sorted(places))
        )
    return places.pop() if places else "cpu"


def _moved(self: Tensor, *given: Any, **named: Any) -> Tensor:
    """`Tensor.to`, which also goes to and comes from the device."""
    words, goal = list(given), None
    if words and isinstance(words[0], Tensor):
        goal, words[0] = _label(words[0]), words[0].dtype
    elif words and isinstance(words[0], str | torch.device):
        goal = _named(words.pop(0))
    if named.get("device") is not None:
        goal = _named(named["device"])
    others = {key: value for key, value in named.items() if key not in ("device", "non_blocking") and value is not None}
    words = [word for word in words if word is not None and not isinstance(word, bool)]
    for dtype in [*words, *others.values()]:
        if isinstance(dtype, torch.dtype):
            _require_dtype(dtype, goal or _label(self))
    out = _to(self, *words, **others) if words or others else self
    if goal is None or goal == _label(self):
        return out
    if goal == "cpu":
        _machine.waited += 1
        return out.held.clone() if isinstance(out, Simulated) else out
    if goal == "meta":
        return _to(out, "meta")
    _machine.copied += not isinstance(out, Simulated)
    made = Simulated(_bare(out).detach().clone(memory_format=torch.preserve_format), goal)
    if self.requires_grad:
        made.requires_grad_(True)
    return made


def _factory(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def made(*given: Any, **named: Any) -> Tensor:
        pinned, device = named.pop("pin_memory", False), named.get("device")
        if pinned:
            return original(*given, **named).fill_(POISON)
        if device is None or torch.device(device).type not in ACCELERATORS:
            return original(*given, **named)
        out = original(*given, **{key: value for key, value in named.items() if key != "device"})
        wrapped = Simulated(_bare(out.detach()), _named(device))
        return wrapped.requires_grad_(True) if out.requires_grad else wrapped

    return made


def _on_device(value: Any, place: Any) -> Any:
    return tree_map(lambda item: item.to(place) if isinstance(item, Tensor) else item, value)


@contextmanager
def simulated(kind: str = "cuda", devices: int = 1, **facts: Any) -> Iterator[Machine]:
    """A machine with such devices, for this process and all its threads, as long as this lasts.

    facts: of `Machine`.
    """
    global _machine  # noqa: PLW0603 - the simulated machine is one, as a real one is
    before, _machine = _machine, Machine(**facts)
    compatible, load, save, autocast = torch._has_compatible_shallow_copy_type, torch.load, torch.save, torch.autocast

    class Autocast(autocast):  # type: ignore[misc, valid-type]
        def __init__(self, device_type: str, *given: Any, **named: Any) -> None:
            super().__init__("cpu" if device_type in ACCELERATORS else device_type, *given, **named)

    def loaded(path: Any, map_location: Any = None, **named: Any) -> Any:
        value = load(path, map_location="cpu", **named)
        return value if map_location is None else _on_device(value, map_location)

    cuda = {
        "is_available": lambda: kind == "cuda", "device_count": lambda: devices if kind == "cuda" else 0,
        "Event": Event, "current_stream": lambda _=None: None, "current_device": lambda: 0,
        "set_device": lambda _: None, "synchronize": lambda _=None: None,
        "empty_cache": lambda: None, "mem_get_info": lambda _=None: (79 << 30, 80 << 30),
        "get_device_name": lambda _=None: "a simulated device", "get_device_capability": lambda _=None: (9, 0),
        "get_device_properties": lambda _=None: SimpleNamespace(name="a simulated device", total_memory=80 << 30),
        "is_bf16_supported": lambda *_, **__: True, "get_rng_state": lambda _="cuda": torch.get_rng_state(),
        "set_rng_state": lambda state, device="cuda": None, "is_current_stream_capturing": lambda: False,
    }  # fmt: skip
    optimizer = torch.optim.Optimizer
    with ExitStack() as stack:

        def put(where: Any, name: str, value: Any) -> None:
            stack.enter_context(mock.patch.object(where, name, value))

        put(Tensor, "to", _moved)
        put(Simulated, "to", _moved)
        for name in FACTORIES:
            put(torch, name, _factory(getattr(torch, name)))
        put(
            torch, "_has_compatible_shallow_copy_type",
            lambda a, b: not isinstance(a, Simulated) and not isinstance(b, Simulated) and compatible(a, b),
        )  # fmt: skip
        for name, value in cuda.items():
            put(torch.cuda, name, value)
        put(torch.backends.mps, "is_available", lambda: kind == "mps")
        for name in ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check"):
            if hasattr(optimizer, name):
                put(optimizer, name, lambda self: None)
        put(torch, "autocast", Autocast)
        put(torch, "load", loaded)
        put(torch, "save", lambda value, file, **named: save(_on_device(value, "cpu"), file, **named))
        try:
            yield _machine
        finally:
            _machine = before
