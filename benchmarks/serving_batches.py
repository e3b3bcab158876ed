"""What classifying waiting requests together gains: 1, 8, 32 clients against one at a time.

    python -m benchmarks.serving_batches results/base_to_new/fedmvp/seed1 --requests 200

starts ``fedmvp serve`` twice, with FEDMVP_SERVE_BATCH at 1 and at its default, sends the same photo
again and again from so many clients at once and prints requests per second, and p50 and p99 as
multiples of the median of one client whose requests are classified by themselves.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.serving import FORM, Sent, form, picture, running, send
from fedmvp.prediction.limits import Limits

_CLIENTS = (1, 8, 32)


def seconds_of(port: int, requests: int, clients: int) -> tuple[float, list[float]]:
    """Return the seconds all requests took together, and those of each, sorted."""
    sent = Sent("photo", 200, form(picture(320, 240, "JPEG")), FORM)

    def one(_: int) -> float:
        start = time.monotonic()
        status, text = send(port, sent)
        if status != 200:
            raise RuntimeError(f"{status}: {text}")
        return time.monotonic() - start

    start = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        each = sorted(pool.map(one, range(requests)))
    return time.monotonic() - start, each


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve, send, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="results/<setting>/<method>/seed<k>, or an export")
    parser.add_argument("--requests", type=int, default=200)
    chosen = parser.parse_args(arguments)
    alone_s: float | None = None
    print("| images of a pass | clients | requests/s | p50 | p99 |\n|---|---|---|---|---|")
    for batch in (1, Limits.batch):
        limits = {"FEDMVP_SERVE_BATCH": str(batch), "FEDMVP_SERVE_REQUESTS": str(max(_CLIENTS))}
        with running([chosen.model], env={**os.environ, **limits}) as (port, _):
            seconds_of(port, 4, 1)  # the texts are encoded with the first
            for clients in _CLIENTS:
                whole_s, each = seconds_of(port, chosen.requests, clients)
                p50, p99 = (float(np.percentile(each, q)) for q in (50, 99))
                alone_s = alone_s or p50
                print(
                    f"| at most {batch} | {clients} | {chosen.requests / whole_s:.1f} "
                    f"| {p50 / alone_s:.1f} | {p99 / alone_s:.1f} |"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
