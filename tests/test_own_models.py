"""Models that were made elsewhere: audited as runs are, unlearned to be used, refused by name."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

import unlearnbench as ub
from tests.conftest import TWO, Cli, typed
from unlearnbench import registry
from unlearnbench.api import samples
from unlearnbench.api.apply import WRITTEN
from unlearnbench.api.arguments import RECORD, WEIGHTS
from unlearnbench.api.results import Results, whole
from unlearnbench.audits.attacks import SHOWN, usable
from unlearnbench.data.outputs import Parts, gathered, read_outputs
from unlearnbench.data.prepare import draw_samples
from unlearnbench.errors import UserError
from unlearnbench.execution.building import build_model
from unlearnbench.planning.given import Given, GivenModel

RETRAINS = 4


@pytest.fixture(scope="module")
def made(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the weights of a tiny run on one forget set, by label and seed."""
    retrains = ["--set", f"seeds.retrains={RETRAINS}", "--set", "model_audits={}"]
    once = ["--seeds", "1", "--keep-weights"]
    folder = typed(
        tmp_path_factory, "made", ["run", tiny, "--methods", "ft", *retrains, *once, *TWO]
    )
    results = ub.load(folder / "results" / "tiny")
    for _, row in results.runs.iterrows():
        weights = results.folder / "models" / f"{row['run']}.safetensors"
        name = f"{row['label'].replace(' ', '-')}{row['run_seed']}.safetensors"
        (folder / name).write_bytes(weights.read_bytes())
    return folder


def audited(made: Path, tiny: Path, folder: Path, **changes: Any) -> Results:
    """Audit the tiny run's models, its references trained again."""
    retrains = [made / f"retrain{seed}.safetensors" for seed in range(1, RETRAINS)]
    asked: dict[str, Any] = {
        "original": made / "original1.safetensors",
        "unlearned": {"ft": made / "ft1.safetensors"},
        "retrains": [*retrains, made / f"held-out-retrain{RETRAINS}.safetensors"],
        "train_references": len(list(made.glob("results/tiny/runs/reference-*"))),
        "benchmark": tiny,
        "results": folder,
    }
    return ub.audit(**asked | changes)


