"""Audit models that were made elsewhere: the tables, verdicts and page that a run has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from unlearnbench.api import arguments, samples
from unlearnbench.api.arguments import File, Files
from unlearnbench.api.listener import Listener, usual_listener
from unlearnbench.api.outputs import measured_outputs
from unlearnbench.api.own import Own
from unlearnbench.api.request import Setup, prepare
from unlearnbench.api.results import Results, whole
from unlearnbench.api.session import follow
from unlearnbench.audits.attacks import usable
from unlearnbench.audits.references import of_halves
from unlearnbench.data import lists
from unlearnbench.data.lists import ForgetList
from unlearnbench.data.outputs import SUFFIXES, Parts, require_kind
from unlearnbench.errors import UserError
from unlearnbench.execution import GivenFile
from unlearnbench.planning.given import REFERENCE, ROLES, Given, GivenModel
from unlearnbench.planning.plan import ORIGINAL, RETRAIN, digest
from unlearnbench.units import count
from unlearnbench.verdicts.audit import RELEARNING
from unlearnbench.verdicts.inference import FEWEST

if TYPE_CHECKING:
    from unlearnbench.api.request import Request
    from unlearnbench.data.prepare import Data

MEMBERS = (".txt", ".csv", ".npy")
"""What the list beside a reference may end with."""
WRITE = "Write one: numpy.save('NAME.npy', rows)."


@dataclass(frozen=True)
class Audit:
    """Hold what is audited: files by what they stand for, see `ROLES`.

    own: what they are models of; parts: of outputs, which samples are which; train_retrains,
    train_references: how many more are trained by the recipe.
    """

    own: Own
    files: Mapping[str, list[Path]]
    parts: Parts
    train_retrains: int = 0
    train_references: int = 0
    name: str | None = None
    devices: str = "auto"

    @property
    def labels(self) -> list[str]:
        """The rows that are audited."""
        return [label for label in self.files if label not in ROLES]

    @property
    def outputs(self) -> bool:
        """Whether the files hold outputs. Raises UserError where some do and some do not."""
        every = [path for paths in self.files.values() for path in paths]
        for path in every:
            if path.suffix == ".npy":  # an array alone, which is outputs and of no kind we read
                require_kind(path)
        kinds = {path.suffix in SUFFIXES for path in every}
        if len(kinds) > 1:
            raise UserError(
                "Some of the files hold outputs (.npz, .csv) and some weights (.pt, .safetensors).",
                "Give outputs of all of them: those of weights are read by the framework they are"
                " of.",
            )
        if kinds == {True} and (self.train_retrains or self.train_references):
            raise UserError(
                "No model can be trained beside outputs.",
                "Give outputs of retrained models (retrain=FILE) and of references.",
            )
        return kinds == {True}


def audit(
    *,
    unlearned: Files | Mapping[str, File],
    original: File | None = None,
    retrains: Files = (),
    references: Files = (),
    train_retrains: int = 0,
    train_references: int = 0,
    benchmark: str | Path | Setup | None = None,
    model: str | None = None,
    dataset: str | None = None,
    path: str | None = None,
    forget: ForgetList | None = None,
    retain: File | None = None,
    test: File | None = None,
    labels: File | None = None,
    plugins: Files = (),
    assignments: str | Iterable[str] = (),
    data: str | Path = "data",
    results: str | Path = "results",
    name: str | None = None,
    devices: str = "auto",
    listener: Listener | None = None,
) -> Results:
    """Audit models that were made elsewhere; return what came out, as a run's results are.

    Files are all of weights (.pt, .pth, .safetensors) or all of outputs (.npz, .csv), see
    `data.outputs`; what `apply` returned, or its folder, stands for the weights there. unlearned:
    one file or several, or those by the label of their row; beside each reference lies a list of
    what it was trained on, of the same name (ref1.pt, ref1.txt), of outputs it is in them;
    train_retrains, train_references: how many more are trained by the recipe. benchmark, or model,
    dataset and path: what they are models of. forget: what they were to forget, numbers or file
    names, [n], or a file that lists them, which outputs need; retain, test, labels: files, of
    outputs only; plugins: files of a model or a data set; assignments: "KEY=VALUE" as after --set;
    name: of the folder below `results`; listener: by default a notebook's progress bar. Raises
    UserError for what cannot be used.
    """
    files: dict[str, list[Path]] = {ORIGINAL: _paths(original, "original")}
    if isinstance(unlearned, Mapping):
        by_label = {free(str(label)): _paths(one, "unlearned") for label, one in unlearned.items()}
    else:
        by_label = by_stem(_paths(unlearned, "unlearned"))
    files |= by_label | {RETRAIN: _paths(retrains, "retrains")}
    files |= {REFERENCE: _paths(references, "references")}
    own = Own.of(benchmark, model, dataset, path, forget, plugins, assignments, data)
    listed = None if isinstance(own.forget, tuple) else own.forget
    rows = {"forget": listed, "retain": retain, "test": test, "labels": labels}
    named = {what: one for what, one in rows.items() if one is not None}
    parts = Parts(**{what: arguments.file(one, what, WRITE) for what, one in named.items()})
    asked = Audit(own, files, parts, train_retrains, train_references, name, devices)
    return look_into(asked, results, listener or usual_listener())


def _paths(files: Files | None, what: str) -> list[Path]:
    given = [] if files is None else arguments.several(files)
    return [arguments.file(one, what, arguments.SAVE) for one in given]


def free(label: str) -> str:
    """Return the label of a row. Raises UserError for a word that stands for something else."""
    if label in ROLES:
        raise UserError(f"No model to audit can be called '{label}'.", "Give another label.")
    return label


def by_stem(paths: Iterable[Path], others: Iterable[str] = ()) -> dict[str, list[Path]]:
    """Label unlearned models by their files' names, those in a folder of `apply` by their rows.

    Raises UserError where two are called alike, or one as a role or one of `others`.
    """
    files: dict[str, list[Path]] = {}
    for path in paths:
        label = arguments.row(path)
        if label in {*files, *ROLES, *others}:
            raise UserError(
                f"{path} cannot be the row '{label}', which is taken.",
                "Give it a label: unlearned={'LABEL': FILE} (--unlearned LABEL=FILE).",
            )
        files[label] = [path]
    return files


def look_into(asked: Audit, results: str | Path, listener: Listener) -> Results:
    """Do what an audit asks for; return what came out. Raises UserError for what cannot be used."""
    if not asked.labels:
        hint = "--logits LABEL=FILE" if asked.outputs else "unlearned=FILE (--unlearned FILE)"
        raise UserError("There is no model to audit.", f"Name it: {hint}.")
    title = f"Audit of {', '.join(asked.labels)}"
    retrains = len(asked.files.get(RETRAIN, ())) + asked.train_retrains
    if retrains < FEWEST:
        how = "--logits retrain=FILE" if asked.outputs else "--retrain FILE, --train-retrains 4"
        how += "; in Python retrains=[...]"
        listener.told(
            f"{count(retrains, 'retrained model')}: too few for any verdict. Give four or more"
            f" ({how}): three to compare with, and one that checks the audit."
        )
    if asked.outputs:
        if isinstance(asked.own.forget, tuple):
            raise UserError("Of outputs, forget= takes a file of row numbers.", WRITE)
        name = asked.name or "audit"
        return whole(
            measured_outputs(asked.files, asked.parts, name, title, Path(results), listener.told)
        )
    given, files = given_files(asked.files, asked.train_retrains)
    setup = asked.own.setup("audit", asked.name, title)
    raw = setup.raw | {"given": given.model_dump(mode="json", exclude_none=True), "methods": {}}
    raw["seeds"] = raw["seeds"] | {"retrains": max(given.every_retrain, 1)}
    raw["references"] = raw.get("references", {}) | {"count": asked.train_references}
    raw["model_audits"] = {RELEARNING: {"sets": 1}} if given.every_retrain else {}

    def request(*, references: bool, online: bool) -> Request:
        shown = usable(raw, references=references, online=online)
        more = {"methods": [], "devices": asked.devices, "given": files}
        return asked.own.request(Setup(raw | shown), results, **more)

    # Which attacks there are rests on what references were trained on, which only the data tell.
    seen, member = try_files(request(references=False, online=False), files)
    online = of_halves(member) if len(member) else True
    references = bool(given.references or asked.train_references)
    return whole(follow(request(references=references, online=online), listener, seen)[0])


def given_files(
    files: Mapping[str, Sequence[Path]], train_retrains: int = 0
) -> tuple[Given, dict[str, GivenFile]]:
    """Tell files by what is in them, and a reference also by what it was trained on.

    files: by role or label, or folders that `apply` wrote. Returns also which file each digest
    stands for. Raises UserError where one is not there.
    """
    files = {role: [*map(arguments.weights, paths)] for role, paths in files.items()}
    named: dict[str, GivenFile] = {}

    def told(role: str, path: Path, found: str) -> GivenModel:
        members = _members(path) if role == REFERENCE else None
        which = digest([found, sorted(set(members or ()))])
        named[which] = GivenFile(path.resolve(), members)
        return GivenModel(file=path.name, digest=which)

    return Given.of(files, told, trained_retrains=train_retrains), named


def _members(path: Path) -> lists.Entries:
    """Read what a reference was trained on from the list beside it."""
    found = [path.with_suffix(end) for end in MEMBERS if path.with_suffix(end).is_file()]
    if len(found) != 1:
        names = " or ".join(path.with_suffix(end).name for end in MEMBERS)
        raise UserError(
            f"Beside {path} there is no list of what it was trained on ({names}).",
            "An attack must know it: write it there, numbers or file names, one a line; of the"
            " test set as test:NUMBER.",
        )
    return lists.read_list(found[0])


def try_files(
    request: Request, files: Mapping[str, GivenFile]
) -> tuple[samples.DataSeen, NDArray[np.bool_]]:
    """Look the data over and try all files before anything is made.

    Returns what was seen of the data, and which samples of the pool given references were trained
    on, bool [references, n]. Raises UserError for the first file that cannot be used.
    """
    from unlearnbench.execution.kept import members_of_files

    benchmark = prepare(request).benchmark
    seen = samples.look_over(request, benchmark)
    data = cast("Data", seen.data)  # which only a dry run may not have
    return seen, members_of_files(benchmark.model, data, files.values(), benchmark.plugins)
