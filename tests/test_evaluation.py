"""From a store whose signals were written by hand to findings: one entry more, and many samples."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from tests.conftest import allowed
from tests.hand import by_hand
from unlearnbench import registry
from unlearnbench.audits.attacks import ATTACKS, SHOWN, View
from unlearnbench.data.splits import cut, reference_members
from unlearnbench.errors import EntryError, UserError
from unlearnbench.evaluation.collect import collect
from unlearnbench.evaluation.findings import Condition, Findings
from unlearnbench.evaluation.frames import as_rows
from unlearnbench.evaluation.judge import _rule
from unlearnbench.metrics.metric import METRICS, OfModel
from unlearnbench.planning.expansion import Planned, expand
from unlearnbench.planning.reading import validate
from unlearnbench.planning.rows import controls, resolve
from unlearnbench.reporting.tables import TABLES
from unlearnbench.reporting.write import write_report
from unlearnbench.storage.store import Store

METHODS = ["amun", "ft", "ga", "l1-sparse", "neggrad-plus", "rl", "salun", "scrub", "ssd"]
CONTROL = '''
from typing import ClassVar
import torch
from unlearnbench import Method
from unlearnbench.verdicts.verdict import Expectation, flagged

class Sunk(Method):
    """Give back half a model."""
    expects: ClassVar[Expectation] = flagged("over-forgets")
    def unlearn(self, model, task): return model
'''


def planned(repeats: int, methods: list[str], **more: Any) -> Planned:
    """Expand a benchmark of repeats ** 3 runs a method; nothing of it is run.

    more: what the benchmark says besides, or in place of this.
    """
    seeds = list(range(1, repeats + 1))
    asked = {
        "name": "written",
        "title": "Written by hand",
        "model": "small-cnn",
        "data": {"name": "digits"},
        "forget": {"fractions": [0.1]},
        "seeds": dict.fromkeys(("originals", "forget", "runs"), seeds)
        | {"pairing": "product", "retrains": 3},
        "references": {"count": 16},
        "methods": {method: {"method": method} for method in methods},
        "controls": False,
    } | more
    plugins = registry.find("methods")
    return expand(resolve(validate(asked), plugins, methods)[0], plugins)


def write_store(
    folder: Path,
    planned: Planned,
    train: int,
    test: int,
    *,
    sets: int = 1000,
    exact: bool = True,
    left: Mapping[str, float] | None = None,
) -> Store:
    """Write signals of every model: margins grow where a sample was trained on.

    sets: how many forget sets there are; further seeds draw them again; exact: with the signal of
    rmia-paper, which older runs lack; left: which share of that growth a method leaves, by label.
    """
    store, n, draw = Store(folder), train + test, np.random.default_rng(0)
    store.prepare()
    level, label = draw.normal(5, 3.5, n), draw.integers(0, 10, n)
    bank = reference_members(n, 16, seed=0)
    for node in planned.plan.nodes.values():
        spec, member, split = node.spec, np.arange(n) < train, None
        if spec.split is not None:
            order = np.random.default_rng(spec.split.seed % sets).permutation(train)
            split = {"forget": np.sort(order[: train // 10]), "earlier": order[:0]}
            if spec.split.kind != "random":
                drawn = cut(spec.split, label, train)
                split = {"forget": drawn.forget, "earlier": drawn.earlier}
                member = np.isin(np.arange(n), drawn.retain)
            member[split["forget"]] = False
        if spec.member is not None:
            member = bank[spec.member]
        seen = member.astype(np.float64)
        if split is not None:
            row = node.label.partition(" (")[0]  # of its relearning, or of its shadow, too
            seen[split["forget"]] += ({"original": 1.0} | dict(left or {})).get(row, 0.0)
        margin = (level + 4 * seen + draw.normal(0, 1, n)).astype(np.float32)
        sure = expit(margin.astype(np.float64))
        signals = {"margin": margin, "member": member, "label": label, "correct": margin > 0}
        entropy = -2 * (1 - sure) * np.log(np.maximum(sure, 1e-12))
        signals |= {"sm_taylor": sure.astype(np.float32), "modified_entropy": entropy}
        if exact:
            signals["sm_taylor_exact"] = signals["sm_taylor"]
        logits = draw.normal(size=(n, 10)).astype(np.float16)
        logits[np.arange(n), label] += margin.astype(np.float16)
        record = {
            "spec": spec.model_dump(mode="json"),
            "seconds": {"total": 1.0},
            "gradients": n,
            "peak memory MB": 1.0,
            "trace": [],
            "notes": {},
            "environment": {},
            "train": train,
            "test": test,
            "data": "0" * 16,
            "source": planned.plugins[spec.method].source_hash() if spec.method else None,
        }
        store.save(
            spec, record, signals, {} if spec.kind == "reference" else {"logits": logits}, split
        )
    return store


def test_an_attack_whose_signal_was_not_stored_is_left_out_in_a_line(tmp_path: Path) -> None:
    plan = planned(1, ["ft"])
    findings = collect(plan, write_store(tmp_path, plan, 300, 100, exact=False))
    count = len(findings.runs)
    (line,) = findings.broken
    assert line.startswith(f"AMUN's RMIA is left out of {count} of {count} runs: they, or the ref")
    assert set(findings.attacks["attack"]) == {*SHOWN} - {"rmia-paper", "class"}
    clamped = plan.benchmark.model_copy(update={"headline": "rmia-clamped"})
    again = collect(replace(plan, benchmark=clamped), Store(tmp_path))
    assert "rmia-clamped" in set(again.attacks["attack"]), "it reads what was stored"
    assert again.runs["ft_auc"].tolist() == pytest.approx(list(again.runs["auc: rmia-clamped"]))


def test_findings_of_before_the_paper_attack_was_exact_call_theirs_clamped() -> None:
    written = json.loads(by_hand().as_json())
    del written["benchmark"]["headline"]
    written["benchmark"]["attacks"] = ["rmia", "rmia-paper"]
    attacks = written["attacks"]["attack"]
    written["attacks"]["attack"] = ["rmia-paper" if name == "loss" else name for name in attacks]
    (condition,) = Findings.from_json(json.dumps(written)).conditions
    assert condition.attacks == condition.every_attack == ["rmia", "rmia-clamped"]
    assert condition.benchmark.headline == "rmia"


def test_forget_sets_are_told_apart_by_what_they_hold(tmp_path: Path) -> None:
    plan = planned(3, ["ft"])
    apart = collect(plan, write_store(tmp_path / "apart", plan, 300, 100))
    same = collect(plan, write_store(tmp_path / "same", plan, 300, 100, sets=1))
    sets = [set(found.attacks["sets"]) for found in (apart, same)]
    assert sets == [{3}, {1}], "seeds 1, 2 and 3 draw one set"
    assert set(same.runs["forget_seed"]) == {1} and len(same.runs) == len(apart.runs)
    assert same.broken == ["Forget seeds 1, 2, 3 draw the same samples: they count as one."]
    assert not same.verdicts["verdict"].isin(["equivalent", "different"]).any()
    assert apart.broken == []


def test_before_the_last_request_no_model_need_relearn() -> None:
    """There none is asked to, so that nothing could be equivalent, and the word is another."""
    forget, audits = {"fractions": [0.1], "requests": 3}, {"relearning": {"sets": 3}}
    benchmark = planned(3, ["ft"], forget=forget, model_audits=audits).benchmark
    asked = [_rule(benchmark, request).relearning for request in (1, 2, 3)]
    assert asked == [False, False, True]


def test_a_metric_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(1, ["ft"])
    store = write_store(tmp_path, plan, 300, 100)
    plain = collect(plan, store)
    entry = OfModel(
        "worst_margin",
        "Worst margin",
        unit="%",
        function=lambda seen: float(seen.at(seen.view.margin, "forget").min()),
    )
    monkeypatch.setitem(METRICS, entry.name, entry)
    found = collect(plan, store)
    assert "worst_margin" not in plain.runs, "and what was kept of before is not taken for it"
    (run,) = as_rows(found.runs[found.runs["label"] == "ft"])
    ideal = found.runs.loc[found.runs["label"] == "retrain", "worst_margin"].mean()
    forget = store.split(plan.plan.cells[0].split)["forget"]
    assert run["worst_margin"] == store.signals(run["run"])["margin"][forget].min()
    assert run["worst_margin_gap"] == pytest.approx(run["worst_margin"] - ideal)
    assert "worst_margin" in set(found.summary["metric"])
    table = TABLES["gaps"](found.conditions[0])
    assert table is not None and "Worst margin %" in table.to_markdown()


def test_a_control_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = registry.shipped
    folder = tmp_path / "controls"
    folder.mkdir()
    for path in shipped("controls").glob("*.py"):
        (folder / path.name).write_text(path.read_text())
    (folder / "sunk.py").write_text(CONTROL)
    monkeypatch.setattr(
        registry, "shipped", lambda kind: folder if kind == "controls" else shipped(kind)
    )
    assert [*controls()] == ["do-nothing", "sunk", "destroyed", "planted-leak"]
    asked = planned(1, ["ft"]).benchmark.model_copy(update={"controls": True})
    cells = expand(asked, registry.find("methods")).plan.cells
    assert "sunk" in {cell.label for cell in cells}
    condition = Condition(by_hand({"leaky": "sunk"}), "full", 0.1, 1)
    assert "sunk" not in condition.labels and "sunk" in set(condition.every_run["label"])
    outcomes = {label: (must, problems) for label, must, problems in condition.controls()}
    assert outcomes["sunk"] == ("flagged 'over-forgets'", ["not flagged 'over-forgets'"])
    assert outcomes["do-nothing"] == ("flagged 'no-op'", [])
    (folder / "sunk.py").write_text(CONTROL.replace('flagged("over-forgets")', "None"))
    with pytest.raises(UserError, match=r"sunk\.py does not say which outcome is expected"):
        controls()


def test_findings_keep_titles_and_controls_and_older_ones_get_them() -> None:
    found = by_hand()
    found.titles = {"ft": "Fine-tuning"}
    again = Findings.from_json(found.as_json())
    assert again.titles == found.titles and again.controls == found.controls == controls()
    condition = again.conditions[0]
    assert [condition.title(label) for label in ("ft", "leaky")] == ["Fine-tuning", "leaky"]
    assert [*again.cost.columns[7:12]] == ["run", "seconds", "time_ratio", "gradients", "memory"]


def scaled(store: Store, plan: Planned, labels: set[str], factor: float) -> None:
    """Multiply the margins of some rows' models, as a last layer that is multiplied does."""
    for run, node in plan.plan.nodes.items():
        if node.label in labels:
            signals = store.signals(run)
            signals["margin"] = signals["margin"] * np.float32(factor)
            logits = {"logits": store.logits(run)} if node.spec.kind != "reference" else {}
            split = store.split(node.spec.split_id) if node.spec.split_id else None
            record = store.record(run)
            del record["files"]
            store.save(node.spec, record, signals, logits, split)


