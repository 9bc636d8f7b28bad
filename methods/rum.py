"""RUM: a method for each part of the forget set, from the least to the most memorised."""

from typing import Literal

from torch import nn
from torch.nn import functional

import unlearnbench as ub
from unlearnbench import Method, Task, param
from unlearnbench.seeds import seed_for
from unlearnbench.toolkit import outputs, recorder


class Rum(Method):
    """Hand each third of the forget set, by how memorised it is, to a method that suits it.

    Nothing is done about the least memorised third, which a model knows without having seen it.
    `middle` unlearns the next third, the last one being in its D_R still; then `high` unlearns that
    one. Rates and epochs of both are set here, and from which labels `high` draws; all else is
    their own default. Needs the retain set, as FT does.

    Source: Zhao et al. (arXiv 2406.01257): RUM by memorisation, with nothing, FT and SalUn.

    Differences: true memorisation takes many models, and the authors' proxies (arXiv 2410.16516)
    take training too; here samples are in the order of the original's confidence in their labels,
    the most confident being the least memorised. The authors' forget sets were put together from
    samples of low, medium and high memorisation, a third each; of other forget sets a third may be
    none of these. D_R of each step, rates, epochs and labels are those of the authors' example; all
    else of `middle` and `high` is as on their own pages. That example augments nothing and has
    batches of 256; here the recipe says, or `batch_size`, which holds for both. It leaves open
    which mask SalUn gets: the hard ones of the authors' script mark the weights with the smallest
    gradients, of a model that climbs the loss from batch to batch; here those with the largest are
    marked, of the model as it is handed on.
    """

    title = "RUM"
    paper = "https://arxiv.org/abs/2406.01257"
    equation = r"""
    D_F = S_1 \cup S_2 \cup S_3, \quad p_x > p_{x'} > p_{x''}
    \text{ for } x \in S_1, x' \in S_2, x'' \in S_3
    p_x = \operatorname{softmax}(f_{\theta_o}(x))_y
    \theta_2 = U_\text{middle}(\theta_o; S_2, D_R \cup S_3)
    \theta_3 = U_\text{high}(\theta_2; S_3, D_R)
    """
    needs_retain = True

    middle: str = param(
        "ft", help="method for the middle third", names="method", source="authors' code"
    )
    middle_lr: float = param(
        0.1,
        gt=0,
        help="its learning rate, if it has one",
        search=(1e-4, 1.0),
        source="authors' code",
    )
    middle_epochs: int = param(10, ge=1, help="its epochs, if it has any", source="authors' code")
    high: str = param(
        "salun", help="method for the most memorised", names="method", source="authors' code"
    )
    high_lr: float = param(
        0.1,
        gt=0,
        help="its learning rate, if it has one",
        search=(5e-5, 1.0),
        source="authors' code",
    )
    high_epochs: int = param(5, ge=1, help="its epochs, if it has any", source="authors' code")
    high_labels: Literal["wrong", "any"] = param(
        "any",
        help="from which it draws one, if it draws any: the wrong ones, or all",
        source="authors' code",
    )

    def unlearn(self, model: nn.Module, task: Task) -> nn.Module:
        """Hand over the middle third, then the most memorised."""
        retain = task.require_retain()
        logits = outputs(task.original, task.forget).double()  # confidences near 1 must not be ties
        losses = functional.cross_entropy(logits, task.forget.labels, reduction="none")
        order = losses.argsort(descending=True, stable=True)
        high, middle, _ = (task.forget.select(third) for third in order.tensor_split(3))
        if len(middle):
            method = self._method("middle")
            seed = seed_for(task.seed, "middle")
            model = task.hand_to(method, model, forget=middle, retain=retain + high, seed=seed)
        method = self._method("high")
        return task.hand_to(method, model, forget=high, seed=seed_for(task.seed, "high"))

    def _method(self, part: str) -> Method:
        """Return the method for a part, with our settings of it where it has them."""
        name, prefix = getattr(self, part), f"{part}_"
        own = type(ub.method(name)).model_fields
        given = {key.removeprefix(prefix): value for key, value in self if key.startswith(prefix)}
        for key in given:
            if key not in own:
                recorder().warn(f"{prefix}{key} is not used: {name} has no {key}")
        return ub.method(name, **{key: value for key, value in given.items() if key in own})
