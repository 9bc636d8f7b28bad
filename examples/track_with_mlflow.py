"""Send each model to MLflow when it is made: `pip install mlflow`, then look with `mlflow ui`."""

import unlearnbench as ub


class MLflow(ub.Listener):
    """Log an MLflow run for each model, with its training curve, and later its metrics."""

    def __init__(self, experiment: str) -> None:
        """Log to an experiment."""
        import mlflow  # type: ignore[import-not-found]

        self.mlflow = mlflow
        self.known: dict[str, str] = {}
        mlflow.set_experiment(experiment)

    def planned(self, outlook: ub.Outlook) -> None:
        """Remember what each model is made from."""
        self.nodes = outlook.plan.nodes

    def ended(self, event: ub.Event) -> None:
        """Log a model's settings, its loss by epoch and its time."""
        if event.status != "done":
            return
        spec = self.nodes[event.run].spec
        with self.mlflow.start_run(run_name=f"{event.label} {event.run}") as run:
            self.known[event.run] = run.info.run_id
            self.mlflow.log_params({"kind": spec.kind, "seed": spec.seed, **spec.settings})
            for epoch in event.trace:
                curves = {name: value for name, value in epoch.items() if name != "epoch"}
                self.mlflow.log_metrics(curves, step=epoch["epoch"])
            self.mlflow.log_metrics({"seconds": event.seconds})

    def add_metrics(self, results: ub.Results) -> None:
        """Log metrics and gaps to retrain, which are known when all models are made."""
        for row in results.runs.to_dict("records"):
            if row["run"] in self.known:
                with self.mlflow.start_run(run_id=self.known[row["run"]]):
                    numbers = {k: v for k, v in row.items() if isinstance(v, float) and v == v}
                    self.mlflow.log_metrics(numbers)


if __name__ == "__main__":  # worker processes import this file
    tracker = MLflow("unlearning")
    results = ub.run("digits", methods=["ft"], seeds=1, listener=tracker)
    tracker.add_metrics(results)
