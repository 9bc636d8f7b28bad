"""Compare machine-unlearning methods on image classifiers, measured against retraining.

    import unlearnbench as ub

    results = ub.run(ub.benchmark("digits", seeds=3), methods=["amun", "salun"])
    results.condition().table()

`import unlearnbench` is light: each name of the library, see `__init__.pyi`, is loaded when it is
first used.
"""

import lazy_loader

__version__ = "0.2.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
