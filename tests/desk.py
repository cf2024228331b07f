"""A folder as a page of the documentation supposes it: recordings with names of people, and their label table."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from affect.pipeline.demo.film import DemoDataConfig, make_demo_data


def make_desk(folder: Path, names: Mapping[str, str], config: DemoDataConfig) -> None:
    """`interviews/NAME.mp4` and `labels.csv`, of the demo's data. names: the demo's subject -> what it is called."""
    make_demo_data(folder / "made", 0, config)
    (folder / "interviews").mkdir()
    table = (folder / "made" / "labels.csv").read_text("utf-8")
    for subject, name in names.items():
        shutil.move(folder / "made" / "videos" / f"{subject}.mp4", folder / "interviews" / f"{name}.mp4")
        table = table.replace(f"videos/{subject}.mp4", f"interviews/{name}.mp4").replace(subject, name)
    (folder / "labels.csv").write_text(table, "utf-8")
