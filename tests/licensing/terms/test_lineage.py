"""What licenses of ancestors say together about a sale."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.cards.licenses import LICENSES
from licensing.terms.lineage import AncestorLicense, judge, words
from licensing.terms.sale_rules import CARD_NAMES, SALE_RULES, Duty, Obligation, Sale
from licensing.terms.well_known import WELL_KNOWN, well_known

STRICTEST = (Sale.FORBIDDEN, Sale.UNKNOWN, Sale.CONDITIONAL, Sale.ALLOWED)
ANCESTORS = st.lists(
    st.builds(
        AncestorLicense,
        st.sampled_from(["a/x", "b/y", "c/z"]),
        st.lists(st.sampled_from([*SALE_RULES, "weird"]), max_size=3).map(tuple),
        st.integers(0, 4),
        is_own=st.booleans(),
    ),
    max_size=6,
)


def base(*licenses: str, name: str = "a/base", distance: int = 1, is_own: bool = False):
    """One ancestor."""
    return AncestorLicense(name, licenses, distance, is_own=is_own)


def test_every_license_of_cards_has_a_rule() -> None:
    assert set(LICENSES) <= set(SALE_RULES)
    assert set(SALE_RULES) - set(LICENSES) == {
        *("deepseek", "llama1", "mnpl", "modified-mit", "mrl", "opt", "qwen", "qwen-research"),
        "tongyi-qianwen",
    }
    assert set(CARD_NAMES.values()) == set(SALE_RULES) - set(LICENSES)


@pytest.mark.parametrize("rule", SALE_RULES.values(), ids=lambda rule: rule.license_id)
def test_rules_agree_with_the_general_rights(rule) -> None:
    known = LICENSES.get(rule.license_id)
    duties = {item.duty for item in rule.obligations}

    assert rule.source_url.startswith("https://")
    assert str(rule.sentence).endswith(".")
    assert rule.sale is not Sale.CONDITIONAL or duties
    assert rule.sale is not Sale.FORBIDDEN or not duties
    if known is None:
        assert rule.is_makers_own
        return
    assert rule.name == known.name
    if known.commercial_use == "no" or known.derivatives == "no":
        assert rule.sale is Sale.FORBIDDEN
    if known.commercial_use == "unknown":
        assert rule.sale is Sale.UNKNOWN
    if rule.sale is not Sale.FORBIDDEN:
        assert (Duty.SAME_LICENSE in duties) == known.share_alike
    if rule.sale is Sale.ALLOWED:
        assert bool(duties) == known.credit


def test_the_source_of_creative_commons_is_its_own_text() -> None:
    assert SALE_RULES["cc-by-nc-sa-4.0"].source_url == (
        "https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode"
    )
    assert SALE_RULES["apache-2.0"].source_url == "https://spdx.org/licenses/Apache-2.0.html"


def test_nothing_upstream_stands_in_the_way() -> None:
    verdict = judge([])

    assert (verdict.sale, verdict.reasons, verdict.obligations) == (Sale.ALLOWED, (), ())
    assert verdict.permits(confirmed=False)
    assert verdict.fits("store-commercial")


def test_a_permissive_base_may_be_sold_with_its_notice() -> None:
    verdict = judge([base("mit")])

    assert verdict.sale is Sale.ALLOWED
    assert [words(item) for item in verdict.obligations] == [
        "Keep the notices of the base in what you sell."
    ]


def test_what_is_forbidden_cannot_be_confirmed_away() -> None:
    verdict = judge([base("mit"), base("cc-by-nc-4.0", name="b/far", distance=7)])

    assert verdict.sale is Sale.FORBIDDEN
    assert not verdict.permits(confirmed=True)
    assert not verdict.needs_confirmation
    first = verdict.reasons[0]
    assert (first.ancestor, first.distance, first.license_id) == ("b/far", 7, "cc-by-nc-4.0")
    assert (first.license_name, first.sale) == ("CC BY-NC 4.0", Sale.FORBIDDEN)
    assert first.sentence == "Not for commercial use: what is derived may not be sold."


@pytest.mark.parametrize(
    ("licenses", "license_id", "sentence"),
    [
        ((), "", "No license is known: ask its author, or read what came with it."),
        (("other",), "other", "It does not say which license: ask the author."),
        (
            ("secret-1.0",),
            "secret-1.0",
            "The store does not know this license: read its text before you sell.",
        ),
    ],
)
def test_what_nobody_knows_has_to_be_confirmed(licenses, license_id, sentence) -> None:
    verdict = judge([base(*licenses)])

    assert verdict.sale is Sale.UNKNOWN
    assert not verdict.permits(confirmed=False)
    assert verdict.permits(confirmed=True)
    assert (verdict.reasons[0].license_id, verdict.reasons[0].sentence) == (license_id, sentence)


def test_a_lineage_that_is_too_long_is_unknown() -> None:
    verdict = judge([base("mit")], is_complete=False)

    assert verdict.sale is Sale.UNKNOWN
    assert not verdict.is_complete
    assert judge([base("opt")], is_complete=False).sale is Sale.FORBIDDEN


def test_llama_demands_its_name() -> None:
    verdict = judge([base("llama3.1")])

    assert verdict.sale is Sale.CONDITIONAL
    assert verdict.permits(confirmed=False)
    assert [words(item) for item in verdict.obligations] == [
        "Give each buyer a copy of the base's license.",
        "Keep the notices of the base in what you sell.",
        "Put the base's forbidden uses into the buyer's terms.",
        "With more than 700,000,000 monthly users, ask the base's maker for a license first.",
        "Begin the model's name with “Llama”.",
        "Show the words “Built with Llama” where it is offered.",
    ]


def test_share_alike_binds_the_terms_of_the_offer() -> None:
    verdict = judge([base("gpl-3.0"), base("mit")])

    assert verdict.sale is Sale.CONDITIONAL
    assert verdict.same_licenses == ("gpl-3.0",)
    assert verdict.fits("gpl-3.0")
    assert not verdict.fits("gpl-2.0")
    assert not verdict.fits("store-commercial")
    assert not verdict.fits("own")
    assert words(Obligation(Duty.SAME_LICENSE, "gpl-3.0")) == (
        "Sell it under the same license: GNU GPL 3.0."
    )


def test_a_license_without_a_version_takes_each() -> None:
    verdict = judge([base("gpl")])

    assert verdict.fits("gpl-3.0")
    assert not verdict.fits("gplx")


@pytest.mark.parametrize(
    "licenses", [("gpl-3.0", "cc-by-sa-4.0"), ("gpl-3.0", "gemma"), ("cc-by-sa-4.0", "llama2")]
)
def test_licenses_that_clash_have_to_be_confirmed(licenses) -> None:
    verdict = judge([base(item, name=item) for item in licenses])

    assert verdict.has_clash
    assert verdict.sale is Sale.UNKNOWN
    assert verdict.fits(licenses[0])


def test_one_share_alike_license_twice_is_no_clash() -> None:
    assert not judge([base("gpl-3.0"), base("gpl-3.0", name="b/y")]).has_clash
    assert not judge([base("gemma"), base("llama3")]).has_clash


def test_owners_are_not_bound_by_their_own_license() -> None:
    for item in ("cc-by-nc-4.0", "gpl-3.0", "mit"):
        verdict = judge([base(item, is_own=True)])
        assert (verdict.sale, verdict.obligations) == (Sale.ALLOWED, ())
        assert verdict.reasons[0].sentence == "Your own model: its license binds others, not you."


def test_owners_are_bound_by_the_license_of_another_maker() -> None:
    assert judge([base("llama3", is_own=True)]).sale is Sale.CONDITIONAL
    assert judge([base("llama3", is_own=True)]).obligations == SALE_RULES["llama3"].obligations
    assert judge([base("opt", is_own=True)]).sale is Sale.UNKNOWN
    assert judge([base("other", is_own=True)]).sale is Sale.UNKNOWN
    assert judge([base(is_own=True)]).sale is Sale.UNKNOWN


@given(ANCESTORS)
def test_the_strictest_counts_and_no_ancestor_makes_it_milder(ancestors) -> None:
    verdict = judge(ancestors)
    order = [STRICTEST.index(reason.sale) for reason in verdict.reasons]

    assert order == sorted(order)
    assert judge(ancestors[::-1]).sale is verdict.sale
    assert all(
        STRICTEST.index(verdict.sale) <= STRICTEST.index(judge([one]).sale) for one in ancestors
    )
    assert verdict.permits(confirmed=True) == (verdict.sale is not Sale.FORBIDDEN)
    assert not verdict.permits(confirmed=False) or verdict.permits(confirmed=True)
    assert len(set(verdict.obligations)) == len(verdict.obligations)


@given(ANCESTORS)
def test_every_obligation_can_be_told(ancestors) -> None:
    told = [words(item) for item in judge(ancestors).obligations]

    assert all(text.endswith(".") and "%(" not in text for text in told)


def test_known_families_have_known_licenses_and_one_row_each() -> None:
    assert len({row.prefix for row in WELL_KNOWN}) == len(WELL_KNOWN)
    for row in WELL_KNOWN:
        assert row.license_id in SALE_RULES
        assert row.prefix == row.prefix.lower()
        assert row.source_url.count("/") == 4
        assert well_known(row.prefix) == row


@pytest.mark.parametrize(
    ("name", "license_id"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "llama3.1"),
        ("meta-llama/Meta-Llama-3.1-8B", "llama3.1"),
        ("meta-llama/Meta-Llama-3-8B", "llama3"),
        (" Meta-Llama/LLAMA-2-7b-hf ", "llama2"),
        ("google/gemma-2b-it", "gemma"),
        ("google/gemma-2-9b", "gemma"),
        ("google/gemma-4-E2B-it", "apache-2.0"),
        ("Qwen/Qwen2.5-7B-Instruct", "apache-2.0"),
        ("Qwen/Qwen2.5-3B-Instruct", "qwen-research"),
        ("Qwen/Qwen2.5-72B", "qwen"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "llama3.1"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "mit"),
        ("openai-community/gpt2-medium", "mit"),
        ("gpt2", "mit"),
        ("bigscience/bloomz-560m", "bigscience-bloom-rail-1.0"),
        ("facebook/opt-125m", "opt"),
    ],
)
def test_names_everybody_knows(name, license_id) -> None:
    found = well_known(name)
    assert found is not None
    assert found.license_id == license_id


@pytest.mark.parametrize(
    "name",
    ["", "gpt2-mine", "gpt2/x", "alice/gpt2", "meta-llama", "Qwen/Qwen9", "xmeta-llama/llama-2-7b"],
)
def test_other_names_are_not_known(name) -> None:
    assert well_known(name) is None
