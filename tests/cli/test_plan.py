from pathlib import Path

import pytest

from cli.faults import UsageError
from cli.plan import STREAM, plan


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff\xd8\xff" + name.encode())


def targets(sources: list[Path], out: Path) -> list[str]:
    return [str(task.target) for task in plan(sources, out).tasks]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("sources", "out", "expected"),
    [
        pytest.param(["a.jpg"], "new.jpg", ["new.jpg"], id="one file takes the name"),
        pytest.param(["a.jpg"], "there", ["there/a.jpg"], id="one file goes into a folder that is there"),
        pytest.param(["a.jpg", "b.jpg"], "new", ["new/a.jpg", "new/b.jpg"], id="files go into a new folder"),
        pytest.param(["days"], "new", ["new/one/c.jpg", "new/two/c.jpg"], id="a folder's tree is kept"),
        pytest.param(["days/one", "days/two"], "new", ["new/one/c.jpg", "new/two/c.jpg"], id="folders keep names"),
        pytest.param(["a.jpg", "days"], "new", ["new/a.jpg", "new/days/one/c.jpg", "new/days/two/c.jpg"], id="mixed"),
        pytest.param(["."], "days/out", ["days/out/a.jpg", "days/out/b.jpg", "days/out/days/one/c.jpg",
                                         "days/out/days/two/c.jpg"], id="OUT within IN is not walked"),
    ],
)  # fmt: skip
def test_where_results_go(here: Path, sources: list[str], out: str, expected: list[str]) -> None:
    make(here, "a.jpg", "b.jpg", "days/one/c.jpg", "days/two/c.jpg")
    (here / "there").mkdir()
    if out == "days/out":
        make(here, "days/out/old.jpg")
    assert targets([Path(each) for each in sources], Path(out)) == expected


@pytest.mark.parametrize(
    ("sources", "out", "told"),
    [
        (["missing.jpg"], "new", "missing.jpg is not there"),
        (["a.jpg", "b.jpg"], "a.jpg", "a folder is needed"),
        (["a.jpg"], "a.jpg", "is an input"),
        (["a.jpg"], "link.jpg", "is an input"),
        (["a.jpg", "b.jpg"], ".", "is an input"),
        (["one/c.jpg", "two/c.jpg"], "new", "would both become"),
        (["one", "one"], "new", "would both become"),
        (["a.jpg"], "b.jpg", "exists already"),
        (["a.jpg"], "b.png", "the kind it came in"),
        (["c.wav"], "c.mp3", "the kind it came in"),
        (["-", "a.jpg"], "-", "one picture or sound"),
        (["one"], "-", "one picture or sound"),
        (["-"], "b.jpg", "exists already"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is(here: Path, sources: list[str], out: str, told: str) -> None:
    make(here, "a.jpg", "b.jpg", "c.wav", "one/c.jpg", "two/c.jpg")
    (here / "link.jpg").symlink_to(here / "a.jpg")
    with pytest.raises(UsageError, match=told):
        plan([Path(each) for each in sources], Path(out))


def test_not_even_force_masks_over_an_input(here: Path) -> None:
    make(here, "a.jpg", "b.jpg")
    assert plan([Path("a.jpg")], Path("b.jpg"), force=True).tasks
    with pytest.raises(UsageError, match="is an input"):
        plan([Path("a.jpg")], Path("a.jpg"), force=True)


def test_existing_outputs_can_be_left(here: Path) -> None:
    make(here, "in/a.jpg", "in/b.jpg", "out/a.jpg")
    planned = plan([Path("in")], Path("out"), skip_existing=True)
    assert [task.name for task in planned.tasks] == ["b.jpg"]
    assert [task.name for task in planned.kept] == ["a.jpg"]


def test_hidden_files_and_what_is_no_media_are_passed_over_and_counted(here: Path) -> None:
    make(here, "in/.hidden.jpg", "in/.folder/a.jpg", "in/a.jpg", "in/no-suffix", "in/song.opus")
    (here / "in/spoken").write_bytes(b"RIFF\0\0\0\0WAVEfmt ")
    (here / "in/notes.txt").write_text("words")
    (here / "in/picture.gif").write_bytes(b"GIF89a")
    planned = plan([Path("in")], Path("out"))
    assert [task.name for task in planned.tasks] == ["a.jpg", "no-suffix", "picture.gif", "song.opus", "spoken"]
    assert planned.passed == 3


def test_links_are_followed_but_not_in_circles(here: Path) -> None:
    make(here, "in/a.jpg", "elsewhere/b.jpg")
    (here / "in/more").symlink_to(here / "elsewhere")
    (here / "in/again").symlink_to(here / "in")
    (here / "in/broken.jpg").symlink_to(here / "nowhere")
    planned = plan([Path("in")], Path("out"))
    assert [task.name for task in planned.tasks] == ["a.jpg", "more/b.jpg"]
    assert planned.loops == (Path("in/again"),)


def test_a_link_that_leads_to_itself_stops_nothing_and_is_told(here: Path) -> None:
    make(here, "in/a.jpg", "in/c.jpg")
    (here / "in/b.jpg").symlink_to("b.jpg")
    planned = plan([Path("in")], Path("out"))
    assert [task.name for task in planned.tasks] == ["a.jpg", "c.jpg"]
    assert planned.closed == (Path("in/b.jpg"),)


def test_standard_input_goes_to_standard_output(here: Path) -> None:
    (task,) = plan([STREAM], STREAM).tasks
    assert (task.source, task.target) == (STREAM, STREAM)


def test_an_output_that_is_named_as_a_folder_is_one_though_it_is_not_there_yet(here: Path) -> None:
    make(here, "a.jpg")
    (task,) = plan([Path("a.jpg")], Path("new"), into=True).tasks
    assert task.target == Path("new/a.jpg")
