"""Exit codes become exceptions, and only passing faults are worth another try."""

from __future__ import annotations

import pytest
from prefect.states import Failed

from degla.errors import ConfigError, DataError, EngineStartError, InputError, LostRankError, PassingFault, exit_code
from tasks.child import Ended
from tasks.retries import StageBug, error_of, is_passing, retry_delays


def passing(error: BaseException) -> bool:
    return is_passing(None, None, Failed(data=error))


@pytest.mark.parametrize("error", [EngineStartError("x"), LostRankError("x"), OSError(5, "I/O"), ConnectionResetError()])
def test_passing_faults_are_tried_again(error: Exception) -> None:
    assert passing(error)


@pytest.mark.parametrize("error", [DataError("x"), InputError("x"), StageBug("x"), ZeroDivisionError(), TimeoutError()])
def test_bad_input_bugs_and_timeouts_are_not(error: Exception) -> None:
    assert not passing(error)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (exit_code(DataError("x")), InputError),
        (exit_code(EngineStartError("x")), PassingFault),
        (exit_code(OSError(5, "I/O")), PassingFault),
        (exit_code(ZeroDivisionError()), StageBug),
        (137, PassingFault),
        (143, PassingFault),
        (139, StageBug),
    ],
)
def test_a_childs_exit_code_says_what_kind_of_error_it_was(code: int, kind: type[Exception]) -> None:
    assert type(error_of("train", Ended(code, []))) is kind


def test_no_error_where_it_ended_well() -> None:
    assert error_of("train", Ended(0, ["train: error: of an earlier attempt"])) is None


def test_the_message_is_what_the_stage_said_last_with_all_its_lines() -> None:
    ended = Ended(2, ["loading", "train: error: model.json: no key 'vision'", "known: text"])
    assert str(error_of("train", ended)) == "model.json: no key 'vision'\nknown: text"


def test_without_such_a_message_the_last_lines_are_shown() -> None:
    assert "Killed by the kernel" in str(error_of("train", Ended(137, ["Killed by the kernel"])))


def test_memory_is_named_where_the_kernel_says_so_and_only_there() -> None:
    killed = str(error_of("train", Ended(137, ["step 12"])))
    assert killed == "train was ended by SIGKILL, from outside. Its finished units are kept; last lines:\nstep 12"
    starved = str(error_of("train", Ended(137, ["step 12"], starved=2)))
    assert "The kernel killed 2 processes meanwhile because memory ran out." in starved


@pytest.mark.parametrize("text", ["x", "1h", "0", "-1", "nan", "inf", ""])
def test_seconds_that_are_none_are_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DEGLA_RETRY_SECONDS", text)
    with pytest.raises(ConfigError, match=f"DEGLA_RETRY_SECONDS='{text}': expected seconds, such as 10"):
        retry_delays()


def test_delays_grow_and_differ_between_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEGLA_RETRY_SECONDS", "8")
    many = [retry_delays(3) for _ in range(200)]
    for attempt in range(3):
        column = [delays[attempt] for delays in many]
        assert 4 * 2**attempt <= min(column) < max(column) <= 12 * 2**attempt
        assert len(set(column)) > 190
