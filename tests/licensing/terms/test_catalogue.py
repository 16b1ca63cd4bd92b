"""The terms that come with the store. A text that changes must change its version."""

from pathlib import Path

import pytest

from catalog.cards.licenses import LICENSES
from licensing.terms.catalogue import (
    TEXTS,
    Kind,
    UnknownTermsError,
    own_terms,
    shipped_terms,
    terms_for,
)
from licensing.terms.rights import Allowed, Rights
from licensing.terms.sale_rules import SALE_RULES, Duty, Sale
from licensing.terms.text import BadTermsError, blanks, normalize_terms, terms_sha256

PINNED = {
    "store-research": ("1", "40b54ede0a4a3a4134d4f5de4bf6e4754b36a06034863ce1012db70963b02387"),
    "store-commercial": ("1", "bab36b73a1ad5102cf0dc06b6f11427a63ed698f827405df8e86db36335d6447"),
    "store-hosted": ("1", "cbc2709d6c62981ebe07924084f5a65c6fbc2a7d381ff331ecaaeab5158438df"),
    "store-enterprise": ("1", "9d3a9e240b8f3678cea80fe1502144f00e4d65e64b29bfce4105447c0def1c0c"),
    "store-evaluation": ("1", "1aac8f663ad88c01e180ee9a0377ace1b74b7a374463a1d25a229483032f0c9d"),
    "mit": ("1", "fbe45e21a20259453b0dae51576deade7593288996ec1054ec485f5f76f28745"),
    "isc": ("1", "9f4242f1ae2653e87fcf2c343bdd3da5145c59c2ce5c85158189de192b4c0d64"),
    "bsd-2-clause": ("1", "01c1a24727e5a5b920469fa7dc4d7a9be7bb5b9eafd0ededb9ee016f8db130cb"),
    "bsd-3-clause": ("1", "3fc579cad931f68a9b92b5329eff3638b3457d6133f5a5059abee36602b7133b"),
    "0bsd": ("1", "ccc5aebcad2174d73f109095d15dcfcddbebddce84161690b0c7710bbeccb040"),
    "unlicense": ("1", "bf604d20426da56de993a922758a8990d7b5d23187da0e85dab4fe0c7bd8c391"),
    "apache-2.0": ("1", "cd4962c687e6771d9bbdce9466e2a3d647bf536ac3c26004d28e7a860cd311cd"),
    "openmdw-1.0": ("1", "9096aac96132759ac20c7e1a9b7ed5f34c4c5f3af8c6afab1c205056a364aa3d"),
    "cc-by-4.0": ("1", "3009fc39d1167f001f2eb434b6d142184fd0f0ad12bb1ca006c7caf716a3efb4"),
    "cc0-1.0": ("1", "8d26dd6771a1e9658d47e3042b0193d52fa5f8d0e37d2879f9ec9f7409ca9998"),
    "cdla-permissive-2.0": (
        "1",
        "f44ae4e8a5ee43bb5f3e2411cc8c81c1209cb4098897bfbcfe24a5d95d7d4170",
    ),
    "cc-by-sa-3.0": ("1", "d5680d55b10715ec899fd3e464dc090547ff810f62591efa6f8a89958d4c9cdb"),
    "cc-by-sa-4.0": ("1", "427ad329596b598ced95d9d9c5ae95be45247870d07fe157a8e5319b534cfe7e"),
    "mpl-2.0": ("1", "a6208ffb1534a3c330bedd558dae87d94f9639109c5f9739850f2382df2589e3"),
    "lgpl-2.1": ("1", "7ff2d550d6744c3ec86476bfd81b3d3d2ea5cd7c32bbf6238d2fda4404d5b434"),
    "lgpl-3.0": ("1", "095d1817e391954b9792ca254e758c96495cd1924ed514ba490408f006445c1a"),
    "gpl-2.0": ("1", "d6840e95e31b16180b6b8073ac1ba0234f884afeb18b3b5613bf254da01b8a02"),
    "gpl-3.0": ("1", "ceb50c87547c17ad9cc326b4d2b96c873430f91e84afd030f059b085f713e938"),
    "agpl-3.0": ("1", "5355353276475247ef87d05c7e0c60a581ff38819d6210e149b7b344dcfcd931"),
    "epl-2.0": ("1", "3795c0d1db40d1e65544cd53722ec43a7871ca0d3f1abe80988e7addb4f60125"),
    "eupl-1.2": ("1", "6d95da4f9d624c093a5f8d1946a2f6edd29f548ff1fad6925bfcff2991ffb25d"),
    "osl-3.0": ("1", "b7bd910aa8d0d68ee9867ec8e96ca2f8e96faa6d2ec73d83ac068388d45783b3"),
    "odbl": ("1", "43906bdf4046a8be39d4f1e47755a0f71bc218db81c3c0886a7147d3c8bb7d85"),
    "bigscience-openrail-m": (
        "1",
        "8032554101ecd40ffa0c3f22ca8a866bc9a04b782f54bafbddf9755317bc97aa",
    ),
    "creativeml-openrail-m": (
        "1",
        "c8c51fdf5486bf83168f875e441bd01b7a19bed3b266e28f7f0bb5041e56e2e2",
    ),
    "bigcode-openrail-m": ("1", "f62067f7740b3d2252d3dfa702b88ee5deff7f006e23c41b97efcaf4250ea9a0"),
    "openrail++": ("1", "68d370517c2168e704dbce1a45bf40f60cd6b519651256766e0738bbdb64c899"),
}
"""Version and hash of each. Orders name these hashes: after a change of a text, give it the next
version in ``catalogue._VERSIONS`` and write both here."""
VALUES = {
    "licensee": "Acme GmbH",
    "licensor": "alice",
    "model": "alice/tiny",
    "seats": "5",
    "term": "12 months",
    "year": "2026",
}


