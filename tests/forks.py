"""Programs that may be killed, begun at once: one process imports what takes seconds, and each program is its fork."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

SERVER = """
import importlib, json, os, resource, sys

for name in sys.argv[1:]:
    importlib.import_module(name)
for line in sys.stdin:
    order = json.loads(line)
    pid = os.fork()
    if pid:
        print(json.dumps(pid), flush=True)
        print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])), flush=True)
        continue
    os.setsid()
    os.environ.clear()
    os.environ.update(order["environment"])
    for handle, name in ((0, os.devnull), (1, order["out"]), (2, order["out"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND), handle)
    if order["most_bytes"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["most_bytes"],) * 2)
    sys.argv = order["words"]
    exec(order["code"], {"__name__": "__main__"})
    sys.exit()
"""


class Forks:
    """Runs programs one after another; `said` is what the last one wrote."""

    def __init__(self, folder: Path, imports: Sequence[str]) -> None:
        self._out, self.said = folder / "said", ""
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER, *imports],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, code: str, *words: object, kill_after_s: float | None = None, most_bytes: int = 0) -> int:
        """The exit code, -9 where it was killed. words: its `sys.argv`; most_bytes: of any one file."""
        self._out.unlink(missing_ok=True)
        order = {"code": code, "words": [str(word) for word in words], "out": str(self._out), "most_bytes": most_bytes,
                 "environment": dict(os.environ)}  # fmt: skip
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        pid = self._answer()
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                os.kill(pid, signal.SIGKILL)
        ended = self._answer()
        self.said = self._out.read_text("utf-8") if self._out.exists() else ""
        return ended

    def _answer(self) -> int:
        assert self._server.stdout is not None
        return int(json.loads(self._server.stdout.readline()))

    def close(self) -> None:
        self._server.kill()
        self._server.wait()
