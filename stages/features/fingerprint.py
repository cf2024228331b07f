"""What a video file contains, as one short text: the same for a renamed file, another for a changed one."""

import hashlib
from pathlib import Path

from ...errors import VideoError

_CHUNK_BYTES = 1 << 20


def fingerprint(path: Path, *part: str) -> str:
    """sha256 of the file's size and every byte: reading takes a small part of the time that decoding does.

    part: words for what of the file is meant, and how it is read, where it is not the whole of it as it is.

    Errors: VideoError for a file that cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            digest.update(f"{path.stat().st_size}\n".encode())
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
        for word in part:
            digest.update(b"\0" + word.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror or error}); expected a video file") from error
    return f"sha256:{digest.hexdigest()}"
