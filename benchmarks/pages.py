"""A QuickBooks that only gives back: prepared records in pages, by id and as change data, over real HTTP.

It stands for the network and the far side when the reading is measured; nothing of the sandbox's bookkeeping runs
behind it. Statements are understood exactly as far as the product's own reader writes them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEPT = 32
REALM = "9130347"
_STATEMENT = re.compile(r"SELECT (?P<what>.+?) FROM (?P<resource>\w+)(?P<where>.*?)(?: ORDERBY .*)?$")
_PAGE = re.compile(r"STARTPOSITION (\d+) MAXRESULTS (\d+)")
_IDS = re.compile(r"Id IN \(([^)]*)\)")
_TIME = "2026-11-22T20:30:00.000-08:00"


class Records:
    """All records of a prepared company, as bytes of JSON."""

    def __init__(self, folder: Path) -> None:
        self._records = {path.stem: path.read_bytes().splitlines() for path in folder.glob("*.jsonl")}
        self._places: dict[str, dict[str, int]] = {}
        self.answered = lru_cache(KEPT)(self._answered)

    def count(self, resource: str) -> int:
        """How many there are."""
        return len(self._records[resource])

    def page(self, resource: str, start: int, most: int) -> list[bytes]:
        """A page, the first position is 1."""
        return self._records[resource][start - 1 : start - 1 + most]

    def _answered(self, resource: str, start: int, most: int) -> bytes:
        """The whole answer to a page, kept: what is asked for again costs the far side next to nothing."""
        return envelope(resource, self.page(resource, start, most))

    def chosen(self, resource: str, wanted: list[str]) -> list[bytes]:
        """The records with these ids."""
        places = self._by_id(resource)
        return [self._records[resource][places[one]] for one in wanted if one in places]

    def changed(self, resources: list[str], since: str) -> bytes:
        """What was last updated at or after ``since`` (UTC, as the reader asks)."""
        groups = [b'{"%s":[%s]}' % (name.encode(), b",".join(self._since(name, since))) for name in resources]
        return b'{"CDCResponse":[{"QueryResponse":[%s]}],"time":"%s"}' % (b",".join(groups), _TIME.encode())

    def _since(self, resource: str, since: str) -> list[bytes]:
        stamp = re.compile(rb'"LastUpdatedTime":"([^"]+)"')
        return [
            record
            for record in self._records[resource]
            if (found := stamp.search(record)) and found.group(1).decode() >= since
        ]

    def _by_id(self, resource: str) -> dict[str, int]:
        if resource not in self._places:
            known = self._records[resource]
            self._places[resource] = {json.loads(record)["Id"]: place for place, record in enumerate(known)}
        return self._places[resource]


def envelope(resource: str, records: list[bytes]) -> bytes:
    """The body of a query's answer."""
    return b'{"QueryResponse":%s,"time":"%s"}' % (_response(resource, records), _TIME.encode())


def _response(resource: str, records: list[bytes]) -> bytes:
    listed = b'"%s":[%s],' % (resource.encode(), b",".join(records)) if records else b""
    return b'{%s"maxResults":%d}' % (listed, len(records))


def answer(records: Records, method: str, target: str, body: bytes) -> bytes:
    """The body of the answer to one request."""
    url = urlsplit(target)
    resource = url.path.rsplit("/", 1)[-1]
    if (method, resource) == ("GET", "cdc"):
        asked = parse_qs(url.query)
        return records.changed(asked["entities"][0].split(","), asked["changedSince"][0])
    if (method, resource) == ("GET", "preferences"):
        return b'{"Preferences":{"CurrencyPrefs":{"HomeCurrency":{"value":"USD"}}}}'
    if (method, resource) == ("POST", "batch"):
        items = [
            b'{"bId":%s,"QueryResponse":%s}' % (json.dumps(item["bId"]).encode(), queried(records, item["Query"]))
            for item in json.loads(body)["BatchItemRequest"]
        ]
        return b'{"BatchItemResponse":[%s],"time":"%s"}' % (b",".join(items), _TIME.encode())
    if (method, resource) == ("POST", "query"):
        statement = body.decode()
        found, page = _STATEMENT.match(statement), _PAGE.search(statement)
        if found and page and not _IDS.search(statement):
            return records.answered(found["resource"], int(page[1]), int(page[2]))
        return b'{"QueryResponse":%s,"time":"%s"}' % (queried(records, statement), _TIME.encode())
    raise ValueError(f"not understood: {method} {target}")


def queried(records: Records, statement: str) -> bytes:
    """What a statement of the product's reader gives."""
    found = _STATEMENT.match(statement)
    if found is None:
        raise ValueError(f"not understood: {statement}")
    resource = found["resource"]
    if found["what"] == "COUNT(*)":
        return b'{"totalCount":%d}' % records.count(resource)
    if ids := _IDS.search(found["where"]):
        return _response(resource, records.chosen(resource, [one.strip(" '") for one in ids[1].split(",")]))
    if page := _PAGE.search(statement):
        return _response(resource, records.page(resource, int(page[1]), int(page[2])))
    raise ValueError(f"not understood: {statement}")


def serve(folder: Path) -> None:
    """Serve until stopped; prints the port as its first line."""
    records = Records(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body leave together
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            content = answer(records, self.command, self.path, body)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  (the base class calls it so)
            """Nothing: the figures are the output."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 64

    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve prepared records from a process of its own; gives the base URL."""
    command = [sys.executable, __file__, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  (this very script)
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"  # type: ignore[union-attr]  # it is a pipe
        finally:
            process.terminate()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
