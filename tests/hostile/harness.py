"""Runs `affect` on hostile input: a fork of one loaded process, under limits, with every step watched and judged.

ended = adversary.run(["predict", "a.mp4", "--run", run, "--output", out], Place(folder, writes=[out]))
assert ended.faults() == []
"""

import contextlib
import json
import os
import re
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from affect.tests.hostile.watch import ROOT, Allowed, Watch

HANG_S = 20.0
ROOM_BYTES = 3 << 30  # of address space that a command may take beyond what the loaded process has
MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """What a command may touch. Paths are those typed; `folder` is where it runs, with its own temporary folder."""

    folder: Path
    reads: Sequence[Path] = ()
    writes: Sequence[Path] = ()
    received: Sequence[Path] = ()  # made by strangers: read, but no code taken from them
    workers: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended, or was ended."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str
    seconds: float
    peak_bytes: int  # of memory, beyond what the loaded process held
    hung: bool
    steps: tuple[str, ...]  # what the watch did not allow

    def faults(self, *, most_bytes: int | None = None) -> list[str]:
        """What no input may bring about; one sentence each."""
        found = [f"outside: {step}" for step in self.steps]
        if self.hung:
            return [*found, f"hung for more than {HANG_S:.0f} s"]
        if self.code not in (0, 1, 2):
            found.append(f"ended with {self.code}: {self.err[-300:]}")
        if "Traceback (most recent call last)" in self.err + self.out:
            found.append(f"a traceback: {_last_lines(self.err)}")
        elif self.code != 0 and not (self.out + self.err).strip():
            found.append(f"ended with {self.code} without a word")
        if most_bytes is not None and self.peak_bytes > most_bytes:
            found.append(f"took {self.peak_bytes // MB} MB; expected at most {most_bytes // MB}")
        return found


def _last_lines(text: str) -> str:
    """Where in our code a traceback ends, and its last line."""
    frames = re.findall(r'File "([^"]+)", line (\d+), in (\S+)', text)
    ours = [f"{path.removeprefix(str(ROOT) + '/')}:{line} {name}" for path, line, name in frames if str(ROOT) in path]
    return f"{' < '.join(reversed(ours[-4:]))}: {text.strip().splitlines()[-1][:300]}"


def serve() -> None:
    """Load everything once; then fork for each line of standard input, and answer with how it ended."""
    import matplotlib.pyplot as plt
    import timm

    import affect.cache.hdf5_format
    import affect.cache.zarr_format
    import affect.cli
    import affect.pipeline.demo.demo
    import affect.pipeline.extract.check
    import affect.pipeline.extract.inspect
    import affect.pipeline.predict.outputs
    import affect.pipeline.report.report
    import affect.pipeline.runs.import_checkpoint
    import affect.pipeline.terminal.bars
    import affect.pipeline.train.sweep
    import affect.stages.features.backbones.timm
    import affect.stages.features.stream  # noqa: F401

    plt.figure()  # finds the fonts
    plt.close()
    timm.create_model("test_convnext")
    for line in sys.stdin:
        print(json.dumps(_forked(json.loads(line))), flush=True)  # noqa: T201 - the answer


def _forked(order: dict[str, Any]) -> dict[str, Any]:
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _child(order)
    before = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    hung = _hangs(pid, order["limit_s"])
    for end in (os.killpg, os.kill):  # also what it left running
        with contextlib.suppress(ProcessLookupError):
            end(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    return {
        "code": os.waitstatus_to_exitcode(status), "hung": hung, "seconds": time.monotonic() - started,
        "peak_bytes": max(0, usage.ru_maxrss * 1024 - before),
    }  # fmt: skip


def _hangs(pid: int, limit_s: float) -> bool:
    """Wait for a process; whether it waits for something after `limit_s`, or has computed for so long.

    One that computes may take longer where other tests share the machine.
    """
    handle = os.pidfd_open(pid)
    try:
        wait_s, busy_s = limit_s, -1.0
        while not select.select([handle], [], [], wait_s)[0]:
            used_s = _processor_s(pid)
            if used_s > limit_s or used_s - busy_s < 0.05:
                return True
            wait_s, busy_s = 1.0, used_s
        return False
    finally:
        os.close(handle)


def _processor_s(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _child(order: dict[str, Any]) -> None:
    """Never returns."""
    code = 99
    try:
        os.setsid()
        os.chdir(order["folder"])
        os.environ.update(order["environment"])
        for handle, name in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), handle)
        report = os.open(order["steps"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + order["room_bytes"], held + order["room_bytes"]))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
        watch = Watch(Allowed(**order["allowed"]), lambda line: _written(report, line))
        _forget()
        watch.install()
        code = _ran(order)
    finally:
        os._exit(code)


