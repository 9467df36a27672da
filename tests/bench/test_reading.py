"""What wrk prints becomes figures."""

from tests.bench.reading import parse

TOLD = """Running 2s test @ http://127.0.0.1:8000/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.40ms    3.26ms  55.84ms   95.35%
    Req/Sec    38.40k     6.19k   46.55k    71.43%
  Latency Distribution
     50%  723.00us
     75%    1.20ms
     90%    2.34ms
     99%    1.10s
  160000 requests in 2.00s, 120.11MB read
"""
TROUBLE = """  Socket errors: connect 1, read 2, write 0, timeout 3
  Non-2xx or 3xx responses: 40
"""


class TestParse:
    def test_rate_and_latency_in_milliseconds(self) -> None:
        reads = parse(TOLD)

        assert (reads.rate, reads.p50, reads.p99, reads.refused) == (80_000.0, 0.723, 1_100.0, 0)

    def test_what_was_not_well_is_counted_apart(self) -> None:
        reads = parse(TOLD + TROUBLE)

        assert (reads.failed, reads.refused) == (6, 46)
        assert reads.rate == 159_960 / 2.0
