"""`affect check-videos`: what would go wrong with a folder of videos, before a long run finds out."""

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from ...cache.records import VideoCheck
from ...configs.schema import FeaturesConfig
from ..devices import resolve_device
from ..events import Planned
from ..workers import Died, Workers, held, let_go, run_all
from .videos import Source


@dataclass(frozen=True, slots=True)
class CheckTask:
    """One video for a worker, with all the worker needs to know."""

    source: Source
    config: FeaturesConfig
    device: str


def check_videos(
    sources: Sequence[Source], config: FeaturesConfig, *, device: str = "auto", workers: Workers | None = None
) -> Generator[Planned | VideoCheck, None, None]:
    """A check of each video as it is done; every frame is decoded, some are searched for faces."""
    device = resolve_device(device)
    yield Planned(len(sources))
    tasks = [CheckTask(source, config, device) for source in sources]
    with contextlib.closing(run_all(workers or Workers(), check_one, tasks, VideoCheck)) as events:
        for event in events:
            if isinstance(event, Died):
                yield VideoCheck(str(event.task.source.path), readable=False, problems=(event.reason,))
            else:
                yield event
    let_go("checker")


def check_one(task: CheckTask) -> Generator[VideoCheck, None, None]:
    """Check one video in this process; what a worker runs."""
    from ...stages.features.check import VideoChecker

    checker = held("checker", (task.config, task.device), lambda: VideoChecker(task.config, task.device))
    yield checker.check(task.source.path, task.source.picture_fps)
