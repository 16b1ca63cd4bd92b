"""Somebody at a browser without scripts, who fills in the forms of pages."""

import http.cookiejar
import re
import urllib.parse
import urllib.request
from collections.abc import Mapping

from tests.live import PASSWORD


class Person:
    """A session with a store; a visitor's until they sign in.

    Args:
        url: Where the store is.
    """

    def __init__(self, url: str) -> None:
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._url, self._opener = url, urllib.request.build_opener(jar)

    def sign_in(self, name: str) -> None:
        """Sign in with the password of all people of tests."""
        self.send("/login", {"username": name, "password": PASSWORD})

    def send(self, path: str, form: Mapping[str, str], *, to: str = "") -> str:
        """Fill in the form of the page at ``path``; return the page that comes then.

        Args:
            path: Of the page.
            form: Values by name.
            to: Where the button sends it; empty: to the page itself.
        """
        address = f"{self._url}{path}"
        with self._opener.open(address, timeout=30) as page:
            token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', page.read().decode())
        assert token
        data = urllib.parse.urlencode({**form, "csrfmiddlewaretoken": token[1]}).encode()
        request = urllib.request.Request(f"{self._url}{to or path}", data, {"Referer": address})
        with self._opener.open(request, timeout=30) as answer:
            return str(answer.read().decode())
