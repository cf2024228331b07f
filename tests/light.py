"""What a command must not load to answer at once."""

import subprocess
import sys

HEAVY = frozenset({"torch", "cv2", "av", "zarr", "h5py", "numpy", "matplotlib", "pandas"})


def assert_light(*commands: list[str]) -> None:
    """Fails where one of these commands of `affect`, in a process of their own, fails or loads one of HEAVY."""
    code = (
        "import sys\nfrom affect.cli import main\n"
        f"for words in {commands!r}:\n"
        "    try: main(words)\n"
        "    except SystemExit as end: assert end.code == 0\n"
        f"heavy = {set(HEAVY)!r} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
