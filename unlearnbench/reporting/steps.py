"""How to read a report in five minutes: on its page, and in the guide."""

STEPS = (
    (
        "Summary",
        "says in words which methods are equivalent to retraining, which are different and by which"
        " audit, and which are inconclusive. If there are warnings, read them first: a control that"
        " failed voids the table.",
    ),
    (
        "Find retrain's row.",
        "Its numbers are the goal. Forget accuracy is not meant to be zero: a retrained model gets"
        " most of these samples right, because it generalises.",
    ),
    (
        "Look at the noise band below it.",
        "The mean of as many retrains lies within it 95 times in 100.",
    ),
    (
        'Read the column "Verdict".',
        "It is over all audits; beside it stands the audit with the surest difference, which need"
        " not be the largest. How much of the original's leak is left is said of FT AUC alone.",
    ),
    (
        'Look at "Audit by audit".',
        "It says which audits could tell anything here, and what each of them found.",
    ),
    (
        "Look for † behind a name.",
        "The settings of that row were chosen under another condition, which the caption names.",
    ),
)
"""What to look at, and why, in order."""


def as_markdown() -> str:
    """Write them as a numbered list."""
    return "\n".join(f"{at}. **{what}** {why}" for at, (what, why) in enumerate(STEPS, 1))
