"""Whether what is derived from a model may be sold, license by license.

General rights are in ``catalog.cards.licenses``; here stands only what is about selling a model
that was made from one under that license. A summary for orientation, not legal advice: each row
names its source, and what nobody here judged is ``unknown``. Read in 2026.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext_lazy as _

from catalog.cards.licenses import LICENSES


class Sale(StrEnum):
    """May what is derived be sold?"""

    ALLOWED = "allowed"
    CONDITIONAL = "conditional"
    """Yes, with obligations that reach further than keeping a notice."""
    UNKNOWN = "unknown"
    """Nobody here judged it; the publisher has to."""
    FORBIDDEN = "forbidden"


class Duty(StrEnum):
    """What a seller of something derived has to do."""

    KEEP_NOTICE = "keep_notice"
    GIVE_LICENSE = "give_license"
    CREDIT = "credit"
    STATE_CHANGES = "state_changes"
    SAME_LICENSE = "same_license"
    OFFER_SOURCE = "offer_source"
    USE_LIMITS = "use_limits"
    NAME_BASE = "name_base"
    SHOW_WORDS = "show_words"
    MOST_USERS = "most_users"
    NO_RIVAL_TRAINING = "no_rival_training"


@dataclass(frozen=True, slots=True)
class Obligation:
    """A duty with what it is about.

    ``value`` is a license id (same license), words to show or to begin the name with, a number
    of monthly users, or empty.
    """

    duty: Duty
    value: str | int = ""


@dataclass(frozen=True, slots=True)
class SaleRule:
    """What one license says about selling what is derived."""

    license_id: str
    name: str
    sale: Sale
    obligations: tuple[Obligation, ...]
    sentence: Any
    """One plain line, translated when shown."""
    source_url: str
    is_makers_own: bool = False
    """Terms of one maker for their own models: whoever names them does not own the base."""


_PERMISSIVE = _("What is derived may be sold; keep the notices.")
_CREDIT = _("What is derived may be sold; name the author and say what was changed.")
_PUBLIC = _("No conditions: what is derived may be sold.")
_RENAME = _("A changed version may be sold if it says what was changed and is told apart by name.")
_COMPUTE = _("May be handed on for computation only, and under the same terms.")
_COPYLEFT = _(
    "Copies may be sold, but under the same license, so every buyer may use, change and hand them"
    " on."
)
_BUNDLED = _("May be sold as a part of something larger only, never by itself.")
_NC = _("Not for commercial use: what is derived may not be sold.")
_ND = _("Changed versions may not be handed on, so nothing derived may be sold.")
_RESEARCH = _("For research only: what is derived may not be sold.")
_RAIL = _("What is derived may be sold, with the list of forbidden uses in the buyer's terms.")
_LLAMA_2 = _(
    "May be sold with a copy of the license, its notice and its use policy; makers with more than"
    " 700 million monthly users need a license of Meta."
)
_LLAMA = _(
    "May be sold with a copy of the license and its use policy, under a name that begins as the"
    " license says, with its words shown; above 700 million monthly users Meta must agree."
)
_GEMMA = _(
    "May be sold with a copy of the terms, their notice, and the forbidden uses in the buyer's"
    " terms; changed files must say so."
)
_SAMPLE = _("What is derived may be sold with the notice, and without Apple's name in its praise.")
_QWEN = _(
    "May be sold with a copy of the license, its notice and its words shown; above 100 million"
    " monthly users Alibaba Cloud must agree."
)
_QWEN_OLD = _(
    "May be sold with a copy of the license and its notice; above 100 million monthly users"
    " Alibaba Cloud must agree."
)
_KIMI = _("As MIT; very large products must show the base's name.")
_UNJUDGED = _("Nobody here has judged this license: read its text before you sell.")
_UNNAMED = _("It does not say which license: ask the author.")

_SPDX = (
    "AFL-3.0 Apache-2.0 Artistic-2.0 BSL-1.0 BSD-2-Clause BSD-3-Clause BSD-3-Clause-Clear"
    " CDLA-Permissive-1.0 CDLA-Permissive-2.0 CDLA-Sharing-1.0 ECL-2.0 EPL-1.0 EPL-2.0 etalab-2.0"
    " EUPL-1.1 EUPL-1.2 ISC LPPL-1.3c MIT MPL-2.0 MS-PL NCSA OFL-1.1 OSL-3.0 PostgreSQL Unlicense"
    " WTFPL Zlib"
)
_HF = "https://huggingface.co/"
_LIST = _HF + "docs/hub/repositories-licenses"
_GNU = "https://www.gnu.org/licenses/"
_META = "https://github.com/meta-llama/llama-models/blob/main/models/"
_URLS = {item.lower(): f"https://spdx.org/licenses/{item}.html" for item in _SPDX.split()} | {
    "agpl-3.0": _GNU + "agpl-3.0.html",
    "apple-amlr": _LIST,
    "apple-ascl": "https://developer.apple.com/support/downloads/terms/apple-sample-code/Apple-Sample-Code-License.pdf",
    "bigcode-openrail-m": _HF + "spaces/bigcode/bigcode-model-license-agreement",
    "bigscience-bloom-rail-1.0": _HF + "spaces/bigscience/license",
    "bigscience-openrail-m": "https://www.licenses.ai/blog/2022/8/26/bigscience-open-rail-m-license",
    "bsd": "https://opensource.org/license/bsd-3-clause",
    "c-uda": "https://spdx.org/licenses/C-UDA-1.0.html",
    "cc": "https://creativecommons.org/licenses/",
    "cc0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/legalcode",
    "creativeml-openrail-m": _HF + "spaces/CompVis/stable-diffusion-license",
    "deepfloyd-if-license": _HF + "spaces/DeepFloyd/deepfloyd-if-license",
    "deepseek": "https://github.com/deepseek-ai/DeepSeek-LLM/blob/main/LICENSE-MODEL",
    "fair-noncommercial-research-license": _HF + "facebook/fair-noncommercial-research-license",
    "gemma": "https://ai.google.dev/gemma/terms",
    "gfdl": _GNU + "fdl-1.3.html",
    "gpl": _GNU + "licenses.html#GPL",
    "gpl-2.0": _GNU + "old-licenses/gpl-2.0.html",
    "gpl-3.0": _GNU + "gpl-3.0.html",
    "grok2-community": _HF + "xai-org/grok-2/blob/main/LICENSE",
    "h-research": _LIST,
    "intel-research": _LIST,
    "lgpl": _GNU + "licenses.html#LGPL",
    "lgpl-2.1": _GNU + "old-licenses/lgpl-2.1.html",
    "lgpl-3.0": _GNU + "lgpl-3.0.html",
    "lgpl-lr": "https://spdx.org/licenses/LGPLLR.html",
    "llama1": "https://github.com/meta-llama/llama/blob/llama_v1/MODEL_CARD.md",
    "llama2": _META + "llama2/LICENSE",
    "llama3": _META + "llama3/LICENSE",
    "llama3.1": _META + "llama3_1/LICENSE",
    "llama3.2": _META + "llama3_2/LICENSE",
    "llama3.3": _META + "llama3_3/LICENSE",
    "llama4": _META + "llama4/LICENSE",
    "mnpl": "https://mistral.ai/licenses/MNPL-0.1.md",
    "modified-mit": _HF + "moonshotai/Kimi-K2-Instruct/blob/main/LICENSE",
    "mrl": "https://mistral.ai/licenses/MRL-0.1.md",
    "odbl": "https://opendatacommons.org/licenses/odbl/1-0/",
    "odc-by": "https://opendatacommons.org/licenses/by/1-0/",
    "openmdw-1.0": "https://openmdw.ai/license/",
    "openrail": "https://www.licenses.ai/",
    "openrail++": _HF + "stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md",
    "opt": "https://github.com/facebookresearch/metaseq/blob/main/projects/OPT/MODEL_LICENSE.md",
    "other": _LIST,
    "pddl": "https://opendatacommons.org/licenses/pddl/1-0/",
    "qwen": _HF + "Qwen/Qwen2.5-72B-Instruct/blob/main/LICENSE",
    "qwen-research": _HF + "Qwen/Qwen2.5-3B-Instruct/blob/main/LICENSE",
    "tongyi-qianwen": "https://github.com/QwenLM/Qwen/blob/main/Tongyi%20Qianwen%20LICENSE%20AGREEMENT",
    "unknown": _LIST,
}

_EXTRA_NAMES = {
    "deepseek": "DeepSeek License Agreement 1.0",
    "llama1": "LLaMA 1 research license",
    "mnpl": "Mistral AI Non-Production License",
    "modified-mit": "Modified MIT (Kimi K2)",
    "mrl": "Mistral AI Research License",
    "opt": "OPT-175B License Agreement",
    "qwen": "Qwen License Agreement",
    "qwen-research": "Qwen Research License",
    "tongyi-qianwen": "Tongyi Qianwen License Agreement",
}
"""Licenses the hub files under ``other``; the ids are those of ``license_name`` on cards."""

CARD_NAMES = {item: item for item in _EXTRA_NAMES} | {
    "deepseek-license": "deepseek",
    "mistral-ai-research-license": "mrl",
    "mistral-research-license": "mrl",
    "kimi-k2": "modified-mit",
    "tongyi-qianwen-license-agreement": "tongyi-qianwen",
}
"""What ``license_name`` says on a card whose license is ``other``, and the id it means here."""


def _url(item: str) -> str:
    """Return where the license's text is; Creative Commons has a pattern."""
    if item in _URLS:
        return _URLS[item]
    _cc, *terms, version = item.split("-")
    return f"https://creativecommons.org/licenses/{'-'.join(terms)}/{version}/legalcode"


