"""What stands in a column, in words, by its heading: for the reader who points at it."""

from unlearnbench.audits.attacks import ATTACKS, ULIRA, attack_title

FOUND = "how far from retrain this audit finds a method, in points, and its verdict by this audit"
ABOUT = {
    "Method": "A click opens the runs behind the row. Marks after a name are explained below the"
    " table.",
    "Verdict": "Against retrain, over all audits: equivalent, different, or inconclusive.",
    "Surest audit": "The audit with the smallest p. Its gap need not be the largest.",
    "Its gap [95 %]": "What the surest audit finds, minus the same of retrain, in points. The"
    " interval is not corrected for the number of audits.",
    "p (all audits)": "Probability of so large a difference by chance, corrected for all audits and"
    " methods. Below 0.05 the verdict is 'different'.",
    "Name": "What figures and articles call the row.",
    "Paper": "Where the method is from.",
    "Leak left %": "Share of the original's own gap in FT AUC that is left, with its"
    " interval: 0 is retrain, 100 the original.",
    "Leak left % [95 %]": "Share of the original's own gap that is left: 0 is retrain, 100 the"
    " original.",
    "Conf F": "Mean confidence in the true label of forget samples, minus retrain's, in points.",
    "Conf T": "Mean confidence in the true label of test samples, minus retrain's, in points.",
    "Rank": "The places that a method may have: those of which no test of pairs says otherwise.",
    "n": "Number of runs.",
    "p": "Probability of so large a difference by chance, corrected for the number of methods.",
    "p over all": "The same, corrected for the number of audits and of methods together.",
    "Power": "Whether the audit has enough data to show that a gap is small: it distinguishes the"
    " original from retrain, and would find a perfect retrain equivalent four times in five.",
    "Margin": "How far from retrain is still called equivalent, in points.",
    "Smallest margin": "The margin at which no difference at all would be called equivalent in 4"
    " of 5 cases, in points.",
    "Audit": "What looks for the samples that were to be forgotten.",
    "AUC % [95 %]": "How often the attack scores a forget sample above a test sample; 50 is"
    " guessing.",
    "FT AUC %": "How often the attack scores a forget sample above a test sample; 50 is guessing.",
    "Forget acc %": "Accuracy on the forget set, before and after.",
    "Gap to retrain [95 %]": "Minus the same of retrain, in points.",
    "Gap in FT AUC [95 %]": "FT AUC minus retrain's, in points.",
    "Gap after [95 %]": "After relearning, minus the same of retrain.",
    "SE samples": "Standard error of the AUC that the choice of samples causes.",
    "SE seeds": "Standard error of the AUC that the scatter between forget sets causes.",
    "TPR % at 1 % FPR": "Share of forget samples found where 1 % of test samples are taken for"
    " members.",
    "TPR % at 0.1 % FPR": "Share of forget samples found where 0.1 % of test samples are taken for"
    " members.",
    "Balanced acc %": "Share that the attack gets right with its best threshold, both groups"
    " counting the same.",
    "Flags": "Why a method is not ranked, or what is odd about it.",
    "Smaller mean gap": "The one of two methods with the smaller mean gap to retrain.",
    "Larger mean gap": "The one of two methods with the larger mean gap to retrain.",
    "Detectable": "The smallest true difference, in points, that would be found 4 times in 5: to"
    " confirm the claim / to contradict it.",
    "Difference [95 %]": "How much farther from retrain the second is than the first, in points.",
    "Control": "A row whose outcome is known beforehand.",
    "Expected": "What is expected if the measurement is right.",
    "Came out": "Whether that is what was found.",
    "Of which": "The part that takes most of the time beside training, and its share.",
    "Memory MB ↓": "The largest peak of any run; on a CPU that of the whole worker.",
    "Audits s": "Seconds that audits of its models took in addition, such as relearning.",
    "Sum s": "Seconds of all parts together.",
    "Row": "The label of a row of the tables.",
    "Hyperparameters": "Settings with which it was run.",
    "Run": "Its folder among the results.",
    "Why": "What went wrong, or why it was left out.",
    "The paper's claim": "What the paper says, in our words.",
    "Where": "The benchmark and condition that it is tested on.",
    "Measured": "What is compared here to test it.",
    "Rival": "With which row it is compared.",
    "Points [95 %]": "The difference that was measured.",
    "Mean rank ↓": "Mean over benchmarks; 1 is best.",
    "Metric": "What was measured.",
    "Pairs": "Number of pairs of runs that are compared.",
}
BEGINNINGS = {
    "Relearning:": f"After fine-tuning on the retain set alone: {FOUND}.",
    "Forget confidence": f"Confidence on forget samples: {FOUND}.",
    "Test confidence": f"Confidence on test samples: {FOUND}.",
    "Memorised tenth": f"FT AUC of the tenth of the forget samples most memorised: {FOUND}.",
    "Farther than": "How much farther from retrain than the method named, in points.",
}
ATTACK = {one.title: one.about for one in ATTACKS.values()}
ATTACK[attack_title(ULIRA)] = "shadow models passed through the method that is attacked"


def explained(heading: str) -> str:
    """Say what stands below a heading that is no metric's; "" if nothing is known of it."""
    if heading in ABOUT:
        return ABOUT[heading]
    attack = heading.partition(", TPR")[0]
    if attack in ATTACK:
        said = f"{ATTACK[attack]}: {FOUND}."
        return said[:1].upper() + said[1:]
    return next((said for first, said in BEGINNINGS.items() if heading.startswith(first)), "")
