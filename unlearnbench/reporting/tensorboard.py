"""Training curves as files of TensorBoard."""

from pathlib import Path

import pandas as pd

from unlearnbench.errors import UserError
from unlearnbench.evaluation.frames import as_rows
from unlearnbench.evaluation.training import OF
from unlearnbench.files import file_in


def write_events(training: pd.DataFrame, folder: Path) -> None:
    """Write a folder a run, as `training` names it, in place of those of before.

    Raises UserError where TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            f"TensorBoard cannot be imported ({error}).",
            "Install it: pip install tensorboard; or take a table: --training csv.",
        ) from error
    curves = training.columns.difference([*OF, "epoch"], sort=False)
    for name, run in training.groupby("name", sort=False):
        own = file_in(folder, str(name))
        for before in own.glob("events.out.tfevents.*"):
            before.unlink()
        with SummaryWriter(str(own)) as writer:
            for row in as_rows(run):
                for curve in curves:
                    if row[curve] is not None:
                        writer.add_scalar(curve, row[curve], row["epoch"])
