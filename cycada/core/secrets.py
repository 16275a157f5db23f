"""Removal of passwords and tokens from addresses in messages and files."""

from __future__ import annotations

import re

HIDDEN = "***"
"""What replaces a secret."""
_USER = re.compile(r"(?<=://)(?:[^\s/?#'\"@]+:[^\s'\"]*|[^\s/?#'\"]*)@")
_WORDS = r"[\w.-]*(?:password|passwd|pwd|token|secret|api_?key|access_?key|credential|signature|auth)[\w.-]*"
_QUERY = re.compile(rf"([?&;#](?:{_WORDS}|key|sig|pass|jwt)=)[^&;#\s'\"]+", re.IGNORECASE)


def redacted(text: str) -> str:
    """Return a text with `***` in place of users, passwords and secret query values in its URLs."""
    return _QUERY.sub(rf"\g<1>{HIDDEN}", _USER.sub(f"{HIDDEN}@", text)) if "://" in text else text
