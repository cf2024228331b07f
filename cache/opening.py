"""`store.json`: what a store is and which recipe made it; opening and making stores."""

import contextlib
import json
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import StoreError
from . import checked
from .blobs import Blobs, DamageError
from .blobs_local import LocalFolder
from .entry_format import EntryFormat
from .folder_store import FolderStore
from .records import Json, Recipe
from .store import Store

FILE = "store.json"
FORMAT_VERSION = 1
MOST_BYTES = 1 << 20  # of store.json
FORMATS = ("zarr", "hdf5")
SOURCE = "source"  # in the recipe of features that were imported: the tool whose tables they came in


def open_store(location: str | Path) -> Store:
    """The store at a folder or URL.

    Errors: StoreError when there is none, or a newer or foreign one.

    >>> store = open_store("features")
    >>> for video in store.ids():
    ...     features = store.read(video)  # a row for each face in each kept frame
    ...     seconds = features.time_s[features.frame]  # (R,) when each row of features.values (R, D) is shown
    """
    blobs = blobs_at(str(location))
    try:
        with _of_a_store(blobs):
            return _opened(blobs, blobs.get(FILE, MOST_BYTES))
    except FileNotFoundError:
        raise StoreError(
            f"{blobs.where} is not a store: it has no {FILE}",
            hint=f"affect extract-features VIDEOS --store {blobs.where}",
        ) from None


def store_exists(location: str | Path) -> bool:
    """Whether there is a store at a folder or URL; False for an empty, missing or foreign folder."""
    blobs = blobs_at(str(location))
    with _of_a_store(blobs):
        return blobs.exists(FILE)


def create_store(
    location: str | Path, recipe: Recipe, store_format: str | None = None, weights: str | None = None
) -> Store:
    """The store at a folder or URL, made when missing (format: zarr unless said).

    Errors: StoreError naming every recipe field that differs, or another format than the one asked for.
    """
    if store_format not in (None, *FORMATS):
        raise StoreError(f"there is no store format {store_format!r}; expected {' or '.join(FORMATS)}")
    blobs = blobs_at(str(location))
    with _of_a_store(blobs):
        return _created(blobs, recipe, store_format, weights)


def _created(blobs: Blobs, recipe: Recipe, store_format: str | None, weights: str | None) -> Store:
    if not blobs.exists(FILE):
        _refuse_foreign(blobs)
        document = {
            "format_version": FORMAT_VERSION, "format": store_format or FORMATS[0],
            "digest": recipe.digest, "recipe": dict(recipe.fields), "weights": weights,
        }  # fmt: skip
        blobs.swap(FILE, json.dumps(document, indent=1, ensure_ascii=True).encode(), None)
    store = _opened(blobs, blobs.get(FILE, MOST_BYTES))
    if differences := store.recipe.differences(recipe):
        said = [made.fields.get(SOURCE) for made in (store.recipe, recipe)]
        if said[0] != said[1]:
            there, here = (f"came in tables of {_said(tool)}" if tool else "are extracted from videos" for tool in said)
            raise StoreError(
                f"store {blobs.where} holds features that {there}; these {here}, and the two never mix",
                hint="choose another --store for these",
            )
        raise StoreError(
            f"store {blobs.where} was made with another recipe: {spell_differences(differences)}",
            hint="choose another --store for this recipe, or set these as they are in the store",
        )
    if store_format not in (None, store.format):
        raise StoreError(
            f"store {blobs.where} is in format {store.format}, not {store_format}",
            hint=f"leave --format out, or choose another --store for {store_format}",
        )
    with contextlib.suppress(StoreError):  # tidying a store that may not be written to is not what was asked
        store.sweep()
    return store


def blobs_at(location: str) -> Blobs:
    """A folder, or a prefix of an object store for anything with `://`."""
    scheme, separator, rest = location.partition("://")
    if separator and scheme != "file":
        from .blobs_object import ObjectFolder

        return ObjectFolder(location)
    path = Path(rest if separator else location)
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path} is a file; a store is a folder", hint="choose another --store")
    return LocalFolder(path)


def spell_differences(differences: Mapping[str, tuple[Json, Json]]) -> str:
    """Each field with the store's value and the one asked for; inside nested fields, just what differs."""
    found = []
    for name, (theirs, mine) in differences.items():
        if isinstance(theirs, Mapping) and isinstance(mine, Mapping):
            inner = Recipe(theirs).differences(Recipe(mine))
            found.append(spell_differences({f"{name}.{key}": pair for key, pair in inner.items()}))
        else:
            found.append(f"{name} is {_short(theirs)} there and {_short(mine)} here")
    return "; ".join(found)


def _short(value: Json) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _said(value: Json) -> str:
    return value[:80] if isinstance(value, str) else reprlib.repr(value)


@contextlib.contextmanager
def _of_a_store(blobs: Blobs) -> Iterator[None]:
    """Errors: StoreError for what lies in a store's folder and is no file or folder of a store."""
    try:
        yield
    except DamageError as damage:
        raise StoreError(
            f"{blobs.where} cannot be used as a store: {damage}",
            hint="remove what is not of the store, or choose another --store",
        ) from damage


def _opened(blobs: Blobs, data: bytes) -> FolderStore:
    try:
        document = checked.parsed(data)
        version, name = document["format_version"], document["format"]
    except (ValueError, KeyError):
        raise StoreError(
            f"{blobs.where}/{FILE} cannot be read as the description of a store",
            hint="put the file back as it was, or copy the store again; else extract into a new --store",
        ) from None
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        raise StoreError(
            f"{blobs.where} has format_version {_said(version)}; this version of affect reads up to {FORMAT_VERSION}",
            hint="pip install --upgrade affect",
        )
    fields, digest, weights = document.get("recipe"), document.get("digest"), document.get("weights")
    if name not in FORMATS or not isinstance(fields, dict):
        raise StoreError(
            f"{blobs.where}/{FILE} names format {reprlib.repr(name)}; expected {' or '.join(FORMATS)} and a recipe"
        )
    try:
        recipe = Recipe(checked.plain(fields, "recipe"))
        if weights is not None:
            checked.text(weights, "weights")
    except ValueError as error:
        raise StoreError(
            f"{blobs.where}/{FILE} cannot be: {error}",
            hint="put the file back as it was, or extract into a new --store",
        ) from None
    if recipe.digest != digest:
        raise StoreError(
            f"{blobs.where}/{FILE} was changed: its digest is {_said(digest)[:12]}, its recipe's {recipe.digest[:12]}",
            hint="put the file back as it was, or extract into a new --store",
        )
    store = FolderStore(blobs, recipe, _format(name))
    store.weights, store.folds_case = weights, blobs.folds_case(FILE)
    return store


def _format(name: str) -> EntryFormat:
    if name == "zarr":
        from .zarr_format import ZarrFormat

        return ZarrFormat()
    from .hdf5_format import Hdf5Format

    return Hdf5Format()


def _refuse_foreign(blobs: Blobs) -> None:
    if isinstance(blobs, LocalFolder):
        names = sorted(item.name for item in blobs.root.iterdir()) if blobs.root.is_dir() else []
    else:
        names = blobs.names("")
    # Another run may make the store at this very moment.
    if foreign := [name for name in names if name != FILE and not name.startswith(".")]:
        raise StoreError(
            f"{blobs.where} is not a store and not empty: it holds {foreign[0]!r}",
            hint="choose a new or empty folder for --store",
        )
