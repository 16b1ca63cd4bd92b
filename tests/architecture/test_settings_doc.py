"""Every setting is documented, in the code and for operators."""

from pathlib import Path

import pytest

from store.env import Env

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "docs/configuration.md").read_text()


def outside_name(field: str) -> str:
    """The environment variable of a field."""
    alias = Env.model_fields[field].validation_alias
    return str(alias) if alias else f"STORE_{field.upper()}"


@pytest.mark.parametrize("field", sorted(Env.model_fields))
def test_each_setting_is_documented(field: str) -> None:
    assert Env.model_fields[field].description
    assert f"| `{outside_name(field)}` |" in TABLE


def test_the_table_names_no_setting_that_is_gone() -> None:
    documented = {line.split("`")[1] for line in TABLE.splitlines() if line.startswith("| `")}

    assert documented == {outside_name(field) for field in Env.model_fields}