def _table() -> dict[str, SaleRule]:
    rows: dict[str, SaleRule] = {}

    def add(
        ids: str,
        sale: Sale,
        sentence: Any,
        *duties: Duty | Obligation,
        is_makers_own: bool = False,
    ) -> None:
        for item in ids.split():
            obligations = tuple(_obligation(duty, item) for duty in duties)
            name = _EXTRA_NAMES[item] if item in _EXTRA_NAMES else LICENSES[item].name
            rows[item] = SaleRule(
                item, name, sale, obligations, sentence, _url(item), is_makers_own
            )

    _add_open(add)
    _add_closed(add)
    _add_makers(add)
    return rows


def _obligation(duty: Duty | Obligation, license_id: str) -> Obligation:
    if isinstance(duty, Obligation):
        return duty
    return Obligation(duty, license_id if duty is Duty.SAME_LICENSE else "")


def _add_open(add: Any) -> None:
    """Add what was made to be shared: by families, as general licenses."""
    add(
        "mit afl-3.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear isc ncsa ms-pl"
        " postgresql zlib openmdw-1.0 cdla-permissive-1.0 cdla-permissive-2.0",
        Sale.ALLOWED,
        _PERMISSIVE,
        Duty.KEEP_NOTICE,
    )
    add("apache-2.0 ecl-2.0", Sale.ALLOWED, _PERMISSIVE, Duty.KEEP_NOTICE, Duty.STATE_CHANGES)
    cc_by = "cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0"
    add(f"{cc_by} odc-by etalab-2.0", Sale.ALLOWED, _CREDIT, Duty.CREDIT, Duty.STATE_CHANGES)
    add("cc0-1.0 wtfpl unlicense pddl", Sale.ALLOWED, _PUBLIC)
    add("artistic-2.0", Sale.CONDITIONAL, _RENAME, Duty.KEEP_NOTICE, Duty.STATE_CHANGES)
    add("c-uda", Sale.CONDITIONAL, _COMPUTE, Duty.GIVE_LICENSE, Duty.USE_LIMITS)
    same = (Duty.SAME_LICENSE, Duty.KEEP_NOTICE)
    shared_text = "cc-by-sa-3.0 cc-by-sa-4.0 gfdl odbl cdla-sharing-1.0 lppl-1.3c"
    add(shared_text, Sale.CONDITIONAL, _COPYLEFT, *same, Duty.CREDIT, Duty.STATE_CHANGES)
    add(
        "agpl-3.0 gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 lgpl-lr mpl-2.0 epl-1.0 epl-2.0"
        " eupl-1.1 eupl-1.2 osl-3.0",
        Sale.CONDITIONAL,
        _COPYLEFT,
        *same,
        Duty.OFFER_SOURCE,
    )
    add(
        "openrail openrail++ bigscience-openrail-m creativeml-openrail-m"
        " bigscience-bloom-rail-1.0 bigcode-openrail-m",
        Sale.CONDITIONAL,
        _RAIL,
        Duty.GIVE_LICENSE,
        Duty.KEEP_NOTICE,
        Duty.STATE_CHANGES,
        Duty.USE_LIMITS,
    )


