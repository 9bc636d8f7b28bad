"""The table of how far methods are from derivations and ports of them."""

from __future__ import annotations

from xml.etree import ElementTree

import pandas as pd

from docs.builder import parity
from tests.ports import PORTS
from unlearnbench import registry


def test_every_method_is_at_rounding_from_derivation_and_port() -> None:
    shipped = [name for name, one in registry.find("methods").items() if one.entry is None]
    assert {port.method for port in PORTS} == {*shipped}, "write a port in tests/ports"
    table, again = pd.read_csv(parity.PATH, index_col="method"), "python -m docs.builder --parity"
    assert [*table.index] == sorted(shipped), again
    assert [*table.columns] == [*parity.KINDS], again
    assert ((table >= 0) & (table < parity.LIMIT)).all(axis=None), table


def test_the_largest_difference_of_each_kind_is_kept() -> None:
    notes = [
        (parity.noted("ft", "port"), "2e-7"),
        (parity.noted("ft", "port"), "3e-7"),
        (parity.noted("ft", "port"), "0.0"),
        (parity.noted("amun", "derivation"), "1e-6"),
        ("something else", "1"),
    ]
    properties = [ElementTree.Element("property", name=n, value=v) for n, v in notes]
    found = parity.collected(properties)
    assert [*found.index] == ["amun", "ft"]
    assert found.loc["ft", "port"] == 3e-7 and found.loc["amun", "derivation"] == 1e-6
    assert found.isna().sum().sum() == 2, "what was not compared is not at 0"
