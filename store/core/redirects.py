"""Where a form may send its reader next: a page of this site, nowhere else."""

import re
from urllib.parse import urlsplit

from django.http import HttpRequest

_NEVER = re.compile(r"[\x00-\x20\x7f-\xa0\\]")
"""Browsers drop some of these and read others as slashes, so ``/\\t/evil`` leaves the site."""


def own_path(target: str, *, otherwise: str = "/") -> str:
    """Return ``target`` if it is an absolute path of this site, else ``otherwise``."""
    if not target.startswith("/") or target.startswith("//") or _NEVER.search(target):
        return otherwise
    try:
        parts = urlsplit(target)
    except ValueError:
        return otherwise
    return otherwise if parts.scheme or parts.netloc else target


def next_path(request: HttpRequest, *, otherwise: str = "/") -> str:
    """Return where the request wants to go afterwards (``next``), if that is on this site."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    return own_path(target, otherwise=otherwise)