@pytest.fixture(scope="module")
def by_weights(made: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Results:
    with patch.object(samples, "draw_samples", wraps=draw_samples) as reading:
        results = audited(made, tiny, tmp_path_factory.mktemp("audited"))
    assert reading.call_count == 1, "data may be large, and are looked over once"
    return results


@pytest.mark.slow
def test_models_that_the_harness_made_are_audited_to_the_same_numbers(
    made: Path, by_weights: Results
) -> None:
    ran = ub.load(made / "results" / "tiny").runs.set_index("label")
    found = by_weights.runs.set_index("label")
    assert by_weights.name == "tiny-audit"
    assert list(found.index).count("retrain") == RETRAINS - 1
    for label in ("original", "ft", "held-out retrain"):
        for metric in set(ran) & set(found) - {"seconds", "gradients", "memory", "time_ratio"}:
            if ran[metric].dtype.kind == "f":
                old, new = float(ran[metric][label]), float(found[metric][label])
                assert new == pytest.approx(old, abs=1e-6, nan_ok=True), (label, metric)
    assert found["seconds"].isna()["ft"], "nobody knows"


@pytest.mark.slow
def test_an_audit_says_what_came_from_where_and_draws_its_page(by_weights: Results) -> None:
    page = by_weights.report(by_weights.folder / "page").read_text()
    assert "Made elsewhere" in page and "ft: ft1.safetensors" in page
    assert "trained here" in page and "by the same recipe" in page
    assert len(list(by_weights.folder.glob("page/figures/*.png"))) >= 7
    assert len(by_weights.samples) and set(by_weights.samples["part"]) == {"train", "test"}


def outputs(made: Path, folder: Path, write: Callable[[Path, Any], None], end: str) -> Path:
    """Write the tiny run's logits as somebody else would, without references."""
    results = ub.load(made / "results" / "tiny")
    folder.mkdir(exist_ok=True)
    for _, row in results.runs.iterrows():
        run = next(results.folder.glob(f"runs/*-{row['run']}"))
        logits = np.load(run / "logits.npz")["logits"].astype(np.float32)
        label = np.load(run / "signals.npz")["label"]
        name = f"{row['label'].replace(' ', '-')}{row['run_seed']}{end}"
        write(folder / name, {"logits": logits, "labels": label})
    split = np.load(next(results.folder.glob("splits/*.npz")))["forget"]
    record = json.loads(next(results.folder.glob("runs/ft-*/record.json")).read_text())
    np.savetxt(folder / "forget.txt", split, fmt="%d")
    tested = record["train"] + np.arange(record["test"])
    np.savetxt(folder / "test.txt", tested, fmt="%d")
    return folder


def as_arrays(path: Path, content: dict[str, Any]) -> None:
    np.savez(path, **content)


def as_table(path: Path, content: dict[str, Any]) -> None:
    frame = pd.DataFrame(content["logits"]).add_prefix("c")
    frame.insert(0, "label", content["labels"])
    frame.to_csv(path, index=False)


def as_probabilities(path: Path, content: dict[str, Any]) -> None:
    shifted = np.exp(content["logits"] - content["logits"].max(1, keepdims=True))
    np.savez(path, **content | {"logits": shifted / shifted.sum(1, keepdims=True)})


@pytest.mark.slow
def test_outputs_alone_give_the_numbers_of_the_weights(
    made: Path, by_weights: Results, tmp_path: Path, inside: Cli
) -> None:
    folder = outputs(made, tmp_path / "out", as_arrays, ".npz")
    words: list[str | Path] = ["--unlearned", f"ft={folder / 'ft1.npz'}"]
    words += ["--logits", f"original={folder / 'original1.npz'}"]
    names = [f"retrain{seed}.npz" for seed in range(1, RETRAINS)]
    for name in [*names, f"held-out-retrain{RETRAINS}.npz"]:
        words += ["--logits", f"retrain={folder / name}"]
    lists = ["--forget", folder / "forget.txt", "--test", folder / "test.txt"]
    done = inside("audit", *words, *lists)
    assert done.code == 0, done.err
    assert "Verdict on ft:" in done.out and "reports/audit/index.html" in done.out
    assert "No reference models are given" in done.out
    found = ub.load(tmp_path / "results" / "audit").runs.set_index("label")
    known = by_weights.runs.set_index("label")
    for metric in ("forget_accuracy", "retain_accuracy", "test_accuracy"):
        assert float(found[metric]["ft"]) == float(known[metric]["ft"])
    auc = float(found["auc: loss"]["ft"])
    assert auc == pytest.approx(float(known["auc: loss"]["ft"]), abs=0.5)


@pytest.mark.parametrize(
    ("write", "end"), [(as_arrays, ".npz"), (as_table, ".csv"), (as_probabilities, ".npz")]
)
def test_outputs_are_read_however_they_are_written(
    tmp_path: Path, write: Callable[[Path, Any], None], end: str
) -> None:
    draw = np.random.default_rng(0)
    logits, labels = draw.normal(size=(50, 4)).astype(np.float32), draw.integers(4, size=50)
    write(tmp_path / f"u{end}", {"logits": logits, "labels": labels})
    found = read_outputs(tmp_path / f"u{end}")
    assert found.labels is not None and found.labels.tolist() == labels.tolist()
    apart = found.logits - logits  # a constant a row changes nothing
    assert np.ptp(apart, axis=1).max() < 1e-4


def test_repeats_in_lists_of_rows_are_dropped_and_said(tmp_path: Path) -> None:
    logits = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    np.savez(tmp_path / "u.npz", logits=logits, labels=np.arange(6) % 3)
    forget = _written(tmp_path / "forget.txt", "1\n0\n1\n1\n")
    parts = Parts(forget, test=_written(tmp_path / "test.txt", "4\n5\n"))
    table = gathered([tmp_path / "u.npz"], parts)
    assert table.order[table.forget].tolist() == [0, 1]
    assert table.odd == ["forget.txt names samples more than once: 2 repeats dropped."]


@pytest.mark.slow
def test_a_verdict_can_be_required(made: Path, tmp_path: Path, inside: Cli) -> None:
    folder = outputs(made, tmp_path / "out", as_arrays, ".npz")
    lists = ["--forget", folder / "forget.txt", "--test", folder / "test.txt"]
    words = ["--unlearned", folder / "ft1.npz", "--require", "no-difference"]
    done = inside("audit", *words, *lists)
    assert done.code == 1 and "Verdict on ft1: none, as there is no retrained model" in done.out


@pytest.mark.slow
def test_outputs_that_do_not_fit_are_told(made: Path, tmp_path: Path) -> None:
    folder = outputs(made, tmp_path / "out", as_arrays, ".npz")
    lists: dict[str, Any] = {"forget": folder / "forget.txt", "test": folder / "test.txt"}
    lists["results"] = tmp_path
    stored = dict(np.load(folder / "ft1.npz"))

    def refused(said: str, other: dict[str, Any] | None = None, **changes: Any) -> None:
        if other is not None:
            np.savez(folder / "other.npz", **other)
            changes["unlearned"] = [folder / "ft1.npz", folder / "other.npz"]
        with pytest.raises(UserError, match=said):
            ub.audit(**{"unlearned": folder / "ft1.npz"} | lists | changes)

    refused("All files must be of the same samples", {"logits": stored["logits"][1:]})
    refused("other labels than", stored | {"labels": (stored["labels"] + 1) % 3})
    broken = stored["logits"].copy()
    broken[3, 1] = np.inf
    refused(r"other\.npz: 1 of \d+ rows is not finite \(the first is row 3\)", {"logits": broken})
    refused(r"has no array 'logits' \(it has: margins, x\)", {"margins": broken, "x": broken})
    refused(r"have shape \[\d+\]; \[samples, classes\] is needed", {"logits": stored["labels"]})
    refused("Outputs are not read from", unlearned=folder / "ft1.npy")
    refused("No model to audit can be called 'retrain'", unlearned={"retrain": folder / "ft1.npz"})
    twice = [folder / "ft1.npz", folder / "original1.npz"]
    files = {"u": twice, "reference": []}
    with pytest.raises(UserError, match=r"Two models would be the row 'u': .*ft1\.npz and .*"):
        Given.of(files, lambda role, path, found: GivenModel(file=path.name, digest=found))
    refused("--test is not given", test=None)
    refused("The lists overlap", test=folder / "forget.txt")
    refused("no row of the outputs", forget=_written(tmp_path / "far.txt", "99999"))
    refused("No model can be trained beside outputs", train_references=2)
    refused("some weights", original=made / "original1.safetensors")
    lone = folder / "retrain1.npz"
    refused("does not say what the reference was trained on", references=[lone])
    evil = folder / "evil.npz"
    np.savez(evil, logits=np.array([object()]), allow_pickle=True)
    refused("Cannot read outputs", unlearned=evil)


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.slow
def test_references_of_halves_give_rmia_and_others_its_offline_form(
    made: Path, tmp_path: Path
) -> None:
    folder = outputs(made, tmp_path / "out", as_arrays, ".npz")
    stored, draw = dict(np.load(folder / "retrain1.npz")), np.random.default_rng(0)
    count = len(stored["labels"])
    half = draw.permutation(count) < count // 2
    other = draw.permutation(count) < count // 2
    for name, member in {"a": half, "b": ~half, "c": other}.items():
        logits = stored["logits"] + draw.normal(size=stored["logits"].shape)
        np.savez(folder / f"ref-{name}.npz", **stored | {"logits": logits, "member": member})
    lists: dict[str, Any] = {"forget": folder / "forget.txt", "test": folder / "test.txt"}
    lists["results"] = tmp_path
    lists |= {"unlearned": folder / "ft1.npz", "original": folder / "original1.npz"}
    lists |= {"retrains": [folder / f"retrain{seed}.npz" for seed in (1, 2, 3)]}
    two = [folder / f"ref-{name}.npz" for name in "ab"]
    assert ub.audit(**lists, references=two).findings.benchmark.headline == "rmia"
    drawn = ub.audit(**lists, references=[two[0], folder / "ref-c.npz"])
    assert drawn.findings.benchmark.headline == "rmia-offline"
    assert drawn.runs["ft_auc"].notna().all(), drawn.warnings
    said = (
        f"{int((half & other).sum())} samples are in all reference models, and left out of attacks"
    )
    assert any(line.startswith(said) for line in drawn.warnings)
    with pytest.raises(UserError, match="in all of the references"):
        ub.audit(**lists, references=[two[0]])


def test_attacks_are_those_that_are_possible() -> None:
    every = usable({}, references=True, online=True)
    assert every == {"headline": "rmia", "attacks": SHOWN}
    assert usable({}, references=False, online=False)["headline"] == "loss"
    assert usable({"attacks": ["lira"]}, references=True, online=False) == {
        "headline": "rmia-offline",
        "attacks": ["rmia-offline"],
    }


class Touch:
    """Make a file when it is read as a pickle."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.file}",)


@pytest.mark.slow
def test_a_file_that_cannot_be_audited_is_named_before_anything_runs(
    made: Path, tiny: Path, tmp_path: Path
) -> None:
    state = load_file(made / "ft1.safetensors")
    bad = tmp_path / "bad.pt"

    def refused(said: str) -> None:
        with pytest.raises(UserError, match=said):
            audited(made, tiny, tmp_path / "results", unlearned=bad)
        assert not (tmp_path / "results").exists()

    refused("There is no file")
    torch.save(Touch(tmp_path / "touched"), bad)
    refused("is refused, and nothing in it was run")
    assert not (tmp_path / "touched").exists()
    torch.save(state, bad)
    bad.write_bytes(bad.read_bytes()[:-200])
    refused("is torn")
    torch.save(state | {"head2.weight": torch.zeros(3)}, bad)
    refused(r"has 1 entry that the model does not have \(head2\.weight\)")
    torch.save(build_model("resnet8", 0, 10, 1, 8).state_dict(), bad)
    refused("are of another model")


@pytest.mark.slow
def test_a_reference_needs_its_members_beside_it(made: Path, tiny: Path, tmp_path: Path) -> None:
    lone = tmp_path / "ref1.safetensors"
    save_file(load_file(made / "retrain1.safetensors"), lone)
    asked: dict[str, Any] = {"references": [lone], "train_references": 0, "retrains": []}
    with pytest.raises(UserError, match=r"no list of what it was trained on \(ref1\.txt"):
        audited(made, tiny, tmp_path, **asked)
    (tmp_path / "ref1.txt").write_text(f"{_training(made)[0]}\n999999\n")
    with pytest.raises(UserError, match="1 of 2 samples cannot be used: 999999 is not among"):
        audited(made, tiny, tmp_path, **asked)


@pytest.mark.slow
def test_wrapped_weights_are_audited_as_they_are(made: Path, tiny: Path, tmp_path: Path) -> None:
    state = load_file(made / "ft1.safetensors")
    wrapped = tmp_path / "ft1.pt"
    torch.save({f"module._orig_mod.{name}": value for name, value in state.items()}, wrapped)
    found = audited(
        made,
        tiny,
        tmp_path / "r",
        unlearned=wrapped,
        retrains=[],
        train_references=0,
        original=None,
    )
    assert found.runs["forget_accuracy"].notna().all()
    assert any("No original is given" in line for line in found.warnings)


@pytest.mark.slow
def test_a_method_is_applied_and_its_weights_are_anybodys(
    made: Path, tiny: Path, tmp_path: Path, cli: Cli
) -> None:
    forget = _written(tmp_path / "forget.csv", "id\n" + "\n".join(map(str, _training(made)[:9])))
    words = ["--method", "amun", "--original", made / "original1.safetensors", "--benchmark", tiny]
    done = cli("apply", *words, "--forget", forget, "--out", "out", "--set", "amun.epochs=2")
    assert done.code == 0, done.err
    assert "This gives no guarantee" in done.out and "Not measured: whether" in done.out
    assert "amun applied to original1.safetensors: 3 models; 0 done" in done.out
    assert re.search(r"^Forget accuracy: [\d.]+ % -> \d+\.\d %$", done.out, re.M)
    out = tmp_path / "out"
    record = json.loads((out / "record.json").read_text())
    assert record["settings"]["epochs"] == 2 and record["forget"]["count"] == 9
    assert record["settings from"].endswith("for this model; changed: amun.epochs=2")
    assert sorted(record["forget"]["id"]) == sorted(_training(made)[:9])
    assert record["guarantee"].startswith("This gives no guarantee")
    assert record["not measured"].startswith("whether") and "recipe" not in record
    written = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert {name for name in written if not name.startswith("results/")} == {*WRITTEN, RECORD}
    plain = torch.load(out / "model.pt", weights_only=True)
    safe, before = load_file(out / "model.safetensors"), load_file(made / "original1.safetensors")
    assert plain.keys() == safe.keys() == before.keys()
    assert all(torch.equal(plain[name], safe[name]) for name in safe)
    assert any(not torch.equal(plain[name], before[name]) for name in safe)
    page = (out / "index.html").read_text()
    assert "This gives no guarantee" in page and "Not measured:" in page
    assert "Settings: its defaults, which nobody chose for this model; changed: amun." in page

    asked: dict[str, Any] = {"original": made / "original1.safetensors", "benchmark": tiny}
    asked |= {"forget": forget, "out": out, "assignments": ["amun.epochs=2"]}
    again = ub.apply("amun", **asked)
    assert again.record == record, "the same command finds all done"
    assert repr(again).startswith(
        f"AMUN applied to original1.safetensors: {out}\nForget accuracy: "
    )
    other: dict[str, Any] = {"forget": _written(tmp_path / "other.txt", str(_training(made)[0]))}
    other |= {"seed": 2, "original": made / "ft1.safetensors", "assignments": ["amun.epochs=1"]}
    taken = rf"^{re.escape(str(out))} already holds a record of amun"
    end = r"\. Name another folder: out=FOLDER \(--out\)\.$"
    for changed in other:
        settings = " with other settings: epochs 2, not 1" if changed == "assignments" else ""
        with pytest.raises(UserError, match=f"{taken}{settings}{end}"):
            ub.apply("amun", **asked | {changed: other[changed]})
    with pytest.raises(UserError, match=f"{taken}{end}"):
        ub.apply("ft", **asked | {"assignments": []})
    assert json.loads((out / "record.json").read_text()) == record


@pytest.mark.slow
def test_what_was_applied_is_audited_and_unlearned_further_as_it_is(
    made: Path, tiny: Path, tmp_path: Path
) -> None:
    original, first = made / "original1.safetensors", _training(made)[:9]
    asked: dict[str, Any] = {"benchmark": tiny, "forget": np.array(first)}
    applied = ub.apply("ft", original=original, out=tmp_path / "out", **asked)
    assert sorted(applied.record["forget"]["id"]) == sorted(first)
    asked |= {"original": original, "results": tmp_path}
    ways: list[Any] = [applied, [tmp_path / "out"], {"ft": str(tmp_path / "out")}]
    found = [
        ub.audit(unlearned=given, name=f"audit-{place}", **asked)
        for place, given in enumerate(ways)
    ]
    for one in found:
        assert list(one.runs["label"]) == ["original", "ft"]
        assert one.runs["forget_confidence"].equals(found[0].runs["forget_confidence"])
    twice = "cannot be the row 'ft', which is taken. Give it a label: unlearned={'LABEL': FILE}"
    with pytest.raises(UserError, match=re.escape(twice)):
        ub.audit(unlearned=[applied, applied], **asked)
    again = ub.apply("ft", original=applied, out=tmp_path / "on", benchmark=tiny, forget=first)
    assert again.record["original"]["file"] == WEIGHTS


@pytest.mark.slow
def test_no_file_of_others_is_overwritten_and_a_place_is_tried_first(
    made: Path, tiny: Path, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"original": made / "original1.safetensors", "benchmark": tiny}
    for name in WRITTEN:
        taken = tmp_path / "taken" / name
        taken.parent.mkdir(parents=True)
        taken.write_text("mine")
        said = f"already holds {name}, which would be overwritten"
        with pytest.raises(UserError, match=said):
            ub.apply("ft", **asked, out=tmp_path / "taken")
        assert taken.read_text() == "mine"
        shutil.rmtree(tmp_path / "taken")
    mine = _written(tmp_path / "model.pt", "mine")
    for out, said in {
        tmp_path: "already holds model.pt, which would be overwritten",
        mine: "is a file",
        Path("/proc/x/u"): "Cannot write to /proc/x/u: No such file or directory",
    }.items():
        with pytest.raises(UserError, match=rf"{said}\. Name another folder: out=FOLDER \(--out"):
            ub.apply("ft", **asked, out=out)
    assert mine.read_text() == "mine"


def test_what_failed_of_models_made_elsewhere_is_not_sent_to_a_run(tmp_path: Path) -> None:
    given = Given(original=GivenModel(file="o.pt", digest="0"))
    failures = [{"label": "original", "error": "it diverged"}]
    asked: Any = SimpleNamespace(benchmark=SimpleNamespace(given=given), failures=failures)
    asked.runs = pd.DataFrame()
    with pytest.raises(UserError, match=r"original failed: it diverged\. Fix that,") as told:
        whole(Results(asked, tmp_path))
    assert "unlearnbench run" not in str(told.value)


@pytest.mark.slow
def test_a_model_whose_outputs_are_not_finite_is_named_before_anything_runs(
    made: Path, tiny: Path, tmp_path: Path
) -> None:
    state = load_file(made / "ft1.safetensors")
    floats = {name: value for name, value in state.items() if value.is_floating_point()}
    bad = tmp_path / "huge.pt"
    torch.save(state | {name: value * 0 + 3e38 for name, value in floats.items()}, bad)
    with pytest.raises(
        UserError, match=r"The model in .*huge\.pt gives outputs that are not finite"
    ):
        ub.apply("ft", original=bad, benchmark=tiny, out=tmp_path / "out")
    torch.save(state | {name: value * float("nan") for name, value in floats.items()}, bad)
    with pytest.raises(UserError, match=r"huge\.pt holds weights that are not finite \("):
        ub.apply("ft", original=bad, benchmark=tiny, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _training(made: Path) -> list[int]:
    spec = ub.load(made / "results" / "tiny").findings.benchmark.data
    data = draw_samples(registry.source(spec, Path("data")), spec)
    ids: list[int] = data.ids[: len(data.train[1])].tolist()
    return ids


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "nothing"], "Unknown method 'nothing'"),
        (["--method", "retrain"], "Retraining takes no original"),
        (["--method", "ft", "--set", "ft.lr=-1"], "ft.lr"),
        (["--method", "ft", "--set", "epochs=1"], "Write it with its row: ft.epochs=1."),
    ],
)
def test_what_cannot_be_applied_is_told(
    made: Path, tiny: Path, inside: Cli, words: list[str], said: str
) -> None:
    rest = ["--original", made / "original1.safetensors", "--benchmark", tiny, "--out", "out"]
    done = inside("apply", *words, *rest)
    assert done.code == 2 and said in done.err and len(done.err.splitlines()) == 1


@pytest.mark.slow
def test_without_a_benchmark_model_and_list_must_be_named(made: Path, inside: Cli) -> None:
    weights = made / "ft1.safetensors"
    done = inside("audit", "--unlearned", weights)
    assert done.code == 2 and done.err.startswith("unlearnbench: --model is not given.")
    done = inside("audit", "--unlearned", weights, "--model", "small-cnn")
    assert done.code == 2 and done.err.startswith("unlearnbench: --forget is not given.")
    done = inside("audit")
    assert done.code == 2 and "There is no model to audit" in done.err
    done = inside("audit", "--logits", "original.npz")
    assert done.code == 2 and "Name it: --logits LABEL=FILE" in done.err
    done = inside("audit", "--logits", "u=z.npy")
    assert done.code == 2 and "Outputs are not read from z.npy, but from .npz and .csv" in done.err
    done = inside("audit", "--unlearned", f"retrain={weights}")
    assert done.code == 2 and "No model to audit can be called 'retrain'" in done.err
    done = inside("audit", "--unlearned", weights, "--unlearned", weights, "--benchmark", "digits")
    assert done.code == 2 and "cannot be the row 'ft1', which is taken" in done.err
