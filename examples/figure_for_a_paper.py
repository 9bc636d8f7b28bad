"""Restyle a figure of published results for a paper: `python figure_for_a_paper.py [RESULTS]`."""

import sys
from pathlib import Path

import matplotlib.pyplot as plt

import unlearnbench as ub
from unlearnbench.reporting.figures import STYLE

HERE = Path(__file__).parent
folder = sys.argv[1] if len(sys.argv) > 1 else HERE.parent / "results" / "digits@epyc-2"
condition = ub.load(folder).condition(access="full", fraction=0.1)

with plt.style.context([STYLE, {"font.family": "serif", "font.size": 8}]):
    figure, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
    condition.plot.gaps(metric="ft_auc", ax=axes[0])
    axes[0].set_title("Membership: how far from retraining?")
    condition.plot.forgetting_utility(ax=axes[1])
    axes[1].set_title("Forgetting against utility")
    figure.savefig("figure.pdf")

# The numbers behind it, to draw it in another way altogether:
condition.plot.gaps.data.to_csv("figure.csv", index=False)
print("Written: figure.pdf, figure.csv")
