"""An audit: what comes back where a model goes on learning, without its forget set."""

from torch import Tensor, nn

from unlearnbench import param
from unlearnbench.authoring import Case, ModelAudit
from unlearnbench.toolkit import finetune, outputs


class Relearning(ModelAudit):
    """Fine-tune the model on D_R alone, and look at D_F again.

    No forget sample is shown. A model that never saw them learns little about them; what was only
    hidden comes back. All rows, and the retrains, are fine-tuned with the same settings.

    Source: "From Dormant to Deleted" (arXiv 2505.22310), which fine-tunes on D_R and finds the
    accuracy on D_F back near that of the original.

    Differences: SGD as the benchmark's recipe has it, so that it is the training that the model
    knows; epochs and learning rate are ours.
    """

    title = "Relearning"
    about = (
        "The model is fine-tuned on the retain set alone; then the forget set is looked at again."
    )
    paper = "https://arxiv.org/abs/2505.22310"

    epochs: int = param(5, ge=1, help="passes over D_R", source="ourselves")
    lr: float = param(0.01, gt=0, help="learning rate", source="ourselves")

    def logits(self, model: nn.Module, case: Case) -> Tensor:
        """Return the outputs of the fine-tuned model."""
        finetune(model, case.retain, lr=self.lr, epochs=self.epochs, seed=case.seed)
        return outputs(model, case.pool)
