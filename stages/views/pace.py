"""How much of some work is done, how fast it goes, and how long it will still take: from what its parts say of it.

A part is a video, whose work is counted in its seconds, or a fold, whose work is epochs. Several go on at a time. The
clock is the caller's, in seconds; nothing here asks for the time.
"""

import heapq
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

LEAST_S = 2.0  # of work, before there is a rate: of less, it says how long the first block took to arrive
OWN_S = 10.0  # a part that has worked for so long is believed as much about its own rate as all others together
MORE = 1.1  # of what has come of a part whose size is not known, when it is more than usual
MOST_SIZE = 3.6e5  # 100 hours: what claims to be longer is taken for one that says nothing


@dataclass(slots=True)
class Part:
    """A part that is being worked on."""

    size: float | None  # None: not known
    done: float  # as far as it has come, with what an earlier run had done
    again: bool  # whether it still reads what an earlier run had done, which is no work
    moved_s: float
    # The first move: of a part's own rate, how long the first block took to come through says nothing.
    first: float | None = None
    first_s: float = 0.0

    @property
    def rate(self) -> float | None:
        """Work a second; None as long as it would mean nothing."""
        worked, worked_s = self.own
        return worked / worked_s if worked_s >= LEAST_S and worked else None

    @property
    def own(self) -> tuple[float, float]:
        """Work since the first move, and seconds."""
        return (0.0, 0.0) if self.first is None else (self.done - self.first, self.moved_s - self.first_s)

    def left_s(self, pace: float, usual: float, now_s: float) -> float:
        """Seconds until its end, by its own rate as far as that is known, else by that of all."""
        worked, worked_s = self.own
        own = (worked + pace * OWN_S) / (worked_s + OWN_S)
        since_s = 0.0 if self.again else now_s - self.moved_s
        return max(0.0, (self.expected(usual) - self.done) / own - since_s)

    def expected(self, usual: float) -> float:
        """Its size; where that is not known a usual one, or somewhat more than has come of it."""
        if self.size is not None:
            return self.size
        return usual if self.done < usual else MORE * self.done


