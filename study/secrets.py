"""Addresses without the secrets that they may hold: those go into no record, tag, log or message."""

import re
from urllib.parse import urlsplit

_USER_PART = re.compile(r"//\S*@")
_SECRET_OPTION = re.compile(
    r"([?&](?!passfile|sslkey=)[^=&\s]*(?:pass|pwd|token|secret|key)[^=&\s]*=)[^&\s]+", re.IGNORECASE
)


def holds_secret(address: str) -> bool:
    """Whether an address has a password, a token in place of a server's user, or a secret option."""
    try:
        parts = urlsplit(address)
    except ValueError:
        # No address, so that nothing says where a password would be.
        return without_secrets(address) != address
    has_token = parts.scheme in ("http", "https") and parts.username
    return bool(parts.password or has_token or _SECRET_OPTION.search(address))


def without_secrets(text: str) -> str:
    """A text that may hold addresses, without the users, passwords and tokens in them."""
    return _SECRET_OPTION.sub(r"\1***", _USER_PART.sub("//***@", text))
