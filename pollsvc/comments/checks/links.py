"""Where a comment's links lead."""

from __future__ import annotations

from collections.abc import Sequence

from pollsvc.articles.urls import host_of
from pollsvc.comments.checks.check import Opinion, Submission
from pollsvc.comments.checks.word_lists import ListedWords
from pollsvc.comments.words.domains import Domains


class Links:
    """Links to other sites than the paper's own, and than those of trusted domains: 1 - 1 / (1 + links); 1 for a banned domain."""

    name = "links"
    version = "3"

    def look(self, submission: Submission) -> Opinion:
        """0 without any, 0.5 with one, 0.67 with two, 0.75 with three…"""
        trusted, banned = (submission.words.get(f"{kind}_domains", ()) for kind in ("trusted", "banned"))
        foreign: list[str] = []
        entries: list[str] = []
        for address, typed in zip(submission.links, submission.typed, strict=True):
            host = host_of(address)
            if found := _listed(banned, host):
                entries.append(found)
            elif host in submission.own_hosts or _listed(trusted, host):
                continue
            foreign.append(typed)
        labels = " ".join(f"{each.kind}:{each.version}" for each in (*trusted, *banned))
        if not foreign:
            return Opinion(0, version=labels)
        spans = [(start, start + len(each)) for each in foreign if (start := submission.body.find(each)) >= 0]
        if entries:
            named = ", ".join(f"“{entry}”" for entry in dict.fromkeys(entries))
            return Opinion(1, f"On the list of banned domains: {named}."[:1_000], spans, labels)
        return Opinion(1 - 1 / (1 + len(foreign)), f"Links to other sites: {len(foreign)}.", spans, labels)


def _listed(lists: Sequence[ListedWords], host: str) -> str | None:
    for each in lists:
        assert isinstance(each.matcher, Domains)
        if found := each.matcher.holds(host):
            return found
    return None
