"""One person's consents are locked in one order, whichever link they hold: nobody waits in a circle."""

from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.consent import service
from pollsvc.consent.models import Consent, State
from pollsvc.consent.tokens import leaving_token
from pollsvc.keys import Keys
from tests.conftest import NOW
from tests.consent.readers import MINUTE, Newsletter
from tests.consent.waiting import is_waited_for
from tests.factories import make_consent_text, make_site
from tests.processes import wait_until


def test_leaving_everything_waits_for_whoever_has_the_first_consent_before_it_takes_the_last(
    session: Session, keys: Keys, engine: sa.Engine
) -> None:
    newsletter = Newsletter(session, keys, NOW)
    elsewhere = make_site(session, name="Elsewhere", origins=["https://elsewhere.example"])
    newsletter.sign_up()
    newsletter.pass_time(16 * MINUTE)
    newsletter.sign_up(
        text=make_consent_text(session, site=elsewhere), article_url="https://elsewhere.example/a"
    )
    first, last = session.scalars(select(Consent.id).order_by(Consent.id)).all()
    session.commit()
    writing = engine.execution_options(sqlite_write=True)

    def leave() -> bool:
        with Session(writing) as ours:
            token = leaving_token(keys, last)
            left = service.leave(
                ours, newsletter.links, token, method="page", is_everything=True, now=newsletter.now
            )
            ours.commit()
            return left

    with ThreadPoolExecutor(1) as pool, Session(writing) as other:
        other.get_one(Consent, first, with_for_update={"of": Consent})
        left = pool.submit(leave)
        wait_until(lambda: is_waited_for(engine))
        other.get_one(Consent, last, with_for_update={"of": Consent})
        other.commit()
        assert left.result()

    session.expire_all()
    assert list(session.scalars(select(Consent.state))) == [State.WITHDRAWN] * 2