@pytest.mark.slow
@pytest.mark.parametrize("headline", ["rmia", "loss"])
def test_what_cannot_be_computed_costs_its_cells_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, headline: str
) -> None:
    """RMIA divides by nought, as references are that sure, and one row stops another attack."""

    def fails(view: View, references: object) -> Any:
        if np.abs(view.margin).max() > 1e4:
            raise OverflowError("too large for me")
        return view.margin

    asked = planned(2, ["ft", "ga"], headline=headline)
    plain = write_store(tmp_path / "plain", asked, 300, 100)
    before = collect(asked, plain)
    store = write_store(tmp_path / "huge", asked, 300, 100)
    huge = {"reference", "ga"}
    scaled(store, asked, huge, 1e5)
    monkeypatch.setitem(ATTACKS, "loss", replace(ATTACKS["loss"], score=fails))
    found = collect(asked, store)
    assert (
        "Loss cannot be computed for ga, and is left out of 8 of its runs:"
        " OverflowError: too large for me"
    ) in found.broken
    assert (
        "RMIA cannot be computed for ft, and is left out of 8 of its runs:"
        " its scores are not finite"
    ) in found.broken
    assert len(found.runs) == len(before.runs)
    judged = found.attacks.set_index(["attack", "label"])
    assert ("loss", "ga") not in judged.index and ("loss", "ft") in judged.index
    kept = [name for name in ("test_accuracy", "kl_test", "auc: svc") if name in found.runs]
    now, was = (one.runs[one.runs["label"] == "ft"] for one in (found, before))
    assert len(kept) >= 2 and now[kept].equals(was[kept]), "what can be computed stands"
    page = write_report(found, tmp_path / "report", figures=())
    assert "cannot be computed" in page.read_text()


