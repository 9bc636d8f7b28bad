"""Every shipped method says where it comes from; the pages about them are what the code makes."""

from __future__ import annotations

import re

import pytest

from docs.builder import recipes
from tests.conftest import Cli
from unlearnbench import registry
from unlearnbench.outline import extra, hyperparameters, settings_class
from unlearnbench.recipe import param

PLUGINS = list(registry.find("methods").values())


@pytest.fixture(params=PLUGINS, ids=lambda plugin: plugin.name)
def plugin(request: pytest.FixtureRequest) -> registry.Plugin:
    found: registry.Plugin = request.param
    return found


def test_every_default_has_a_source(plugin: registry.Plugin) -> None:
    fields = hyperparameters(settings_class(plugin))
    bare = [name for name, field in fields.items() if not extra(field).get("source")]
    assert bare == [], f'say where these are from: param(..., source="...") in {plugin.path.name}'


def test_every_method_has_its_equation_and_its_sources(plugin: registry.Plugin) -> None:
    method = settings_class(plugin)
    assert method.equation, f"write `equation` in {plugin.path.name}"
    doc = recipes.paragraphs(method.__doc__ or "")
    for name in ("Source", "Differences"):
        assert doc[name], f'begin a paragraph of the docstring with "{name}:"'


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return recipes.pages()


@pytest.mark.slow
def test_pages_are_current(pages: dict[str, str]) -> None:
    here = {path.name: path.read_text() for path in recipes.FOLDER.iterdir()}
    again = "python -m docs.builder"
    assert sorted(here) == sorted(pages), again
    assert [name for name, text in pages.items() if here[name] != text] == [], again


@pytest.mark.slow
def test_a_page_has_every_part(pages: dict[str, str]) -> None:
    text = pages["l1-sparse.md"]
    assert "| `alpha` | `0.0001` | weight of the penalty at first | ≥ 0 | 1e-06 to 0.01 |" in text
    assert "cifar10, resnet18; AMUN (arXiv 2503.00917), Table 1:" in text
    assert "| l1-sparse | 10 %, full access | 94.29 ±0.34 |" in text
    assert "multiplies alpha by 2 - 2t/T" in text
    assert re.search(r"^- l1-sparse: \*\*[a-z ]+\*\*.*; its FT AUC is \+", text, re.M)
    assert r"\gamma_t = \alpha \left(1 - \frac{t}{T}\right)" in text


def test_param_keeps_search_and_source() -> None:
    field = param(1.0, help="a", search=(0.1, 1), source="paper")
    assert extra(field) == {"search": [0.1, 1], "source": "paper"}
    assert extra(param(1.0, help="a")) == {}


def test_the_command_line_tells_equation_and_sources(inside: Cli) -> None:
    told = inside("methods", "l1-sparse").out
    assert r"\min_\theta L(\theta; D_R)" in told and "from: authors' README" in told
