"""`pollsvc worker` on a clock that runs thirty times as fast: a lease of five minutes ends in ten seconds."""

import logging
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pollsvc.config import Settings
from pollsvc.outbox.smtp import SmtpTransport
from pollsvc.web import logs
from pollsvc.worker import Worker, keep_working

SPEED = 30


def hasty_now(began: float) -> datetime:
    """Give the time that it is for whoever lives so fast since that moment."""
    return datetime.fromtimestamp(began, UTC) + timedelta(seconds=(time.time() - began) * SPEED)


def main() -> None:
    began = float(sys.argv[1])
    settings = Settings.from_environ(os.environ, Path.cwd())
    logs.configure("info")
    logging.getLogger("huey").setLevel(logging.CRITICAL)
    worker = Worker(settings, lambda: hasty_now(began))
    # In proportion: far below the lease.
    hasty = SmtpTransport(settings, patience=3.0, whole_patience=6.0)
    worker.transports = {**worker.transports, "mail": hasty}
    keep_working(worker, settings, heartbeat=0.1)


if __name__ == "__main__":
    main()
