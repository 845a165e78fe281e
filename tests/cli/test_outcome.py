import pytest

from cli.outcome import Exit, State, exit_code


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([], Exit.DONE),
        ([State.MASKED, State.FOUND, State.SKIPPED], Exit.DONE),
        ([State.MASKED, State.NEEDS_REVIEW], Exit.REVIEW),
        ([State.NEEDS_REVIEW, State.WITHHELD], Exit.WITHHELD),
        ([State.WITHHELD, State.FAILED, State.NEEDS_REVIEW], Exit.ERROR),
    ],
)
def test_the_worst_state_gives_the_exit_code(states: list[State], code: Exit) -> None:
    assert exit_code(states) == code
