"""Every line is in its room: who imports whom, who knows which library, who opens files, and how large a room may get.

CONTRIBUTING.md shows the same rules as tables; the tests below compare them.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("pipeline", "stages", "cache", "configs")
STAGES = ("stages/labels", "stages/features", "stages/temporal", "stages/views", "stages/film", "stages/description")
MAY_IMPORT = {
    "cli.py": {"pipeline", "configs", "errors.py"},
    "__init__.py": {"pipeline", "cache", "configs", "errors.py"},
    "pipeline": {"pipeline", *STAGES, "cache", "configs", "errors.py"},
    **{stage: {stage, "cache", "configs", "errors.py"} for stage in STAGES},
    "cache": {"cache", "configs", "errors.py"},
    "configs": {"configs", "errors.py"},
    "errors.py": set(),
}
ONLY_IN = {  # library -> the folders and files that may import it
    "click": {"cli.py"},
    "rich": {"pipeline/terminal"},
    "joblib": {"pipeline/workers.py"},
    "zarr": {"cache"},
    "h5py": {"cache"},
    "obstore": {"cache"},
    "filelock": {"cache/locks.py"},
    "psutil": {"cache/system.py"},
    "yaml": {"configs", "cache", "pipeline/runs"},
    "numpy": {"cache", "stages", "pipeline"},
    "pandas": {"cache", "stages/labels", "pipeline"},
    "torch": {"stages/features", "stages/temporal", "pipeline"},
    "av": {"stages/features", "pipeline/predict/overlay.py", "pipeline/demo"},
    "cv2": {"stages/features", "stages/views", "stages/film"},
    "matplotlib": {"stages/views"},
}
DRAWN = {
    "cache/metrics.py",
    "cache/predictions.py",
    "cache/records.py",
}  # the types that views may know; neither opens anything
MAY_READ = {  # folders and files that may open a file
    "configs",  # YAML
    "cache",
    "stages/labels",  # a data set's tables
    "stages/features",  # videos and weights
    "stages/temporal/published.py",  # checkpoints of the authors' code
    "stages/views/viewer.py",  # its page, which is part of the package
    "pipeline",
}
MAY_WRITE = {"cache", "pipeline"}
HEAVY = {"torch", "torchvision", "cv2", "av", "zarr", "h5py", "onnx", "timm", "matplotlib", "pandas", "scipy"}
SOURCES = [
    path.relative_to(ROOT).as_posix()
    for path in [*sorted(path for place in PLACES for path in (ROOT / place).rglob("*.py")), *sorted(ROOT.glob("*.py"))]
]
READERS = {"read_text", "read_bytes", "read_csv", "read_excel", "read_parquet", "load_file", "load_workbook", "imread"}
READERS |= {"torch.load", "np.load", "np.loadtxt", "np.memmap", "safetensors.safe_open", "cv2.VideoCapture"}
WRITERS = {"write_text", "write_bytes", "mkdir", "unlink", "touch", "rmtree", "rename", "symlink_to", "save_file"}
WRITERS |= {"savefig", "imwrite", "to_csv", "to_parquet", "to_excel", "TemporaryDirectory", "NamedTemporaryFile"}
WRITERS |= {"torch.save", "np.save", "np.savez", "np.savetxt", "os.replace", "os.remove", "cv2.VideoWriter"}
MOST_LINES = {"pipeline": 7000, "a folder of pipeline": 1700, "a file": 350}
MOST_LOOSE_FILES = 6


@cache
def tree(source: str) -> ast.Module:
    return ast.parse((ROOT / source).read_text("utf-8"))


def lies_in(source: str, places: set[str]) -> bool:
    """Whether a file is one of the places, or in one of those that are folders."""
    return any(source == place or source.startswith(f"{place}/") for place in places)


def room_of(source: str) -> str:
    """`stages/features/video/decode.py` is in the room `stages/features`, `cache/store.py` in `cache`."""
    parts = source.split("/")
    return "/".join(parts[:2]) if parts[0] == "stages" and len(parts) > 2 else parts[0]


def imported(source: str) -> Iterator[str]:
    """Files of this package that a file imports, here or there in it."""
    package = source.split("/")[:-1]
    for node in ast.walk(tree(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            base = [part for part in base if part]
            for alias in node.names:
                yield file_of([*base, alias.name]) or file_of(base) or "/".join(base)


def file_of(parts: list[str]) -> str | None:
    for path in (ROOT.joinpath(*parts).with_suffix(".py"), ROOT.joinpath(*parts, "__init__.py")):
        if parts and path.is_file():
            return path.relative_to(ROOT).as_posix()
    return None


def libraries(source: str) -> Iterator[str]:
    """Top-level names of what a file imports from elsewhere."""
    for node in ast.walk(tree(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").split(".")[0]


def opened(source: str) -> Iterator[tuple[str, int]]:
    """("read" or "write", line) of each call that opens a file; what goes to or comes from memory is none."""
    calls = [node for node in ast.walk(tree(source)) if isinstance(node, ast.Call)]
    buffers = {
        target.id
        for node in ast.walk(tree(source))
        if isinstance(node, ast.Assign) and ast.unparse(node.value).split("(")[0].endswith(("BytesIO", "StringIO"))
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for call in calls:
        name = ast.unparse(call.func)
        last = name.rpartition(".")[2]
        arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
        if any(isinstance(item, ast.Name) and item.id in buffers for item in arguments):
            continue
        if last == "open" and not name[0].isupper():  # `RunFolder.open` is ours
            modes = [item.value for item in arguments if isinstance(item, ast.Constant) and isinstance(item.value, str)]
            writes = any(re.fullmatch(r"[rbt]*[wax+][wbt+]*", mode) for mode in modes) or name == "os.open"
            yield "write" if writes else "read", call.lineno
        elif last == "to_csv" and (not call.args or "buffer" in ast.unparse(call.args[0])):
            continue  # text, not a file
        elif {name, last} & WRITERS:
            yield "write", call.lineno
        elif {name, last} & READERS:
            yield "read", call.lineno


def lines_of(*sources: str) -> int:
    return sum(len((ROOT / source).read_text("utf-8").splitlines()) for source in sources)


def test_there_is_something_to_check() -> None:
    assert len(SOURCES) > 100
    assert {room_of(source) for source in SOURCES} >= set(MAY_IMPORT)
    assert "cache/records.py" in set(imported("stages/features/stream.py"))
    assert {kind for source in SOURCES for kind, _ in opened(source)} == {"read", "write"}


@pytest.mark.parametrize("source", SOURCES)
def test_a_file_imports_only_what_its_room_may(source: str) -> None:
    room = room_of(source)
    wrong = {item for item in imported(source) if room in MAY_IMPORT and room_of(item) not in MAY_IMPORT[room]}
    assert not wrong, f"{source} imports {sorted(wrong)}"


def test_views_know_the_types_of_the_cache_and_no_store() -> None:
    known = {item for source in SOURCES if lies_in(source, {"stages/views"}) for item in imported(source)}
    assert {item for item in known if room_of(item) == "cache"} <= DRAWN


def test_the_package_names_itself_only_relatively() -> None:
    assert [source for source in SOURCES if "affect" in set(libraries(source))] == []


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_known_only_where_it_belongs(library: str) -> None:
    wrong = [
        source for source in SOURCES if library in set(libraries(source)) and not lies_in(source, ONLY_IN[library])
    ]
    assert not wrong, f"{library} is imported by {wrong}"


def test_files_are_opened_only_where_that_is_the_work() -> None:
    wrong = [f"{source}:{line}" for source in SOURCES for _, line in opened(source) if not lies_in(source, MAY_READ)]
    assert not wrong, wrong


def test_files_are_written_only_by_the_cache_and_the_commands() -> None:
    wrong = [
        f"{source}:{line}"
        for source in SOURCES
        for kind, line in opened(source)
        if kind == "write" and not lies_in(source, MAY_WRITE)
    ]
    assert not wrong, wrong


@pytest.mark.parametrize("depth", ["folders", "files"])
def test_no_import_runs_back(depth: str) -> None:
    """No circle among files; nor among folders, where each file that lies loose counts by itself."""
    graph: dict[str, set[str]] = {}
    for source in SOURCES:
        here = _place(source, depth)
        graph.setdefault(here, set()).update({_place(item, depth) for item in imported(source)} - {here})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def _place(source: str, depth: str) -> str:
    folder = source.rpartition("/")[0]
    return source if depth == "files" or folder in {"", "pipeline"} else folder


def test_nothing_prints_but_the_command_line() -> None:
    prints = [
        f"{source}:{node.lineno}"
        for source in SOURCES
        for node in ast.walk(tree(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert [line for line in prints if not line.startswith("cli.py:")] == []


def test_the_command_line_and_its_settings_import_nothing_heavy() -> None:
    code = f"import sys, affect.cli, affect.configs.load; print(sorted({HEAVY!r} & set(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_the_commands_stay_small() -> None:
    pipeline = [source for source in SOURCES if source.startswith("pipeline/")]
    folders = {source.split("/")[1] for source in pipeline if source.count("/") > 1}
    sizes = {
        folder: lines_of(*(item for item in pipeline if item.startswith(f"pipeline/{folder}/"))) for folder in folders
    }
    assert lines_of(*pipeline) <= MOST_LINES["pipeline"], lines_of(*pipeline)
    assert max(sizes.values()) <= MOST_LINES["a folder of pipeline"], sizes
    assert len([item for item in pipeline if item.count("/") == 1]) <= MOST_LOOSE_FILES


def test_no_file_is_long() -> None:
    sizes = {source: lines_of(source) for source in SOURCES if source.count("/")}
    assert not {source: size for source, size in sizes.items() if size > MOST_LINES["a file"]}


def test_every_command_has_a_file_of_its_own_name() -> None:
    folders = [path for path in (ROOT / "pipeline").iterdir() if (path / f"{path.name}.py").is_file()]
    assert {path.name for path in folders} >= {"extract", "train", "predict", "report", "demo"}


def rows_of(heading: str) -> dict[str, list[str]]:
    """The table that follows a heading of CONTRIBUTING.md: first cell -> the names in backticks of each other cell."""
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    table = re.search(rf"^\| {re.escape(heading)} \|.*\n\|[-| ]+\n((?:\|.*\n)+)", page, re.M)
    assert table, heading
    cells = [line.strip("|").split("|") for line in table[1].splitlines()]
    return {key: row[1:] for row in cells for key in re.findall(r"`([^`]+)`", row[0])}


def names(text: str) -> set[str]:
    return {name.rstrip("/") for name in re.findall(r"`([^`]+)`", text)}


def test_contributing_shows_the_same_rules() -> None:
    assert {library: names(row[0]) for library, row in rows_of("library").items()} == ONLY_IN
    files = rows_of("opens a file")
    assert {key.rstrip("/") for key in files} == MAY_READ
    assert {key.rstrip("/") for key, row in files.items() if "write" in row[0]} == MAY_WRITE
    assert {key.rstrip("/") for key in rows_of("place")} == {*MAY_IMPORT}
