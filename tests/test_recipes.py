"""Every shipped method says where it comes from; the pages about them are what the code makes."""

from __future__ import annotations

import pytest

from docs.site import recipes
from tests.conftest import Cli
from unlearnbench import registry
from unlearnbench.commands import catalogue, equation
from unlearnbench.method import param

PLUGINS = list(registry.find("methods").values())


@pytest.fixture(params=PLUGINS, ids=lambda plugin: plugin.name)
def plugin(request: pytest.FixtureRequest) -> registry.Plugin:
    found: registry.Plugin = request.param
    return found


def test_every_default_has_a_source(plugin: registry.Plugin) -> None:
    fields = registry.settings_class(plugin).model_fields
    bare = [name for name, field in fields.items() if not catalogue.extra(field).get("source")]
    assert bare == [], f'say where these are from: param(..., source="...") in {plugin.path.name}'


def test_every_method_has_its_equation_and_its_sources(plugin: registry.Plugin) -> None:
    method = registry.settings_class(plugin)
    assert method.equation, f"write `equation` in {plugin.path.name}"
    doc = recipes.paragraphs(method.__doc__ or "")
    for name in ("Source", "Differences"):
        assert doc[name], f'begin a paragraph of the docstring with "{name}:"'


def test_equations_can_be_read_in_a_terminal(plugin: registry.Plugin) -> None:
    for line in equation.plain(registry.settings_class(plugin).equation):
        assert not set(line) & set("\\$\0"), line
        left = [word for word in line.replace("_", " ").split() if word in equation.SYMBOLS]
        assert left == []


def test_pages_are_current() -> None:
    made = recipes.pages()
    here = {path.name: path.read_text() for path in recipes.FOLDER.iterdir()}
    again = "python -m docs.site.recipes"
    assert sorted(here) == sorted(made), again
    assert [name for name, text in made.items() if here[name] != text] == [], again


def test_a_page_has_every_part() -> None:
    text = recipes.pages()["l1-sparse.md"]
    assert "| `alpha` | `0.0001` | weight of the penalty at first | ≥ 0 | 1e-05 to 0.01 |" in text
    assert "cifar10, resnet18; AMUN (arXiv 2503.00917), Table 1:" in text
    assert "| l1-sparse | 10 %, full access | 94.29 ±0.34 |" in text
    assert "multiplies alpha by 2 - 2t/T" in text
    assert "- l1-sparse: **different from retraining**; its FT AUC is +" in text
    assert r"\gamma_t = \alpha \left(1 - \frac{t}{T}\right)" in text


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\gamma_t = \alpha \left(1 - \frac{t}{T}\right)", "γ_t = α (1 - t / T)"),
        (r"f_{\theta_{i-1}}(x + \delta_x) \ne \hat{y}", "f_(θ_(i-1))(x + δ_x) ≠ ŷ"),
        (r"\{x \in D : \lVert\theta_o\rVert_2\}", "{x ∈ D : ‖θₒ‖₂}"),
        (r"\mathrm{KL}(p \| q), \quad \sqrt{a + b}^{n-1}", "KL(p ‖ q),    √(a + b)^(n-1)"),
        (r"\min_\theta \unheard", "min_θ unheard"),
    ],
)
def test_plain_equations(latex: str, text: str) -> None:
    assert equation.plain(latex) == [text]


def test_param_keeps_search_and_source() -> None:
    field = param(1.0, help="a", search=(0.1, 1), source="paper")
    assert catalogue.extra(field) == {"search": [0.1, 1], "source": "paper"}
    assert catalogue.extra(param(1.0, help="a")) == {}


def test_the_command_line_tells_equation_and_sources(inside: Cli) -> None:
    told = inside("methods", "l1-sparse").out
    assert "min_θ L(θ; D_R) + γ_t ‖θ‖₁" in told and "from: authors' README" in told
