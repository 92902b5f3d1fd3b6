"""The yardstick of `batch`: a bare `requests.Session` in each of some threads, and nothing else.

No journal, no parsing, no records. Run it as: python bare_requests.py BASE_URL ROWS THREADS
"""

from __future__ import annotations

import sys
import threading

import requests


def main() -> None:
    base_url, rows, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    numbers = iter(range(rows))
    lock = threading.Lock()

    def work() -> None:
        session = requests.Session()
        session.headers["Authorization"] = "Bearer benchmark-key"
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            answer = session.put(
                f"{base_url}/commands/v0/status/command-{number}/",
                json={"state": "Command Success", "reason": "by phone"},
                timeout=30,
            )
            answer.raise_for_status()
            answer.json()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
