"""Predictions to draw, a recording to show beside them, and a browser to look with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from affect.cache.predictions import PersonPrediction, VideoPrediction
from affect.tests.predictions import made_person, made_prediction, write_face_video


@pytest.fixture(scope="session")
def person() -> Callable[..., PersonPrediction]:
    return made_person


@pytest.fixture(scope="session")
def prediction() -> Callable[..., VideoPrediction]:
    return made_prediction


@pytest.fixture(scope="session")
def face_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a moving photograph of a face, with sound."""
    return write_face_video(tmp_path_factory.mktemp("videos") / "interview 7.mp4")


@pytest.fixture(scope="session")
def open_page(browser: Any) -> Callable[..., Any]:
    """A function that opens a file in headless Chromium and gives the page; requests are noted in `page.asked`."""

    def open_file(path: Path, **settings: Any) -> Any:
        page = browser.new_page(**{"viewport": {"width": 1100, "height": 850}} | settings)
        page.set_default_timeout(10_000)
        page.asked, page.troubles = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.goto(path.as_uri())
        return page

    return open_file
