"""Looks into pages: what they would fetch, were they opened."""

from __future__ import annotations

import re


def outside_links(html: str) -> list[str]:
    """Return what a page takes from elsewhere: sources, links and scripts."""
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s]+)""", html)
    return [link for link in links if not link.startswith("#")] + re.findall("<script", html)
