"""Keyed hashes in the place of names: the same video keeps its pseudonym, and nobody without the key finds the name."""

import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import InputError

LEAST_KEY_BYTES = 16
SHOWN_DIGITS = 16  # 64 bits: a million videos collide once in 37 million projects


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Names as they may be written: pseudonyms under a key, or themselves without one."""

    key: bytes | None = field(default=None, repr=False)

    @classmethod
    def from_file(cls, path: Path | None) -> "Pseudonyms":
        """Errors: InputError for a key file that is missing or too short to be a secret."""
        if path is None:
            return cls(None)
        make = f"python3 -c 'import secrets; print(secrets.token_hex(32))' > {path}"
        try:
            key = path.read_bytes().strip()
        except OSError as error:
            raise InputError(f"key file {path} cannot be read: {error.strerror}", hint=make) from error
        if len(key) < LEAST_KEY_BYTES:
            raise InputError(f"key file {path} holds {len(key)} bytes; expected at least {LEAST_KEY_BYTES}", hint=make)
        return cls(key)

    @property
    def active(self) -> bool:
        """Whether names are replaced."""
        return self.key is not None

    def of(self, name: str) -> str:
        """`name`, or its pseudonym: HMAC-SHA256 under the key, the first 64 bits in hexadecimal."""
        if self.key is None:
            return name
        return "v-" + hmac.new(self.key, name.encode(), hashlib.sha256).hexdigest()[:SHOWN_DIGITS]

    def cleaned(self, text: str, name: str, path: Path | None) -> str:
        """`text`, a message about a video, with every form of the video's name replaced."""
        if self.key is None:
            return text
        forms = {name, Path(name).name, Path(name).stem}
        if path is not None:
            forms |= {str(path), str(path.absolute()), str(path.resolve()), str(path.parent), path.name, path.stem}
        for form in sorted(forms - {"", ".", "/"}, key=len, reverse=True):
            text = text.replace(form, self.of(name))
        return text
