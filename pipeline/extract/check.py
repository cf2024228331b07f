"""`affect check-videos`: what would go wrong with a folder of videos, before a long run finds out."""

import functools
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...configs.schema import FeaturesConfig
from ..workers import Workers, resolve_device, run_all
from .videos import Source

if TYPE_CHECKING:
    from ...stages.features.check import VideoCheck, VideoChecker


def check_videos(
    sources: Sequence[Source],
    config: FeaturesConfig,
    *,
    device: str = "auto",
    workers: Workers | None = None,
    finished: Callable[["VideoCheck"], None] = lambda check: None,
) -> list["VideoCheck"]:
    """One check a video, in the order of `sources`; every frame is decoded, some are searched for faces."""
    workers, device = workers or Workers(), resolve_device(device)
    checks = {}
    for check in run_all(workers, check_one, [(source, config, device) for source in sources]):
        checks[check.path] = check
        finished(check)
    return [checks[str(source.path)] for source in sources]


def check_one(source: Source, config: FeaturesConfig, device: str) -> "VideoCheck":
    """Check one video in this process; what a worker runs."""
    return _checker(config, device, threading.get_ident()).check(source.path)


@functools.lru_cache(maxsize=2)
def _checker(config: FeaturesConfig, device: str, thread: int) -> "VideoChecker":
    """The detector and the measured costs of this worker thread, kept for its next video."""
    from ...stages.features.check import VideoChecker

    return VideoChecker(config, device)
