"""What is answered when a result is deleted while it is asked for."""

import os
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.testclient import TestClient

from services.asgi.errors import ResultGone
from services.asgi.problems import answer_with_problem
from services.serving.result_file import ResultFile


class Vanishing(os.PathLike[str]):
    """The path of a file that is deleted at the n-th look at it."""

    def __init__(self, path: Path, look: int) -> None:
        self._path, self._looks_left = path, look

    def __fspath__(self) -> str:
        self._looks_left -= 1
        if not self._looks_left:
            self._path.unlink()
        return str(self._path)


@pytest.mark.parametrize("look", [1, 2])
@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=2-4"}, {"Range": "bytes=0-1,8-"}])
def test_a_result_that_is_deleted_before_it_is_open_is_gone(look: int, headers: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "result"
    path.write_bytes(b"0123456789")

    async def result(request: Request) -> ResultFile:
        return ResultFile(Vanishing(path, look), media_type="video/mp4")

    app = Starlette(routes=[Route("/", result)], exception_handlers={ResultGone: answer_with_problem})
    answer = TestClient(app).get("/", headers=headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (410, "application/problem+json")
    assert answer.json()["type"].endswith("result-gone")