def _forget() -> None:
    """What the server's imports left that a command would make anew."""
    import tempfile

    tempfile.tempdir = None


def _written(handle: int, line: str) -> None:
    os.write(handle, line.encode("utf-8", "backslashreplace"))


def _ran(order: dict[str, Any]) -> int:
    import atexit
    import traceback

    import affect.cli

    code: Any = 0
    try:
        if "python" in order:
            exec(compile(order["python"], "<self-test>", "exec"), {"__name__": "__main__"})
        else:
            sys.argv = ["affect", *order["words"]]
            affect.cli.main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:  # noqa: BLE001 - shown as Python would
        traceback.print_exc()
        code = 99
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return int(code)


@dataclass(slots=True)
class Adversary:
    """Starts commands as forks of one process, which is started with the first."""

    folder: Path  # for what they say, and their HOME
    _server: "subprocess.Popen[str] | None" = None
    _count: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, words: Sequence[object], place: Place, *, limit_s: float = HANG_S) -> Ended:
        """`affect` with these words."""
        typed = [str(word) for word in words]
        return self._ran({"words": typed}, place, limit_s)

    def python(self, program: str, place: Place, *, limit_s: float = HANG_S) -> Ended:
        """A program in the place of the command: shows that the watch sees what it should."""
        return self._ran({"python": program}, place, limit_s)

    def _ran(self, order: dict[str, Any], place: Place, limit_s: float) -> Ended:
        self._count += 1
        temporary = place.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        said = {name: self.folder / f"{self._count}.{name}" for name in ("out", "err", "steps")}
        for path in said.values():
            path.write_bytes(b"")
        writes = [*place.writes, temporary]
        allowed = Allowed(
            reads=[str(path) for path in [*place.reads, *place.received, *writes]],
            writes=[str(path) for path in writes],
            received=[str(path) for path in place.received],
            parents=[str(path.parent) for path in writes],
            workers=place.workers,
        )
        environment = {"TMPDIR": str(temporary), **self.environment}
        answer = self._ask({
            **order, "folder": str(place.folder), "environment": environment, "limit_s": limit_s,
            "room_bytes": ROOM_BYTES, "allowed": asdict(allowed), **{name: str(path) for name, path in said.items()},
        })  # fmt: skip
        texts = {name: path.read_text("utf-8", "replace") for name, path in said.items()}
        for path in said.values():
            path.unlink()
        return Ended(
            words=tuple(order.get("words", ())), out=texts["out"], err=texts["err"],
            steps=tuple(dict.fromkeys(texts["steps"].splitlines())), **answer,
        )  # fmt: skip

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        if self._server is None:
            home = self.folder / "home"
            home.mkdir(exist_ok=True)
            own = {"HOME": str(home), "OMP_NUM_THREADS": "1", "MPLCONFIGDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
            program = "from affect.tests.hostile.harness import serve; serve()"
            self._server = subprocess.Popen(
                [sys.executable, "-P", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env={**os.environ, **own}, cwd=self.folder,
            )  # fmt: skip
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        line = self._server.stdout.readline()
        assert line, f"the server has ended with {self._server.wait(30)}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the server."""
        if self._server is not None:
            assert self._server.stdin is not None
            self._server.stdin.close()
            self._server.wait(30)