@pytest.mark.parametrize("error", [MemoryError("no room"), OSError("not there")])
def test_what_fails_for_the_moment_is_computed_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(view: View, references: object) -> Any:
        if short:
            raise EntryError("The attack 'loss' failed.") from error  # as one of a user's does
        return view.margin

    asked = planned(1, ["ft"])
    store, short = write_store(tmp_path, asked, 60, 40), True
    monkeypatch.setitem(ATTACKS, "loss", replace(ATTACKS["loss"], score=fails))
    found = collect(asked, store)
    assert any("Loss cannot be computed for ft" in line for line in found.broken)
    assert len(found.runs) and "loss" not in set(found.attacks["attack"])
    short = False
    again = collect(asked, store)
    assert again.broken == [] and "loss" in set(again.attacks["attack"])


def test_what_waits_for_a_failed_model_is_not_still_to_be_made(tmp_path: Path) -> None:
    """So that `report --watch` ends, also where rows end up with unequal numbers of runs."""
    asked = planned(2, ["ft", "ga"])
    store = write_store(tmp_path, asked, 300, 100)
    nodes = asked.plan.nodes
    first = next(run for run, node in nodes.items() if node.label == "original")
    lost = [run for run, node in nodes.items() if node.label == "ft" and first in node.needs]
    lost.append(next(run for run, node in nodes.items() if node.label == "ga"))
    for run in (first, *lost):
        shutil.rmtree(store.runs()[run])
    store.fail(nodes[first].spec, "why\n")
    store.fail(nodes[lost[-1]].spec, "why\n")
    found = collect(asked, Store(tmp_path))
    blocked = [line for line in found.broken if "has failed, so they are not made" in line]
    assert blocked == ["What these need has failed, so they are not made: ft (4)."]
    assert found.open == 0 and found.unmade == {}
    assert found.runs["label"].value_counts()[["ft", "ga"]].tolist() == [4, 7]


