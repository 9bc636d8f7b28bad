"""Models that were made elsewhere: which files stand for what in an audit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Self

from pydantic import Field

from unlearnbench.errors import UserError
from unlearnbench.files import checksum
from unlearnbench.planning.plan import ORIGINAL, RETRAIN
from unlearnbench.recipe import Strict

REFERENCE = "reference"
ROLES = (ORIGINAL, RETRAIN, REFERENCE)
"""What a file may stand for; any other word is the label of an unlearned model's row."""


class GivenModel(Strict):
    """Name one file of weights or of outputs."""

    file: str = Field(description="its name, for people")
    digest: str = Field(description="of what is in it")


class Given(Strict):
    """Say which models of an audit are from elsewhere; each is told by what is in its file.

    There is one forget set, which all of them are about.
    """

    original: GivenModel | None = Field(default=None, description="before anything was forgotten")
    unlearned: dict[str, GivenModel] = Field(
        default_factory=dict, description="what is audited, by label of its row"
    )
    retrains: list[GivenModel] = Field(
        default_factory=list, description="trained from scratch without the forget set"
    )
    references: list[GivenModel] = Field(
        default_factory=list, description="of whose training samples it is known which they were"
    )
    trained_retrains: int = Field(
        default=0, ge=0, description="how many more are trained by the benchmark's recipe"
    )
    outputs: bool = Field(
        default=False, description="whether the files hold outputs: there is no model and no image"
    )

    @classmethod
    def of(
        cls,
        files: Mapping[str, Sequence[Path]],
        told: Callable[[str, Path, str], GivenModel],
        *,
        trained_retrains: int = 0,
        outputs: bool = False,
    ) -> Self:
        """Say what files by role or label are.

        told: names one by its role, its file and the checksum of that. Raises UserError for a file
        that is not there, for more than one original or model of a row, and for one file, or copies
        of one, in place of two models.
        """
        for label, paths in files.items():
            if label not in ROLES and len(paths) > 1:
                named = " and ".join(map(str, paths))
                raise UserError(
                    f"Two models would be the row '{label}': {named}.",
                    "Give each a label of its own; there is one forget set, so that no mean over"
                    " them is taken.",
                )
        sums = _checksums(files)
        models = {
            role: [told(role, path, sums[path]) for path in paths] for role, paths in files.items()
        }
        rows = {label: of_row for label, of_row in models.items() if label not in ROLES and of_row}
        originals = models.get(ORIGINAL, [])
        if len(originals) > 1:
            raise UserError(
                "An audit has one original.", "Audit models of another one by themselves."
            )
        return cls(
            original=originals[0] if originals else None,
            unlearned={label: one for label, (one, *_) in rows.items()},
            retrains=models.get(RETRAIN, []),
            references=models.get(REFERENCE, []),
            trained_retrains=trained_retrains,
            outputs=outputs,
        )

    @property
    def every_retrain(self) -> int:
        """How many retrains there are, those trained here included."""
        return len(self.retrains) + self.trained_retrains

    def said(self) -> Iterator[str]:
        """Yield for people which file stands for what."""
        if self.original:
            yield f"original: {self.original.file}"
        for label, model in self.unlearned.items():
            yield f"{label}: {model.file}"
        for what, models in {"retrain": self.retrains, "reference": self.references}.items():
            if models:
                yield f"{what}: {', '.join(model.file for model in models)}"


def _checksums(files: Mapping[str, Sequence[Path]]) -> dict[Path, str]:
    """Return the checksum of each file; files: by role or label.

    Raises UserError where one is not there, and where two are the same: a model that counts as two
    makes the scatter of retrains too small, or is compared with itself. But an unlearned model may
    be the original: that nothing was forgotten is for the audit to show.
    """
    every = [(role, path) for role, paths in files.items() for path in paths]
    sums: dict[Path, str] = {}
    for _, path in every:
        found = checksum(path)
        if found is None:
            raise UserError(f"There is no file {path}.", "Name a .pt, .pth or .safetensors file.")
        sums[path] = found
    for (role, path), (other, same) in combinations(every, 2):
        unchanged = ORIGINAL in (role, other) and {role, other}.difference(ROLES)
        if sums[path] == sums[same] and not unchanged:
            raise UserError(
                f"{path} ({role}) and {same} ({other}) are one file, or copies of one.",
                "Give each model once; only a model to audit may be the same as the original.",
            )
    return sums