class Pace:
    """The work of many parts. Those that are skipped, or were done by an earlier run, make it no faster."""

    def __init__(self, sizes: Mapping[Any, float | None], now_s: float) -> None:
        """sizes: name of a part (a number where it will be known later) -> its size, None where that is not known."""
        self._waiting: dict[Hashable, float | None] = {name: _believed(size) for name, size in sizes.items()}
        self.running: dict[Hashable, Part] = {}
        self._lengths: list[float] = []  # of the parts that have ended
        self._at_once = 1
        self._worked = self._busy_s = 0.0  # under this clock; seconds of all workers together
        self._own: list[tuple[float, float]] = []  # work and seconds behind the first move, of the parts that ended
        self._firsts: list[float] = []  # work until then, which takes as long as opening a part does, and its start
        self._left_to_others = 0
        self._counted_s: float | None = None
        self._made_s = now_s

    @property
    def ended(self) -> int:
        """Parts that are over."""
        return len(self._lengths)

    @property
    def parts(self) -> int:
        """All of them, but for those that were skipped."""
        return len(self._waiting) + len(self.running) + len(self._lengths)

    @property
    def done(self) -> float:
        """Work that is done, by earlier runs too."""
        return sum(self._lengths) + sum(part.done for part in self.running.values())

    @property
    def total(self) -> float | None:
        """All the work; a part whose size is not known counts as a usual one. None where none is known."""
        usual = self._usual()
        if usual is None:
            return None
        waiting = sum(usual if size is None else size for size in self._waiting.values())
        return waiting + sum(part.expected(usual) for part in self.running.values()) + sum(self._lengths)

    @property
    def rate(self) -> float | None:
        """Work a second, of all workers together; None as long as it would mean nothing."""
        workers = max(1, min(self._at_once, len(self.running) + len(self._waiting)))
        return None if self._each is None else self._each * workers

    @property
    def _each(self) -> float | None:
        return self._worked / self._busy_s if self._busy_s >= LEAST_S and self._worked else None

    def begin(
        self, name: Hashable, now_s: float, size: float | None = None, done: float = 0.0, *, again: bool = False
    ) -> None:
        """A part begins. done: by an earlier run; again: where that is known at the first move, once it is read."""
        if self._counted_s is None:
            self._counted_s = now_s  # workers that start have not been working
        self._count(now_s)
        known = self._taken(name)
        size = known if _believed(size) is None else _believed(size)
        self.running[name] = Part(size, done, again, now_s)
        self._at_once = max(self._at_once, len(self.running))

    def move(self, name: Hashable, done: float, now_s: float, size: float | None = None) -> None:
        """A part has come so far; size: what is known of it by now."""
        if name not in self.running:
            self.begin(name, now_s, size, again=True)
        self._count(now_s)
        part = self.running[name]
        part.size = part.size if _believed(size) is None else _believed(size)
        if part.size is not None:
            part.size = max(part.size, done)
        if not part.again:
            self._worked += max(0.0, done - part.done)
        if part.first is None:
            self._firsts += [] if part.again else [done - part.done]
            part.first, part.first_s, part.again = done, now_s, False
        part.done, part.moved_s = done, now_s

    def end(self, name: Hashable, now_s: float, *, failed: bool = False) -> None:
        """A part is over; one that failed has done as much as it had come to."""
        part = self._gone(name, now_s)
        size = 0.0
        if isinstance(part, Part):
            size = part.done
            self._own.append(part.own)
        if not isinstance(part, Part) and not failed:  # nothing was heard of it before its end, as from a cluster
            size = part or self._usual() or 0.0
            self._worked += size
        self._lengths.append(size)

    def drop(self, name: Hashable, now_s: float) -> None:
        """A part need not be done after all."""
        self._gone(name, now_s)

    def leave(self, name: Hashable, now_s: float) -> None:
        """Another run is at a part, or was: it will take its share of what is waiting too."""
        self._gone(name, now_s)
        self._left_to_others += 1

    def _gone(self, name: Hashable, now_s: float) -> Part | float | None:
        """The part, or its size where it had not begun."""
        if self._counted_s is None:
            self._counted_s = self._made_s
        self._count(now_s)
        return self.running.pop(name) if name in self.running else self._taken(name)

    def left_s(self, now_s: float) -> float | None:
        """Seconds until all is done; None as long as it cannot be told."""
        usual, pace = self._usual(), self._each
        if pace is None or usual is None:
            return None
        start_s, first, rate = self._model(pace)
        free_s = [part.left_s(rate, usual, now_s) for part in self.running.values()]
        free_s += [0.0] * (self._at_once - len(free_s))
        heapq.heapify(free_s)
        ours = self.ended + len(self.running)
        share = ours / (ours + self._left_to_others) if ours else 1.0
        for size in self._waiting.values():  # each is taken by the worker that is free first
            takes_s = start_s + max(0.0, (usual if size is None else size) - first) / rate
            heapq.heapreplace(free_s, free_s[0] + share * takes_s)
        return max(free_s)

    def _model(self, pace: float) -> tuple[float, float, float]:
        """Of a part that is still waiting: seconds until its first move, the work in that, and its rate from there on.

        The slowest and the fastest part are left out of the rate: one odd video says little of the others.
        """
        own = [(worked, worked_s) for worked, worked_s in self._owns() if worked_s >= LEAST_S and worked]
        if not own or not self._firsts:
            return 0.0, 0.0, pace
        own.sort(key=lambda pair: pair[0] / pair[1])
        usual = own[1:-1] if len(own) > 2 else own
        starts_s = max(0.0, self._busy_s - sum(worked_s for _, worked_s in self._owns()))
        rate = sum(worked for worked, _ in usual) / sum(worked_s for _, worked_s in usual)
        return starts_s / len(self._firsts), sum(self._firsts) / len(self._firsts), rate

    def _owns(self) -> list[tuple[float, float]]:
        return [*self._own, *(part.own for part in self.running.values())]

    def _count(self, now_s: float) -> None:
        """Add up for how long workers have been at work: those between two parts too, but not those reading again."""
        again = sum(part.again for part in self.running.values())
        between = min(self._at_once - len(self.running), len(self._waiting))
        since_s = now_s if self._counted_s is None else self._counted_s
        self._busy_s += (now_s - since_s) * (len(self.running) - again + between)
        self._counted_s = now_s

    def _taken(self, name: Hashable) -> float | None:
        """The size of a part that is no longer waiting; a name that is new is one of those without."""
        if name not in self._waiting:
            name = next((other for other in self._waiting if isinstance(other, int)), name)
        return self._waiting.pop(name, None)

    def _usual(self) -> float | None:
        under_way = [part.size for part in self.running.values()]
        known = [size for size in (*self._waiting.values(), *under_way, *self._lengths) if size]
        return sum(known) / len(known) if known else None


def _believed(size: float | None) -> float | None:
    return size if size is not None and 0 < size < MOST_SIZE else None
