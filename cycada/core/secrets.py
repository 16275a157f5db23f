"""Passwords and tokens in addresses stay out of messages and files."""

from __future__ import annotations

import re

HIDDEN = "***"
_USER = re.compile(r"(?<=://)(?:[^\s/?#'\"@]+:[^\s'\"]*|[^\s/?#'\"]*)@")
_WORDS = r"[\w.-]*(?:password|passwd|pwd|token|secret|api_?key|access_?key|credential|signature|auth)[\w.-]*"
_QUERY = re.compile(rf"([?&;]{_WORDS}=)[^&;#\s'\"]+", re.IGNORECASE)


def redacted(text: str) -> str:
    """A text whose addresses have `***` for their user and password (`http://***@host`) and for secrets in their query."""
    return _QUERY.sub(rf"\g<1>{HIDDEN}", _USER.sub(f"{HIDDEN}@", text)) if "://" in text else text
