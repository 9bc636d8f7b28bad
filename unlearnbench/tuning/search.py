"""Which settings are tried: a sampler of Optuna's for each method."""

from __future__ import annotations

from typing import Any

from unlearnbench.errors import UserError
from unlearnbench.seeds import seed_for
from unlearnbench.tuning.candidates import Candidate, Range, Settings

ROUND = 4
"""Trials of a method that run together, before their values decide on the next ones."""
WORST = 100.0
"""What a trial that failed counts as: more points than any gap has."""


class Search:
    """Ask for settings and tell how they did, round by round.

    The same values in the same order lead to the same settings, so that a search is continued by
    beginning it anew: trials that are stored answer at once. Nothing else remembers it.
    """

    def __init__(self, candidate: Candidate) -> None:
        """Begin with the defaults. Raises UserError where Optuna is not installed.

        A tree-structured Parzen estimator (Bergstra et al. 2011), told what the trials of a round
        are before it knows how they did, so that they keep apart. It takes over after the first
        round; Optuna's own ten random trials would be most of what there is.
        """
        optuna = _optuna()
        self.candidate = candidate
        seed = seed_for(0, "tuning", candidate.name) % 2**32  # as large as NumPy's may be
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=ROUND)
        self._study = optuna.create_study(sampler=sampler)
        self._space = {key: _distribution(optuna, one) for key, one in candidate.ranges.items()}
        self._first = True
        inside = {
            key: min(max(candidate.defaults[key], one.low), one.high)
            for key, one in candidate.ranges.items()
        }
        self._study.enqueue_trial(inside)
        self._asked: list[Any] = []

    def ask(self, count: int) -> list[Settings]:
        """Return the settings of the next trials, rounded to two digits."""
        self._asked = [self._study.ask(self._space) for _ in range(count)]
        made = [self._rounded(trial.params) for trial in self._asked]
        if self._first:
            made[0], self._first = dict(self.candidate.defaults), False
        return made

    def tell(self, values: list[float | None]) -> None:
        """Say how the trials asked for last did, smaller being better; None for one that failed."""
        for trial, value in zip(self._asked, values, strict=True):
            self._study.tell(trial, WORST if value is None else value)

    def _rounded(self, params: dict[str, Any]) -> Settings:
        made: Settings = {}
        for key, one in self.candidate.ranges.items():
            value = params[key]
            near = min(max(float(f"{value:.2g}"), one.low), one.high)
            made[key] = int(value) if one.whole else near
        return made


def _distribution(optuna: Any, one: Range) -> Any:
    if one.whole:
        return optuna.distributions.IntDistribution(int(one.low), int(one.high), log=one.log)
    return optuna.distributions.FloatDistribution(one.low, one.high, log=one.log)


def _optuna() -> Any:
    """Import Optuna, which nothing but tuning needs."""
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            "Tuning needs Optuna, which is not installed.", "pip install 'unlearnbench[tune]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
