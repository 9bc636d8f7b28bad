"""Compare two methods on handwritten digits: about half a minute on two cores, no download."""

import unlearnbench as ub

if __name__ == "__main__":  # worker processes import this file
    benchmark = ub.benchmark("digits", seeds=3)
    results = ub.run(benchmark, methods=["amun", "salun"])
    condition = results.condition(access="full", fraction=0.1)

    print(condition.table("main").to_markdown())
    print()
    for label in condition.methods:
        gap = condition.verdict(label).gap
        low, high = gap.interval()
        print(f"{label}: {condition.word(label)}")  # over all audits, not by FT AUC alone
        print(f"  FT AUC is {gap.value:+.1f} points from retrain's,")
        print(f"  95 % interval {low:+.1f} to {high:+.1f}")
    for warning in results.warnings:
        print(f"! {warning}")
