"""No more pictures at once than a device's memory holds."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch

from ....cache.records import Array
from ....errors import VideoError

Value = TypeVar("Value")


class Batches:
    """How many pictures a device takes at once: halved, down to one, where its memory is exhausted, and remembered."""

    def __init__(self, most: int, device: torch.device) -> None:
        self.most = self.size = most
        self.device = device

    def run(self, compute: Callable[[Any], Value], pictures: Sequence[Array] | Array) -> Iterator[Value]:
        """What `compute` gives for each batch of the pictures. Errors: VideoError where not even one has room."""
        start = 0
        while start < len(pictures):
            batch = pictures[start : start + self.size]
            try:
                result = compute(batch)
            except torch.OutOfMemoryError as error:
                self.refuse(len(batch), error)
                continue
            start += len(batch)
            yield result

    def refuse(self, count: int, error: torch.OutOfMemoryError) -> None:
        """So many had no room: half as many from here on. Errors: VideoError where it was one."""
        if count == 1:
            self.size = self.most  # the next video may find more
            raise VideoError(
                f"the memory of {self.device} is exhausted, also by one picture at a time",
                hint="end what else uses it (`nvidia-smi` lists that), use fewer --jobs, or --device cpu",
            ) from error
        self.size = count // 2
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def notes(self, what: str) -> list[str]:
        """A sentence where there are fewer at once than usual, which may round in another way; none otherwise."""
        if self.size == self.most:
            return []
        return [
            f"{self.device} had memory for {self.size} {what} at once, not {self.most}: features may differ by rounding"
        ]
