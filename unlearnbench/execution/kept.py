"""Models in files: those that results keep, and those that were made elsewhere."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from unlearnbench.data.lists import positions
from unlearnbench.data.prepare import Data
from unlearnbench.errors import UserError
from unlearnbench.execution import GivenFile
from unlearnbench.execution.building import build_model
from unlearnbench.execution.checkpoint import load_into, read_state
from unlearnbench.execution.pool import load_data
from unlearnbench.planning.plan import Spec
from unlearnbench.registry import Own
from unlearnbench.storage.store import Store

FEW = 8
"""Images that a model made elsewhere is tried on."""


def stored_model(store: Store, run: str, root: Path, plugins: Iterable[Own] = ()) -> nn.Module:
    """Return a model whose weights were kept, on the CPU and in eval mode.

    root: of data sets, which are read only for a record of a version that did not note their shape;
    plugins: the user's, in which the model may be.
    """
    record = store.record(run)
    spec = Spec.model_validate(record["spec"])
    if "image" in record:
        classes, (channels, _, side) = record["classes"], record["image"]
    else:
        data = load_data(spec.data, root)  # pyright: ignore[reportArgumentType]
        classes, (channels, _, side) = data.classes, data.train[0].shape[1:]
    model = build_model(spec.model, 0, classes, channels, side, plugins)
    model.load_state_dict(load_file(store.model_path(run)))
    return model.eval()


def members_of_files(
    architecture: str, data: Data, files: Iterable[GivenFile], plugins: Iterable[Own] = ()
) -> NDArray[np.bool_]:
    """Return which samples of the pool references made elsewhere were trained on, bool [k, n].

    All files are tried, on a few images too: raises UserError for the first that cannot be used.
    """
    _, channels, _, side = data.train[0].shape
    model = build_model(architecture, 0, data.classes, channels, side, plugins)
    few = torch.from_numpy(np.asarray(data.train[0][:FEW])).float() / 255
    trained = []
    for file in files:
        load_into(model, read_state(file.path), file.path)
        with torch.no_grad():
            if not model.eval()(few).isfinite().all():
                raise UserError(f"The model in {file.path} gives outputs that are not finite.")
        if file.members is not None:
            listed = positions(file.members, data, everywhere=True)
            trained.append(np.isin(np.arange(len(data.labels)), listed))
    return np.array(trained, dtype=np.bool_)
