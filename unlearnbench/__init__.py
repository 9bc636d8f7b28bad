"""Compare machine-unlearning methods on image classifiers, measured against retraining."""

from unlearnbench.method import Method, param
from unlearnbench.task import Task

__all__ = ["Method", "Task", "param"]
__version__ = "0.1.0"
