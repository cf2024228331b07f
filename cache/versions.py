"""What is installed and what it runs on: versions, the system, the commit of a checkout."""

import importlib.metadata
import platform
import re
import subprocess
from pathlib import Path


def system() -> str:
    """System, release and processor; a release that somebody built may bear a machine's name, so its numbers alone."""
    release = re.match(r"[\d.]*\d", platform.release())
    return " ".join(filter(None, [platform.system(), release and release[0], platform.machine()]))


def version(name: str) -> str | None:
    """Of an installed package; None where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit() -> str | None:
    """The commit of a checkout, with `+changes` where files differ from it; None for an installed package."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    words = [_git(root, "rev-parse", "HEAD"), _git(root, "status", "--porcelain", "--untracked-files=no")]
    if words[0] is None:
        return None
    return words[0] + ("+changes" if words[1] else "")


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