def _add_closed(add: Any) -> None:
    """Add what may not be sold, and what nobody judged."""
    add("ofl-1.1", Sale.FORBIDDEN, _BUNDLED)
    add("cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0", Sale.FORBIDDEN, _NC)
    add("cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0", Sale.FORBIDDEN, _NC)
    add("cc-by-nc-nd-3.0 cc-by-nc-nd-4.0", Sale.FORBIDDEN, _NC)
    add("cc-by-nd-4.0", Sale.FORBIDDEN, _ND)
    research = "h-research intel-research fair-noncommercial-research-license apple-amlr"
    own = f"{research} deepfloyd-if-license llama1 opt mrl mnpl qwen-research"
    add(own, Sale.FORBIDDEN, _RESEARCH, is_makers_own=True)
    add("grok2-community", Sale.UNKNOWN, _UNJUDGED, is_makers_own=True)
    add("cc unknown other", Sale.UNKNOWN, _UNNAMED)


def _add_makers(add: Any) -> None:
    """Add what makers of models allow under their own terms."""
    given = (Duty.GIVE_LICENSE, Duty.KEEP_NOTICE)
    meta = (*given, Duty.USE_LIMITS, Obligation(Duty.MOST_USERS, 700_000_000))
    no_rivals = Obligation(Duty.NO_RIVAL_TRAINING, "Llama")
    add("llama2", Sale.CONDITIONAL, _LLAMA_2, *meta, no_rivals, is_makers_own=True)
    named = (
        Obligation(Duty.NAME_BASE, "Llama 3"),
        Obligation(Duty.SHOW_WORDS, "Built with Meta Llama 3"),
    )
    add("llama3", Sale.CONDITIONAL, _LLAMA, *meta, *named, no_rivals, is_makers_own=True)
    named = (Obligation(Duty.NAME_BASE, "Llama"), Obligation(Duty.SHOW_WORDS, "Built with Llama"))
    later = "llama3.1 llama3.2 llama3.3 llama4"
    add(later, Sale.CONDITIONAL, _LLAMA, *meta, *named, is_makers_own=True)
    limited = (*given, Duty.STATE_CHANGES, Duty.USE_LIMITS)
    add("gemma", Sale.CONDITIONAL, _GEMMA, *limited, is_makers_own=True)
    add("deepseek", Sale.CONDITIONAL, _RAIL, *limited, is_makers_own=True)
    add("apple-ascl", Sale.CONDITIONAL, _SAMPLE, Duty.KEEP_NOTICE, is_makers_own=True)
    alibaba = (*given, Duty.STATE_CHANGES, Obligation(Duty.MOST_USERS, 100_000_000))
    shown = Obligation(Duty.SHOW_WORDS, "Built with Qwen")
    add("qwen", Sale.CONDITIONAL, _QWEN, *alibaba, shown, is_makers_own=True)
    rivals = Obligation(Duty.NO_RIVAL_TRAINING, "Qwen")
    add("tongyi-qianwen", Sale.CONDITIONAL, _QWEN_OLD, *alibaba, rivals, is_makers_own=True)
    add("modified-mit", Sale.CONDITIONAL, _KIMI, Duty.KEEP_NOTICE, is_makers_own=True)


SALE_RULES: dict[str, SaleRule] = _table()
"""Every license id the hub accepts, and some that it files under ``other``."""
