"""Who works on an entry: one live process at a time, on one host or many.

A claim is a small file beside the journal. It is taken by compare-and-swap and kept alive by its time of change.
That of a dead process on this host is taken over at once, that of another host when it was silent for SILENT_S.
"""

import contextlib
import json
import os
import secrets
import threading

from ..errors import AffectError, BusyError, EntryError
from .blobs import Blobs, DamageError
from .checked import parsed
from .system import host, started

SILENT_S = 120.0  # a claim of another host that was not renewed for this long is free
MOST_BYTES = 1 << 14  # of a claim
RENEW_S = 20.0  # several renewals fit into SILENT_S, so a slow network does not lose a claim


class Claim:
    """A claim held by this process, renewed by a thread until `release`."""

    def __init__(self, blobs: Blobs, key: str, what: str) -> None:
        """Take it. Errors: BusyError when a live process holds it; `what` names the entry in messages."""
        self._blobs, self._key, self._what = blobs, key, what
        self._data = json.dumps({**_myself(), "token": secrets.token_hex(16)}).encode()
        self._take()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"claim {key}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Errors: EntryError when another process has taken the claim over."""
        try:
            current: bytes | None = self._blobs.get(self._key, MOST_BYTES)
        except FileNotFoundError:
            current = None
        except DamageError as damage:
            raise _foreign(self._what, damage) from damage
        if current == self._data:
            return
        raise EntryError(
            f"{self._what} was taken over by {_owner(current)} while this process stood still",
            hint="let that run finish; nothing it does is disturbed by this one",
        )

    def release(self) -> None:
        """Give the claim back, if it is still ours."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join()
        self._blobs.swap(self._key, None, self._data)

    def _take(self) -> None:
        for _ in range(20):
            try:
                current: bytes | None = self._blobs.get(self._key, MOST_BYTES)
            except FileNotFoundError:
                current = None
            except DamageError as damage:
                raise _foreign(self._what, damage) from damage
            if current is not None and (reason := self._alive(current)):
                raise BusyError(
                    f"{self._what} is being written by {_owner(current)}, {reason}",
                    hint="wait for that run, or end it and run the same command again",
                )
            try:
                if self._blobs.swap(self._key, self._data, current):
                    return
            except DamageError as damage:
                raise _foreign(self._what, damage) from damage
        raise BusyError(f"{self._what} is fought over by several processes", hint="run the same command again")

    def _alive(self, data: bytes) -> str:
        """Why a claim stands; empty when it may be taken over."""
        owner = _parse(data)
        if owner.get("host") == _myself()["host"]:
            alive = started(int(owner["pid"])) == owner["started"]
            return "which is running" if alive else ""
        try:
            silence = self._blobs.silence_s(self._key)
        except FileNotFoundError:
            return ""
        # A time far ahead, as a copied folder may have, is of no process that renews it.
        return (
            "" if abs(silence) > SILENT_S else f"heard of {silence:.0f} s ago (free after {SILENT_S:.0f} s of silence)"
        )

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_S):
            # A store out of reach for a while is for the next append to report, in the thread that can.
            with contextlib.suppress(AffectError):
                self._blobs.renew(self._key, self._data)


def _parse(data: bytes) -> dict[str, str]:
    """Who holds a claim; nobody known where it is no claim of ours."""
    try:
        owner = parsed(data)
    except ValueError:
        return {}
    words = {name: word for name in ("host", "pid", "started") if isinstance(word := owner.get(name), str)}
    number = words.get("pid", "")
    known = len(words) == 3 and words["host"].split() and number.isascii() and number.isdecimal() and len(number) <= 10
    return words if known else {}


def _owner(data: bytes | None) -> str:
    owner = _parse(data or b"")
    return f"process {owner.get('pid', '?')} on {owner.get('host', 'unknown-host').split()[0]}"


def _foreign(what: str, damage: DamageError) -> EntryError:
    return EntryError(f"{what} cannot be claimed: {damage}", hint="remove it, then run the same command again")


def _myself() -> dict[str, str]:
    return {"host": host(), "pid": str(os.getpid()), "started": started(os.getpid()) or ""}
