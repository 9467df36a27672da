"""Sites, their origins, and articles."""

from __future__ import annotations

import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, PrimaryKeyConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pollsvc.db import EncryptedText, Id, Model

#: How an article's comments are taken; :mod:`pollsvc.articles.discussions` tells which holds.
COMMENT_MODES = ("open", "premoderated", "closed", "off")
_KNOWN_MODE = "comments IN ('open', 'premoderated', 'closed', 'off')"
_DAYS_FROM_ONE = "comments_close_days >= 1"

#: What texts can ask for; what each is, :class:`pollsvc.consent.models.Mode` says.
CONSENT_MODES = ("explicit", "soft_opt_in", "notice_only")


class Site(Model):
    """A publication: what its texts link to, and who reads what readers send."""

    __tablename__ = "site"
    __table_args__ = (
        UniqueConstraint("name"),
        CheckConstraint(
            "consent_mode IN ('explicit', 'soft_opt_in', 'notice_only')", name="known_consent_mode"
        ),
        CheckConstraint(_KNOWN_MODE, name="known_comments"),
        CheckConstraint(_DAYS_FROM_ONE, name="days_from_one"),
    )

    id: Mapped[Id]
    name: Mapped[str]
    privacy_url: Mapped[str | None]
    terms_url: Mapped[str | None]
    standards_url: Mapped[str | None]
    #: Encrypted: it may be a person's.
    desk_email: Mapped[str | None] = mapped_column(EncryptedText)
    #: The language that mail to its readers is written in, such as ``en``.
    locale: Mapped[str] = mapped_column(default="en", server_default="en")
    #: What its texts ask for, unless they say otherwise; see :mod:`pollsvc.consent.texts`.
    consent_mode: Mapped[str] = mapped_column(default="explicit", server_default="explicit")
    #: What the publisher's login signs its tokens with: a secret, or a public key in PEM.
    login_key: Mapped[str | None] = mapped_column(EncryptedText)
    #: How comments are taken where an article says nothing else.
    comments: Mapped[str] = mapped_column(default="open", server_default="open")
    #: Days after which an article's comments close; None: never.
    comments_close_days: Mapped[int | None]
    created_at: Mapped[datetime]
    origins: Mapped[list[SiteOrigin]] = relationship(
        back_populates="site", order_by="SiteOrigin.position", lazy="selectin", cascade="all, delete-orphan"
    )

    @property
    def canonical_origin(self) -> str:
        """The origin that every article address is led to: the first."""
        return self.origins[0].origin


class SiteOrigin(Model):
    """An origin of a site, such as ``https://news.example``; the one at position 0 is canonical."""

    __tablename__ = "site_origin"
    __table_args__ = (
        PrimaryKeyConstraint("origin"),
        UniqueConstraint("site_id", "position"),
        CheckConstraint("position >= 0", name="position_not_negative"),
    )

    origin: Mapped[str]
    #: Host, and port where it is not the scheme's own: an article is found whatever its scheme.
    authority: Mapped[str] = mapped_column(index=True)
    site_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("site.id"))
    position: Mapped[int]
    site: Mapped[Site] = relationship(back_populates="origins")


class Article(Model):
    """An article, known by its canonical address."""

    __tablename__ = "article"
    __table_args__ = (
        UniqueConstraint("url"),
        CheckConstraint(_KNOWN_MODE, name="known_comments"),
        CheckConstraint(_DAYS_FROM_ONE, name="days_from_one"),
    )

    id: Mapped[Id]
    site_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("site.id"), index=True)
    url: Mapped[str]
    #: None: as the site has it.
    comments: Mapped[str | None]
    comments_close_days: Mapped[int | None]
    #: What the days until its comments close count from; None: when it came here.
    published_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    site: Mapped[Site] = relationship(lazy="joined", innerjoin=True)


class ArticleQuota(Model):
    """How many articles readers' submissions brought to a site on a day; see the service's cap."""

    __tablename__ = "article_quota"
    __table_args__ = (PrimaryKeyConstraint("site_id", "day"),)

    site_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("site.id"))
    day: Mapped[date]
    n: Mapped[int]
