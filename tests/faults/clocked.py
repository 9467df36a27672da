"""`pollsvc serve`, able to run under libfaketime. It exists for one fault and nowhere in the product.

libfaketime 0.9.10 refuses to sleep until a moment of the monotonic clock (clock_nanosleep(2) with TIMER_ABSTIME) when it is
told to leave that clock alone, and `time.sleep` is just that since Python 3.11. Waiting for an event works.
"""

import threading
import time
from typing import SupportsIndex

from pollsvc.cli import main


def sleep(seconds: SupportsIndex | float) -> None:
    """Do what time.sleep does."""
    threading.Event().wait(float(seconds))


if __name__ == "__main__":
    time.sleep = sleep
    main()
