"""An iterator that runs ahead in a thread of its own, a few items and no more."""

import threading
from collections import deque
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

from .one_thread import compute_alone

Item = TypeVar("Item")


class Background(Generic[Item]):
    """Items of a generator, made in a thread, which computes alone; what it raises is raised here, in its place."""

    def __init__(self, items: Generator[Item, None, None], ahead: int, name: str) -> None:
        """`ahead`: items that may wait to be asked for. The thread starts now, and closes the generator."""
        self._items = items
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
        try:
            compute_alone()
            for item in self._items:
                if not self._put(item):
                    break
        except BaseException as error:  # noqa: BLE001  (handed to the consumer, whatever it is)
            self._error = error
        finally:
            self._items.close()
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
