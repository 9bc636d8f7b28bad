"""Every shipped method keeps the contract; a method that breaks it is told how."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from unlearnbench import registry
from unlearnbench.authoring import Method
from unlearnbench.errors import UserError
from unlearnbench.execution.contract import Examination
from unlearnbench.execution.trying import Conditions, examine


def few_epochs(plugin: registry.Plugin) -> Method:
    """Build a method with its defaults, but for what takes long: two show what ten would."""
    method = registry.method_class(plugin)
    few: dict[str, object] = {"epochs": 2, "images": 2, "steps": 10}
    settings = {name: value for name, value in few.items() if name in method.model_fields}
    return registry.build(method, plugin.name, settings)


METHODS = [few_epochs(plugin) for plugin in registry.find("methods").values()]
RULES = [rule for rule, _ in Examination(METHODS[0]).rules()]


@pytest.fixture(scope="module", params=METHODS, ids=repr)
def examination(request: pytest.FixtureRequest) -> Examination:
    method: Method = request.param
    return Examination(method)


@pytest.mark.parametrize("rule", RULES)
def test_contract(examination: Examination, rule: str) -> None:
    assert dict(examination.rules())[rule]() is None


BROKEN = '''
"""A method that breaks rules."""
import torch
from unlearnbench import Method, Task

class Broken(Method):
    """Break rules."""
    paper = "none"
    def unlearn(self, model, task):
        torch.manual_seed(0)
        task.forget.labels.zero_()
        for parameter in model.parameters():
            parameter.data.add_(torch.rand_like(parameter))
        return model if len(task.forget) > 1 else None
'''


def test_broken_method_is_told_how(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text(BROKEN)
    problems = {rule: problem for rule, problem in examine(path) if problem}
    assert list(problems.values()) == [
        "set `paper` to the address of its paper",
        "the forget labels were changed",
        "torch's global random state was changed: draw from task.seed",
        "unlearn returned NoneType, not a model.",
    ]


GREEDY = '''
"""A method that takes all images of the retain set at once."""
from unlearnbench import Method

class Greedy(Method):
    """Brighten the first layer by the retain set's mean."""
    paper = "https://example.org"
    needs_retain = True
    def unlearn(self, model, task):
        next(model.parameters()).data.add_(task.retain.images.float().mean() / 1e6)
        return model
'''


def test_a_method_that_takes_all_images_at_once_is_told_what_to_take(tmp_path: Path) -> None:
    path = tmp_path / "greedy.py"
    path.write_text(GREEDY)
    problems = {rule: problem for rule, problem in examine(path) if problem}
    (told,) = problems.values()
    assert list(problems) == [
        "Give the same weights where the retain set is too large for the device"
    ]
    assert "take `batches` or `shuffled`, or index them" in told


LOOPING = '''
"""A method that loops over examples as over a data loader."""
from unlearnbench import Method

class Looping(Method):
    """Look at each image."""
    paper = "https://example.org"
    def unlearn(self, model, task):
        for pixels, labels in task.retain or task.forget:
            model(pixels)
        return model
'''


def test_a_loop_over_examples_is_told_at_once_how_to_write_it(tmp_path: Path) -> None:
    path = tmp_path / "looping.py"
    path.write_text(LOOPING)
    problems = {problem for _, problem in examine(path) if problem}
    said = "loop over `batches(size)` (in order) or `shuffled(generator)` (for training)"
    assert problems == {f"TypeError: Examples come in batches: {said} (looping.py, line 9)"}


CARELESS = '''
"""A method that shows the model what is left over, and writes into what it was given."""
from unlearnbench import Method

class Careless(Method):
    """Train in batches of its own, and zero what must stay."""
    paper = "https://example.org"
    def unlearn(self, model, task):
        model.train()
        for pixels, _ in task.forget.batches(task.recipe.batch_size):
            model(pixels).sum().backward()
        if task.validation:
            task.validation.labels.zero_()
        return model
'''


def test_a_lone_last_sample_and_changed_validation_samples_are_told(tmp_path: Path) -> None:
    path = tmp_path / "careless.py"
    path.write_text(CARELESS)
    problems = [problem for _, problem in examine(path) if problem]
    assert problems == [
        "the validation labels were changed",
        "a model was trained on a batch of one: let it join another, as `shuffled` does"
        " (careless.py, line 11)",
    ]


RAISING = '''
"""A method that raises."""
from unlearnbench import Method

class Raising(Method):
    """Raise, below the call."""
    paper = "https://example.org"
    def unlearn(self, model, task):
        return self.inside(task)
    def inside(self, task):
        raise ValueError(f"no {task.classes}\\nand more")
'''


def test_what_a_method_raises_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "raising.py"
    path.write_text(RAISING)
    problems = {problem for _, problem in examine(path) if problem}
    assert problems == {"ValueError: no 3 (raising.py, line 11)"}


def test_a_check_takes_settings_and_another_model(tmp_path: Path) -> None:
    (tmp_path / "flat.py").write_text(
        "from torch import nn\n\n\ndef build(classes, channels, size):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size**2, classes))\n"
    )
    (tmp_path / "strong.py").write_text(
        "from unlearnbench import Method, param\n\n\nclass Strong(Method):\n"
        '    """Test."""\n\n    paper = "https://x"\n    lr: float = param(0.1, gt=0, help="x")\n\n'
        "    def unlearn(self, model, task):\n"
        "        assert self.lr == 0.5 and len(model) == len(task.build(0)) == 2\n"
        "        return model\n"
    )
    file, plugins = tmp_path / "strong.py", (tmp_path / "flat.py",)

    def found(*assignments: str, model: str = "flat") -> list[str | None]:
        tried = examine(file, Conditions(tmp_path, assignments, model, plugins))
        return [problem for _, problem in islice(tried, 3)]

    assert found("lr=0.5") == found("strong.lr=0.5") == [None] * 3
    assert found()[2] is not None
    for wrong, said in {"lr=-1": "lr", "rate=1": "rate", "recipe.epochs=1": "knows no"}.items():
        with pytest.raises(UserError, match=said):
            found(wrong)
    with pytest.raises(UserError, match="Unknown model 'flut'"):
        found(model="flut")
