"""How to read a report in five minutes: on its page, and in the guide."""

STEPS = (
    (
        "Read the summary.",
        "It names the methods that are equivalent to retraining, those that are different, and"
        " those for which neither was shown. Read the warnings too: if a control failed, no verdict"
        " of the table counts.",
    ),
    (
        "Find retrain's row in the table of results.",
        "Its numbers are the goal. Forget accuracy should not be zero: a retrained model classifies"
        " most of these samples correctly, because it generalises.",
    ),
    (
        "Look at the noise band below it.",
        "Retraining twice does not give the same model. The average of as many retrained models"
        " falls inside this band 95 % of the time.",
    ),
    (
        'Read the columns "Verdict" and "Surest audit".',
        "The verdict is over all audits. The surest audit is the one with the smallest p-value; its"
        " gap need not be the largest. A large gap can still be inconclusive, because the interval"
        " beside it is for that audit alone, without a correction for the number of audits.",
    ),
    (
        'Look at "Audit by audit".',
        "It shows what each audit found, and which audits had enough data to show that a gap is"
        " small.",
    ),
    (
        "Look for marks behind a name, such as †.",
        "The caption explains them: the settings of that row were not tuned for this condition, or"
        " its runs are older than the code.",
    ),
)
"""What to look at, and why, in order."""


def as_markdown() -> str:
    """Write them as a numbered list."""
    return "\n".join(f"{at}. **{what}** {why}" for at, (what, why) in enumerate(STEPS, 1))