def test_half_a_bank_gives_no_auc_and_says_so(tmp_path: Path) -> None:
    """Of half of them some samples would have more trained on them than others: none is better."""
    asked = planned(1, ["ft"])
    store = write_store(tmp_path, asked, 60, 40)
    whole = collect(asked, store)
    assert whole.runs["ft_auc"].notna().all() and whole.lacking == 0
    for run in asked.plan.references[8:]:
        shutil.rmtree(store.runs()[run])
    half = collect(asked, Store(tmp_path))
    assert half.lacking == 8 and "ft_auc" not in half.runs
    assert set(half.attacks["attack"]) == {"loss", "svc"}
    assert half.runs["test_accuracy"].equals(whole.runs["test_accuracy"])


@pytest.mark.slow
def test_sixty_thousand_samples_are_evaluated_in_seconds_and_within_two_gigabytes(
    tmp_path: Path,
) -> None:
    write_store(tmp_path, planned(3, METHODS), 50_000, 10_000)
    code = (
        "import re, sys, time\nfrom pathlib import Path\n"
        "from tests.test_evaluation import METHODS, collect, planned\n"
        "from unlearnbench.storage.store import Store\n"
        "start = time.process_time()\n"
        f"found = collect(planned(3, METHODS), Store(Path({str(tmp_path)!r})))\n"
        # of this program; what getrusage says is not below what the process was before it
        "status = Path('/proc/self/status').read_text()\n"
        "peak = int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) / 1024\n"
        "print(len(found.runs), time.process_time() - start, peak)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    runs, seconds, peak = map(float, done.stdout.split())
    assert runs == 27 * 9 + 9 + 9, "a row a method, nine retrains of which three are held out"
    assert peak < 2000, "MB"
    assert seconds < allowed(100), "of all cores together"
