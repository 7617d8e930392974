"""Addresses with a user and a password are asked as every client of theirs asks."""

from __future__ import annotations

import base64
from http.server import BaseHTTPRequestHandler

from models.answering_servers import find_fault, open_url
from tests.support.web_server import serve


def test_user_and_password_are_sent_and_are_no_part_of_the_host() -> None:
    given: list[str | None] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        given.append(handler.headers["Authorization"])
        handler.send_response(200)
        handler.end_headers()

    with serve() as site:
        site.files["/health"] = answer
        with open_url(site.address.replace("://", "://me:p%40ss@") + "/health", 5) as got:
            assert got.status == 200
        assert find_fault(f"{site.address}/health") is None
    assert given == ["Basic " + base64.b64encode(b"me:p@ss").decode(), None]
