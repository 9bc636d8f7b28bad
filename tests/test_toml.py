"""TOML that anyone may have written takes a time that grows with its size alone."""

import pytest

from unlearnbench.files import KEY, TOML, UnsoundError, parsed_toml

MANY = "b." * (KEY + 1) + "b"
TOO_MANY = [
    f"{MANY} = 1",
    f"[{MANY}]",
    f"[[ {MANY.replace('.', ' . ')} ]]",
    f"x = {{a = 1, {MANY} = 2}}",
    MANY.replace("b", '"b"') + " = 1",
    MANY.replace("b", "'b'") + " = 1",
    f'# """\n{MANY} = 1\n# """',
    f"x = {{a = '''a'''', {MANY} = 1}}",
    f'x = """a\\""""\n{MANY} = 1',
    f"x = 'it'\n{MANY} = 1 # it's",
    f'x = "#"\n{MANY} = 1',
]
FINE = [
    f"{'b.' * KEY}b = 1",
    f'x = "{MANY}"',
    f'x = "a\\"{MANY}"',
    f"x = '{MANY}'",
    f'x = """\n{MANY}\n"" {MANY}"""',
    f"x = '''\n{MANY}\n'''",
    f"# {MANY}\nx = 1 # {MANY}",
    f'"{MANY}" = 1',
    f"x = [{'0.5, ' * 100}]",
    "x = [0.5, # a.b\n0.25]",
]


@pytest.mark.parametrize("text", TOO_MANY)
def test_a_key_of_too_many_parts_is_refused_wherever_it_is(text: str) -> None:
    with pytest.raises(UnsoundError, match="has a key of too many parts"):
        parsed_toml(text)


@pytest.mark.parametrize("text", FINE)
def test_other_dots_are_no_parts_of_a_key(text: str) -> None:
    assert len(parsed_toml(text)) == 1


def test_what_is_too_large_or_too_deep_is_refused() -> None:
    assert parsed_toml("#" * TOML) == {}
    with pytest.raises(UnsoundError, match="is larger than 1 MB"):
        parsed_toml("#" * (TOML + 1))
    with pytest.raises(ValueError, match="nested too deep"):
        parsed_toml("x = " + "[" * 5000 + "]" * 5000)
    for torn in ('"""\\' * 50_000, '"\\' * 50_000, "'''" * 50_001, '"""' * 50_000 + "\\"):
        with pytest.raises(ValueError, match="at "):
            parsed_toml(torn)
