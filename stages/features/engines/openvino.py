"""Networks compiled by OpenVINO for this CPU, in place of torch: the same numbers within float32's rounding, sooner.

The package is optional, `pip install 'affect[fast]'`. It would tell its maker that it was imported: the part that does
so is kept from being loaded, so nothing leaves the machine.
"""

import importlib.util
import sys
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ....cache.records import Array
from ....configs.schema import OPENVINO, TORCH
from ....errors import ConfigError, first_line

AUTO = "auto"
HINTS = {"fp32": "f32", "bf16": "bf16"}  # precision -> OpenVINO's word
INSTALL = "pip install 'affect[fast]'"
_TELLS = "openvino_telemetry"
_COMPILING = threading.Lock()


def resolve_engine(engine: str, device: str, precision: str = "auto") -> str:
    """The engine that a setting stands for: `auto` is OpenVINO on a CPU where the package is installed.

    Errors: ConfigError for `openvino` without the package, on another device, or at a precision it does not have here.
    """
    on_cpu = torch.device(device).type == "cpu"
    if engine == AUTO:
        fits = on_cpu and installed() and precision in ("auto", *HINTS) and (precision != "bf16" or has_bf16())
        return OPENVINO if fits else TORCH
    if engine == OPENVINO:
        if not on_cpu:
            raise ConfigError(f"features.engine is openvino on {device}; expected a CPU", hint="--device cpu")
        if not installed():
            raise ConfigError("features.engine is openvino, which is not installed", hint=INSTALL)
        if precision not in ("auto", *HINTS):
            raise ConfigError(f"features.precision is {precision}; expected {' or '.join(HINTS)} with openvino",
                              hint="--set features.precision=fp32")  # fmt: skip
        if precision == "bf16" and not has_bf16():
            raise ConfigError("features.precision is bf16, which this CPU does not have; expected fp32",
                              hint="--set features.precision=fp32")  # fmt: skip
    return engine


def installed() -> bool:
    """Whether OpenVINO is there to be loaded."""
    return importlib.util.find_spec("openvino") is not None


def has_bf16() -> bool:
    """Whether this CPU computes in bfloat16. Errors: ConfigError without the package."""
    core, _ = _openvino()
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class Compiled:
    """A network (N, ...) -> one array or several, compiled for one thread; threads share it, each with its own buffers.

    It is compiled anew for each shape behind N that it meets, in a second or less.
    """

    def __init__(self, net: nn.Module, precision: str = "fp32") -> None:
        self._net = net.eval()
        self._hint = HINTS[precision]
        self._by_shape: dict[tuple[int, ...], Any] = {}
        self._requests = threading.local()

    def __call__(self, images: Array) -> list[Array]:
        """What the network gives for (N, ...) float32, C-contiguous.

        Errors: ConfigError for a network that cannot be compiled.
        """
        given = self._request(images).infer({0: images})
        return [np.array(given[number]) for number in range(len(given))]

    def _request(self, images: Array) -> Any:
        shape = images.shape[1:]
        mine: dict[tuple[int, ...], Any] = self._requests.__dict__.setdefault("by_shape", {})
        if shape not in mine:
            with _COMPILING:
                if shape not in self._by_shape:
                    self._by_shape[shape] = self._compile(torch.from_numpy(images))
            mine[shape] = self._by_shape[shape].create_infer_request()
        return mine[shape]

    def _compile(self, images: Tensor) -> Any:
        core, openvino = _openvino()
        from openvino import frontend
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

        failures = (frontend.GeneralFailure, frontend.InitializationFailure, frontend.NotImplementedFailure,
                    frontend.OpConversionFailure, frontend.OpValidationFailure)  # fmt: skip
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")  # of tracing: shapes are fixed here, and the result is checked below
                two = images[:1].expand(2, *images.shape[1:]).contiguous()
                traced = torch.jit.trace(self._net, two, check_trace=False)  # type: ignore[no-untyped-call]
                front = frontend.FrontEndManager().load_by_framework("pytorch")
                decoder = TorchScriptPythonDecoder(traced)  # has to outlive the conversion
                model = front.convert(front.load(decoder))
                model.reshape({model.inputs[0]: openvino.PartialShape([-1, *images.shape[1:]])})
                # Not pinned: two networks of one thread each would both be kept to the first core.
                settings = {"INFERENCE_PRECISION_HINT": self._hint, "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1,
                            "ENABLE_CPU_PINNING": False}  # fmt: skip
                compiled = core.compile_model(model, "CPU", settings)
                self._check(compiled, torch.cat([two, images[:1]]))
        except (*failures, RuntimeError, ValueError, TypeError, AttributeError, LookupError) as error:
            raise ConfigError(f"this network cannot be computed by OpenVINO: {_said(error)}",
                              hint="--set features.engine=torch") from error  # fmt: skip
        return compiled

    def _check(self, compiled: Any, images: Tensor) -> None:
        """Errors: ConfigError where it gives other numbers than torch: what was traced holds for other N as well."""
        given = compiled.create_infer_request().infer({0: images.numpy()})
        expected = _tensors(self._net(images))
        tolerance = 1e-3 if self._hint == "f32" else 0.5  # of bf16 only gross faults show here
        for number, tensor in enumerate(expected):
            found = np.array(given[number])
            error = float(np.abs(found - tensor.numpy()).max()) if found.shape == tuple(tensor.shape) else np.inf
            if not error <= tolerance * max(float(tensor.std()), 1e-12):
                raise ConfigError("OpenVINO computes other features than torch of this network",
                                  hint="--set features.engine=torch")  # fmt: skip


def _tensors(given: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return [given] if isinstance(given, Tensor) else list(given)


def _said(error: Exception) -> str:
    """The line that says it, behind the places in OpenVINO's own files."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith("No conversion rule")]
    return first_line(RuntimeError((telling or lines[-1:] or [type(error).__name__])[0]))


def _openvino() -> tuple[Any, Any]:
    """OpenVINO's core, made once, and its module. Errors: ConfigError where it is not installed."""
    if _TELLS not in sys.modules:
        sys.modules[_TELLS] = None  # type: ignore[assignment]  # whoever imports it now is told that it is not there
    try:
        import openvino
    except ImportError as error:
        raise ConfigError("OpenVINO cannot be loaded", hint=INSTALL) from error
    if not hasattr(_openvino, "core"):
        _openvino.core = openvino.Core()  # type: ignore[attr-defined]
    return _openvino.core, openvino  # type: ignore[attr-defined]
