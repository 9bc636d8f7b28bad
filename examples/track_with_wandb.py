"""Send each model to Weights & Biases when it is made: `pip install wandb`, then `wandb login`."""

from typing import Any

import unlearnbench as ub


class WeightsAndBiases(ub.Listener):
    """Log a W&B run for each model, with its training curve, and later its metrics."""

    def __init__(self, project: str) -> None:
        """Log to a project."""
        import wandb  # type: ignore[import-not-found]

        self.wandb, self.project = wandb, project

    def planned(self, outlook: ub.Outlook) -> None:
        """Remember what each model is made from."""
        self.group, self.nodes = outlook.heading, outlook.plan.nodes

    def ended(self, event: ub.Event) -> None:
        """Log a model's settings, its loss by epoch and its time."""
        if event.status != "done":
            return
        config = self.nodes[event.run].spec.model_dump(mode="json")
        with self.opened(event.run, name=f"{event.label} {event.run}", config=config) as run:
            for epoch in event.trace:
                run.log(dict(epoch))
            run.summary["seconds"] = event.seconds

    def add_metrics(self, results: ub.Results) -> None:
        """Log metrics and gaps to retrain, which are known when all models are made."""
        for row in results.runs.to_dict("records"):
            with self.opened(row["run"]) as run:
                run.summary.update({k: v for k, v in row.items() if isinstance(v, float)})

    def opened(self, run: str, **about: Any) -> Any:
        """Open the W&B run of a model, which is made if it is not there."""
        return self.wandb.init(
            project=self.project, group=self.group, id=run, resume="allow", **about
        )


if __name__ == "__main__":  # worker processes import this file
    tracker = WeightsAndBiases("unlearning")
    results = ub.run("digits", methods=["ft"], seeds=1, listener=tracker)
    tracker.add_metrics(results)
