"""Keyed hashes in the place of names: the same video keeps its pseudonym, and nobody without the key finds the name."""

import hashlib
import hmac
import math
import os
import re
import shlex
import stat
import unicodedata
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from ..errors import InputError
from .predictions import VideoPrediction
from .system import open_to_others

LEAST_KEY_BYTES = 16
MOST_KEY_BYTES = 1 << 12
LEAST_KEY_BITS = (
    56  # as `strength_bits` counts: it gives 16 random bytes 64, less two for each byte that is there again
)
SHOWN_DIGITS = 16  # 64 bits: a million videos collide once in 37 million projects
LEAST_WORD = 3  # letters of a stem or folder that is looked for as a word by itself; shorter ones are in every sentence
PLACE = "(a place)"  # in messages, for a path that is no video's
BEGIN, END, ENDS = (
    r"(?<![^\W_])",
    r"(?![^\W_])",
    r"\s'\"<>|,;()=",
)  # of a word; and what no path in a message goes across


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Names as they may be written: pseudonyms under a key, or themselves without one."""

    key: bytes | None = field(default=None, repr=False)

    @classmethod
    def from_file(cls, path: Path | None) -> "Pseudonyms":
        """Errors: InputError for a key file that is missing, that others may read, or that is no secret."""
        if path is None:
            return cls(None)
        make = f"(umask 077; python3 -c 'import secrets; print(secrets.token_hex(32))' > {shlex.quote(str(path))})"
        key = _read_key(path, make)
        if len(key) < LEAST_KEY_BYTES:
            raise InputError(f"key file {path} holds {len(key)} bytes; expected at least {LEAST_KEY_BYTES}", hint=make)
        if strength_bits(key) < LEAST_KEY_BITS:
            raise InputError(
                f"key file {path} holds about {strength_bits(key):.0f} bits that cannot be guessed; expected 64: "
                "whoever guesses the key finds every name",
                hint=make,
            )
        return cls(key)

    @property
    def active(self) -> bool:
        """Whether names are replaced."""
        return self.key is not None

    def of(self, name: str) -> str:
        """A video's `name`, or its pseudonym: HMAC-SHA256 under the key, the first 64 bits in hexadecimal."""
        return self._hashed("v-", name)

    def of_run(self, path: str) -> str:
        """A run's path; under a key the hash of its folder's name, whatever folder that lies in."""
        return self._hashed("r-", Path(path).resolve().name) if self.active else path

    def _hashed(self, mark: str, name: str) -> str:
        if self.key is None:
            return name
        digest = hmac.new(self.key, name.encode("utf-8", "surrogateescape"), hashlib.sha256)
        return mark + digest.hexdigest()[:SHOWN_DIGITS]

    def of_prediction(self, prediction: VideoPrediction, run: str = "") -> VideoPrediction:
        """The prediction under its pseudonym, also in what it warns of."""
        name, source = prediction.video, prediction.source
        warnings = [self.cleaned(words, name, source, run) for words in prediction.warnings]
        return replace(prediction, video=self.of(prediction.video), warnings=tuple(warnings))

    def cleaned(self, text: str, name: str = "", path: Path | None = None, run: str = "") -> str:
        """`text`, a message about a video, without any form of the video's name, of the run's, or of a path.

        One pass, the longest form first. A stem or a folder is replaced where it stands as a word of its own.
        """
        if self.key is None:
            return text
        files, words = (
            "|".join(map(re.escape, sorted(forms(name, path), key=len, reverse=True))) or "(?!)"
            for forms in (_file_forms, _word_forms)
        )
        runs = "|".join(map(re.escape, sorted(_run_forms(run), key=len, reverse=True))) or "(?!)"
        looked_for = (
            rf"(?P<file>(?:[^{ENDS}:]*[/\\])?{BEGIN}(?:{files}){END})",  # a path in front of a name goes with it
            rf"(?P<run>(?:[^{ENDS}:]*[/\\])?{BEGIN}(?:{runs}){END})",
            rf"(?P<word>{BEGIN}(?:{words}){END})",
            r"(?<=['\"])(?:[A-Za-z]:)?[/\\][^'\"\n]+(?=['\"])",
            rf"(?<![^{ENDS}])(?!\d+/\d+{END}|[a-z]+/s{END})[^{ENDS}]*[/\\](?:[^{ENDS}]*[^{ENDS}.:])?",
        )
        return re.sub(
            "|".join(looked_for),
            lambda found: (
                self.of(name) if found["file"] or found["word"] else self.of_run(run) if found["run"] else PLACE
            ),
            unicodedata.normalize("NFC", text),
        )


def _file_forms(name: str, path: Path | None) -> set[str]:
    """What the file may be called: its name, its id and its path, as they are, as an address, and composed."""
    forms = {name, Path(name).name}
    if path is not None:
        forms |= {path.name, str(path), str(path.absolute()), os.path.realpath(path)}
    return _spellings(forms)


def _run_forms(run: str) -> set[str]:
    return _spellings({run, os.path.realpath(run), Path(run).resolve().name}) if run else set()


def _word_forms(name: str, path: Path | None) -> set[str]:
    """Stem and folders of the id, and the folder of the file."""
    forms = {Path(name).stem, *Path(name).parts[:-1]}
    if path is not None:
        forms |= {path.stem, path.absolute().parent.name}
    return {form for form in _spellings(forms) if len(form) >= LEAST_WORD}


def _spellings(forms: set[str]) -> set[str]:
    forms = {form for form in forms if form not in ("", ".", "..", "/")}
    forms |= {unicodedata.normalize("NFC", form) for form in forms}
    quoted = {quote(form, errors="replace") for form in forms} | {
        quote(form, safe="", errors="replace") for form in forms
    }
    return forms | quoted | {repr(form)[1:-1] for form in forms}


def _read_key(path: Path, make: str) -> bytes:
    """Errors: InputError."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_KEY_BYTES:
            raise InputError(f"{path} is no key file; expected a file of {LEAST_KEY_BYTES} to {MOST_KEY_BYTES} bytes")
        if open_to_others(found):
            raise InputError(
                f"key file {path} is open to other people here (mode {stat.S_IMODE(found.st_mode):04o}); whoever reads "
                "it finds every name; expected 0600",
                hint=f"chmod 600 {shlex.quote(str(path))}",
            )
        return path.read_bytes().strip()
    except OSError as error:
        raise InputError(f"key file {path} cannot be read: {error.strerror}", hint=make) from error


def strength_bits(key: bytes) -> float:
    """About how many bits of a key cannot be guessed: its bytes times the entropy of their distribution.

    A key that repeats itself counts once. The estimate is low for short random keys, and high for words.
    """
    unit = next((size for size in range(1, len(key)) if key[size:] == key[:-size]), len(key))
    counts = Counter(key[:unit])
    return -sum(count * math.log2(count / unit) for count in counts.values()) + 0.0
