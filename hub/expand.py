"""The fields ``expand`` knows (contract 4); a client test compares the set."""

from store.core.errors import InvalidError

EXPAND_FIELDS = {
    "author": "",
    "baseModels": "",
    "cardData": "",
    "childrenModelCount": "children",
    "config": "config",
    "createdAt": "",
    "disabled": "",
    "downloads": "",
    "downloadsAllTime": "",
    "evalResults": "",
    "gated": "",
    "gguf": "gguf",
    "inference": "",
    "inferenceProviderMapping": "",
    "lastModified": "",
    "library_name": "",
    "likes": "",
    "mask_token": "",
    "model-index": "",
    "pipeline_tag": "",
    "private": "",
    "resourceGroup": "",
    "safetensors": "safetensors",
    "sha": "",
    "siblings": "siblings",
    "spaces": "",
    "tags": "",
    "transformersInfo": "transformers_info",
    "trendingScore": "",
    "usedStorage": "",
    "widgetData": "",
}
"""Field → method of ``ModelDescription`` without its underscore; empty: a plain value."""

_TOLERATED = {"gitalyUid", "xetEnabled"}


def check_expand(fields: list[str]) -> list[str]:
    """Return the fields that mean something here.

    Raises:
        InvalidError: an unknown one, in the words a client test parses.
    """
    for index, field in enumerate(fields):
        if field not in EXPAND_FIELDS and field not in _TOLERATED:
            known = "|".join(f'"{name}"' for name in sorted(EXPAND_FIELDS))
            raise InvalidError(f"Invalid option: expected one of {known}\n  -> at expand[{index}]")
    return [field for field in fields if field in EXPAND_FIELDS]
