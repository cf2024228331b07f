"""An iterator that runs ahead in a thread of its own, a few items and no more."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Background(Generic[Item]):
    """Items of `source()`, made in a thread; what the thread raises is raised here, in its place."""

    def __init__(self, source: Callable[[], Generator[Item, None, None]], ahead: int, name: str) -> None:
        self._source = source
        self._ahead = ahead
        self._ready: deque[Item] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ready or self._ended or self._stopped)
                if self._stopped:
                    return
                if not self._ready:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._ready.popleft()
                self._changed.notify_all()
            yield item

    def stop(self) -> None:
        """Let the thread end at its next item; whoever waits for one gets none."""
        with self._changed:
            self._stopped = True
            self._ready.clear()
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until the thread has ended; `stop` it first."""
        self._thread.join()

    def _run(self) -> None:
        items = self._source()
        try:
            for item in items:
                if not self._put(item):
                    break
        except BaseException as error:  # noqa: BLE001  (handed to the consumer, whatever it is)
            self._error = error
        finally:
            items.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, item: Item) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: len(self._ready) < self._ahead or self._stopped)
            if self._stopped:
                return False
            self._ready.append(item)
            self._changed.notify_all()
            return True
