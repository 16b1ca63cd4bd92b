"""How often somebody may try; shared by all processes."""

from store.core.ratelimit import Window, forget, hit

LOGIN_NAME = Window("login-name", quota=10, window_s=300)
LOGIN_ADDRESS = Window("login-address", quota=30, window_s=300)
LOGIN_ALL = Window("login-all", quota=1000, window_s=300)
SIGNUP_ADDRESS = Window("signup-address", quota=10, window_s=3600)
RESET_NAME = Window("reset-name", quota=5, window_s=86400)
RESET_ADDRESS = Window("reset-address", quota=20, window_s=3600)


def count_login(name: str, address: str) -> None:
    """Count an attempt to log in.

    Raises:
        RateLimitedError: too many for this name, this address or the whole site.
    """
    hit(LOGIN_NAME, name.lower()[:100])
    hit(LOGIN_ADDRESS, address)
    hit(LOGIN_ALL, "all")


def forget_logins(name: str) -> None:
    """A right password clears the count of its name."""
    forget(LOGIN_NAME, name.lower()[:100])


def count_signup(address: str) -> None:
    """Count a new account.

    Raises:
        RateLimitedError: too many from this address.
    """
    hit(SIGNUP_ADDRESS, address)


def count_reset(name: str, address: str) -> None:
    """Count a wish for a new password.

    Raises:
        RateLimitedError: too many for this name or address.
    """
    hit(RESET_NAME, name.lower()[:100])
    hit(RESET_ADDRESS, address)
