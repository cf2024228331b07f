"""The rows of several videos as batches of one size, two of which are on their way to and from a device at once."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ....cache.records import Array
from .batches import Batches

_AT_ONCE = 2  # batches: one is computed while the other is filled, or comes back


@dataclass(eq=False, slots=True)
class _Asked:
    """Rows that a thread waits for."""

    rows: Array  # (R, ...) uint8
    taken: int = 0  # of them are in batches
    given: list[Array] = field(default_factory=list)  # what has come back, in their order
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.error is not None or sum(map(len, self.given)) == len(self.rows)


@dataclass(frozen=True, slots=True)
class _Part:
    """Consecutive rows of one that asked, which go into a batch."""

    asked: _Asked
    start: int
    stop: int


class Together:
    """One batch at a time, filled from all threads that wait for rows, and padded where they have no more.

    A device then holds the layers of one batch and not of one for each thread. All batches are of one size, so that a
    row is computed in the same way whoever comes along. There is no thread behind it: of those that wait, one at a
    time makes the next step for all. Rows go in the order they were asked for.
    """

    def __init__(self, batches: Batches, *, fixed: bool = True) -> None:
        """batches: how many rows one holds; fixed: whether a smaller one is padded to that."""
        self.batches = batches
        self._fixed = fixed
        self._changed = threading.Condition()
        self._led = False  # whether somebody makes a step
        self._waiting: deque[_Asked] = deque()  # with rows that are in no batch
        self._under_way: deque[tuple[list[_Part], Arriving]] = deque()

    def run(self, rows: Array, compute: Callable[[Tensor], Tensor]) -> Array:
        """What `compute` gives for these rows, (R, ...), at least one: as the host's array.

        compute: the same for all that ask; it takes (N, ...) uint8 on the device and returns (N, ...).
        Errors: VideoError where the device's memory has no room for one row; what `compute` raises.
        """
        asked = _Asked(rows)
        with self._changed:
            self._waiting.append(asked)
        while self._lead_until(asked):
            try:
                self._step(compute)
            finally:
                with self._changed:
                    self._led = False
                    self._changed.notify_all()
        if asked.error is not None:
            raise asked.error
        return np.concatenate(asked.given)

    def _lead_until(self, asked: _Asked) -> bool:
        """Wait for these rows, or until the next step may be made by this thread, which it then has to."""
        with self._changed:
            self._changed.wait_for(lambda: asked.done or not self._led)
            self._led = self._led or not asked.done
            return not asked.done

    def _step(self, compute: Callable[[Tensor], Tensor]) -> None:
        """Send a batch on its way, or take the first of those that are under way."""
        with self._changed:
            parts = [*self._next()]
        if parts:
            self._send(parts, compute)
        else:
            self._take(*self._under_way.popleft())

    def _next(self) -> Iterator[_Part]:
        """The rows of the next batch. None where it would have to be padded while the device has something to do."""
        room, waiting = self.batches.size, sum(len(asked.rows) - asked.taken for asked in self._waiting)
        if len(self._under_way) == _AT_ONCE or (self._under_way and waiting < room):
            return
        for asked in self._waiting:
            stop = min(len(asked.rows), asked.taken + room)
            room -= stop - asked.taken
            yield _Part(asked, asked.taken, stop)
            if not room:
                return

    def _send(self, parts: list[_Part], compute: Callable[[Tensor], Tensor]) -> None:
        count = sum(part.stop - part.start for part in parts)
        size = self.batches.size if self._fixed else count
        try:
            with torch.inference_mode():
                host = _host_memory((size, *parts[0].asked.rows.shape[1:]), torch.uint8, self.batches.device)
                _fill(host.numpy(), parts)
                arriving = Arriving(compute(host.to(self.batches.device, non_blocking=True)))
        except torch.OutOfMemoryError as error:
            try:
                self.batches.refuse(size, error)
            except BaseException as refusal:  # noqa: BLE001  (raised where the rows are waited for)
                self._fail(parts, refusal)
            return
        except BaseException as error:  # noqa: BLE001  (raised where the rows are waited for)
            self._fail(parts, error)
            return
        self._under_way.append((parts, arriving))
        with self._changed:
            for part in parts:
                part.asked.taken = part.stop
            self._forget()

    def _take(self, parts: list[_Part], arriving: "Arriving") -> None:
        try:
            values = arriving.values()
        except BaseException as error:  # noqa: BLE001  (raised where the rows are waited for)
            self._fail(parts, error)
            return
        start = 0
        for part in parts:
            stop = start + part.stop - part.start
            part.asked.given.append(values[start:stop].copy())
            start = stop

    def _fail(self, parts: list[_Part], error: BaseException) -> None:
        with self._changed:
            for part in parts:
                part.asked.error = error
            self._forget()

    def _forget(self) -> None:
        """Those that have no rows left to send."""
        left = (asked for asked in self._waiting if asked.error is None and asked.taken < len(asked.rows))
        self._waiting = deque(left)


class Arriving:
    """A tensor of the device on its way to the host, while the device goes on."""

    def __init__(self, values: Tensor) -> None:
        self._event: torch.cuda.Event | None = None
        if values.device.type != "cuda":
            self._host = values.cpu()
            return
        self._host = _host_memory(tuple(values.shape), values.dtype, values.device)
        self._host.copy_(values, non_blocking=True)
        # Who waits for it sleeps, and leaves its core to those that decode.
        self._event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        self._event.record(torch.cuda.current_stream(values.device))

    def values(self) -> Array:
        """It, once it is there."""
        if self._event is not None:
            self._event.synchronize()
        return np.asarray(self._host.numpy())


def _host_memory(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Memory of the host, from and to which a CUDA device copies by itself."""
    return torch.empty(shape, dtype=dtype, pin_memory=device.type == "cuda")


def _fill(batch: Array, parts: list[_Part]) -> None:
    """The rows in the batch, and zeros behind them."""
    start = 0
    for part in parts:
        stop = start + part.stop - part.start
        batch[start:stop] = part.asked.rows[part.start : part.stop]
        start = stop
    batch[start:] = 0
