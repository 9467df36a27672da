"""Where a comment's links lead."""

from __future__ import annotations

from urllib.parse import urlsplit

from pollsvc.comments.checks.check import Opinion, Submission


class Links:
    """Links to other sites than the paper's own: 1 - 1 / (1 + links)."""

    name = "links"
    version = "1"

    def look(self, submission: Submission) -> Opinion:
        """0 without any, 0.5 with one, 0.67 with two, 0.75 with three…"""
        foreign = [address for address in submission.links if _host(address) not in submission.own_hosts]
        if not foreign:
            return Opinion(0)
        spans = [(start, start + len(each)) for each in foreign if (start := submission.body.find(each)) >= 0]
        return Opinion(1 - 1 / (1 + len(foreign)), f"Links to other sites: {len(foreign)}.", spans)


def _host(address: str) -> str:
    return urlsplit(address).hostname or ""
