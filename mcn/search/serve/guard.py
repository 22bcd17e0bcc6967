"""Who may ask, and what every reply says to the browser.

Conventions
-----------
- `Host` must be an address of this machine, so that a foreign page whose name was made to point here (DNS rebinding)
  gets nothing. Bound to the loopback address that is `localhost` and loopback addresses; bound to anything else, any
  numeric address (which cannot be rebound), the machine's own names, and the name given.
- Requests that a page of another site makes (`Sec-Fetch-Site: cross-site`) are refused, except for following a link
  to the page.
- The cookie is `SameSite=Lax`: with `Strict`, browsers would not send it after a link in a message was followed.
- With a token, it is wanted in the query (`?token=`, once: it then moves into a cookie), in that cookie, or as
  `Authorization: Bearer`. It is compared in constant time.
- The content security policy allows the page's own files and nothing else: no inline script or style, no other address.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcn.errors import UserError
from mcn.search.serve.replies import error_reply

MAXIMUM_QUERY_BYTES = 16_384  # of everything behind the question mark
COOKIE_SECONDS = 30 * 24 * 3600

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "media-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def is_loopback(host: str) -> bool:
    """Whether an address to listen at is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Middleware around the whole app. host: what the server is bound to; token: '' where none is wanted."""

    def __init__(self, app: ASGIApp, host: str, token: str = "") -> None:
        self._app, self._token = app, token
        self._loopback = is_loopback(host)
        self._names = (
            {"localhost"} if self._loopback else {"localhost", host.lower(), *_own_names()}
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refusal(scope)
        if refused is not None:
            await refused(scope, receive, _with_headers(send))
        else:
            await self._app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        """What to reply instead of an answer; None where the request may pass."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_ours(_host_name(host)):
            wanted = "the address that mcn serve printed"
            cure = "open that address; for another name of this machine start it with --host NAME"
            return error_reply(UserError(f"a request for {host[:100]!r}", wanted, cure), 421)
        if headers.get("sec-fetch-site") == "cross-site" and not _follows_a_link(scope, headers):
            wanted = "requests of this page or of a program"
            return error_reply(
                UserError("a request by the page of another site", wanted, "open the page itself"),
                403,
            )
        if len(scope["query_string"]) > MAXIMUM_QUERY_BYTES:
            got = f"{len(scope['query_string'])} bytes behind the question mark of the address"
            wanted = f"at most {MAXIMUM_QUERY_BYTES}"
            return error_reply(UserError(got, wanted, "ask in fewer words"), 400)
        return self._token_refusal(scope, headers) if self._token else None

    def _is_ours(self, name: str) -> bool:
        if name.lower() in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._loopback

    def _token_refusal(self, scope: Scope, headers: Headers) -> Response | None:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        in_query = [value for name, value in query if name == "token"]
        if self._is_token(in_query):
            if scope["path"] != "/":
                return None
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            reply = RedirectResponse(f"/?{rest}" if rest else "/", 303)
            reply.set_cookie(
                cookie_name(scope), self._token, COOKIE_SECONDS, httponly=True, samesite="lax"
            )
            return reply
        bearer = headers.get("authorization", "")
        given = [bearer[7:]] if bearer[:7].lower() == "bearer " else []
        if self._is_token([*given, *_cookie(headers, cookie_name(scope))]):
            return None
        got = "a wrong token" if in_query or given else "no token"
        cure = "open the whole address that mcn serve printed, up to its end"
        return error_reply(UserError(got, "the token of this server", cure), 401)

    def _is_token(self, given: Iterable[str]) -> bool:
        expected = self._token.encode()
        return any(secrets.compare_digest(value.encode(), expected) for value in given)


def cookie_name(scope: Scope) -> str:
    """Cookies are shared by all ports of a host, so that the name holds the port."""
    server = scope.get("server")
    return f"mcn_token_{server[1] if server else 0}"


def _cookie(headers: Headers, name: str) -> list[str]:
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return []
    return [cookies[name].value] if name in cookies else []


def _host_name(host: str) -> str:
    """`name:80` -> name, `[::1]:80` -> ::1."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _follows_a_link(scope: Scope, headers: Headers) -> bool:
    opened = headers.get("sec-fetch-mode") == "navigate"
    document = headers.get("sec-fetch-dest") == "document"
    return scope["path"] == "/" and scope["method"] == "GET" and opened and document


def _own_names() -> set[str]:
    names = {socket.gethostname().lower(), socket.getfqdn().lower()}
    return names | {f"{name}.local" for name in names}


def _with_headers(send: Send) -> Send:
    """Add the headers of `HEADERS` to a reply."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return send_with_headers