def test_no_shipped_text_changes_unnoticed() -> None:
    assert {one.id: (one.version, one.sha256) for one in shipped_terms().values()} == PINNED


@pytest.mark.parametrize("terms", shipped_terms().values(), ids=lambda one: one.id)
def test_shipped_terms_are_whole(terms) -> None:
    filled = terms.fill(VALUES)

    assert terms.text == normalize_terms(terms.text)
    assert terms.sha256 == terms_sha256(terms.text)
    assert str(terms.title)
    assert blanks(filled) == []
    assert "{" not in filled
    assert max(map(len, terms.text.splitlines())) <= 100
    assert terms.source_url.startswith("https://") == (terms.kind is not Kind.TEMPLATE)


@pytest.mark.parametrize(
    "terms",
    [one for one in shipped_terms().values() if one.kind is Kind.TEMPLATE],
    ids=lambda one: one.id,
)
def test_our_own_templates_are_short_and_name_both_sides(terms) -> None:
    assert 18 <= len(terms.text.splitlines()) <= 35
    assert set(blanks(terms.text)) == {"licensee", "licensor", "model", "seats", "term"}


def test_our_own_templates_differ_in_what_they_allow() -> None:
    ours = {
        one.id: (one.rights.commercial_use, one.rights.derivatives, one.rights.hosted_service)
        for one in shipped_terms().values()
        if one.kind is Kind.TEMPLATE
    }

    yes, no = Allowed.YES, Allowed.NO
    assert ours == {
        "store-research": (no, yes, no),
        "store-commercial": (yes, yes, no),
        "store-hosted": (yes, yes, yes),
        "store-enterprise": (yes, yes, yes),
        "store-evaluation": (no, no, no),
    }
    assert all(terms_for(item).rights.redistribution in {no, Allowed.CONDITIONAL} for item in ours)


@pytest.mark.parametrize(
    "terms",
    [one for one in shipped_terms().values() if one.id in LICENSES],
    ids=lambda one: one.id,
)
def test_rights_of_licenses_are_those_of_cards_and_let_copies_be_sold(terms) -> None:
    known = LICENSES[terms.id]

    assert (terms.rights.commercial_use, terms.rights.derivatives, terms.rights.redistribution) == (
        known.commercial_use,
        known.derivatives,
        known.redistribution,
    )
    assert (terms.rights.credit, terms.rights.share_alike) == (known.credit, known.share_alike)
    assert SALE_RULES[terms.id].sale in {Sale.ALLOWED, Sale.CONDITIONAL}
    assert terms.source_url == SALE_RULES[terms.id].source_url


def test_long_licenses_name_their_text() -> None:
    for item in ("apache-2.0", "gpl-3.0", "bigcode-openrail-m"):
        terms = terms_for(item)
        assert terms.source_url in terms.text
        assert LICENSES[item].name in terms.text


def test_terms_with_forbidden_uses_list_them() -> None:
    rails = [one for one in shipped_terms().values() if one.kind is Kind.OPENRAIL]

    assert len(rails) == 4
    for terms in rails:
        assert terms.text.count("\n- ") == 9
        assert Duty.USE_LIMITS in {item.duty for item in SALE_RULES[terms.id].obligations}


def test_every_text_is_used() -> None:
    files = {path.stem for path in Path(TEXTS).iterdir()}

    assert files == {
        *("research", "commercial", "hosted", "enterprise", "evaluation"),
        *("mit", "isc", "bsd-2-clause", "bsd-3-clause", "0bsd", "unlicense"),
        *("reference", "openrail"),
    }


def test_unknown_terms_are_not_found() -> None:
    with pytest.raises(UnknownTermsError):
        terms_for("store-nothing")
    with pytest.raises(UnknownTermsError):
        terms_for("own")


def test_own_words_are_kept_as_they_are() -> None:
    rights = Rights(Allowed.YES)

    terms = own_terms("Pay {licensee} a beer.\r\n", rights)

    assert terms.text == "Pay {licensee} a beer.\n"
    assert terms.fill({}) == terms.text
    assert (terms.id, terms.kind, terms.rights, terms.source_url) == ("own", Kind.OWN, rights, "")
    assert terms.sha256 == terms_sha256("Pay {licensee} a beer.")
    assert terms.version == terms.sha256[:12]
    with pytest.raises(BadTermsError):
        own_terms(" \n", rights)
