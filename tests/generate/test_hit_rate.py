"""The guard of the prefix cache: a run whose prompts are computed anew stops and says why."""

from __future__ import annotations

import pytest

from degla.errors import ConfigError
from degla.generate.backend import Usage
from degla.generate.worker import ROWS_BEFORE_CHECK, check_hit_rate


def usage(rows: int, rate: float) -> Usage:
    kinds = {"rows_by_type": rows, "prompt_tokens_by_type": 1000 * rows, "cached_tokens": round(1000 * rows * rate)}
    return Usage(**{name: {"reshuffle": value} for name, value in kinds.items()})


@pytest.mark.parametrize(("rate", "cause"), [(0.0, "prefix caching is off"), (0.3, "too small"), (0.85, "shared part is short")])
def test_a_low_hit_rate_stops_the_run_and_names_the_likely_cause(rate, cause):
    with pytest.raises(ConfigError, match=cause) as stop:
        check_hit_rate(usage(ROWS_BEFORE_CHECK, rate), 0.9)
    assert "reshuffle" in str(stop.value)


def test_neither_few_rows_nor_a_good_rate_stop_it():
    check_hit_rate(usage(ROWS_BEFORE_CHECK - 1, 0.0), 0.9)
    check_hit_rate(usage(ROWS_BEFORE_CHECK, 0.9), 0.9)
