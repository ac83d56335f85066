"""HTTP: addresses, envelopes, authorization, limits and headers.

A request is worked out start to end without waiting for anything: the order in which requests arrive is the order in
which they take effect.
"""

import asyncio
import logging
import uuid
from base64 import b64encode
from collections.abc import Callable
from html import escape
from time import perf_counter
from typing import Final
from urllib.parse import parse_qs, quote, urlencode

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconcile.sandbox.quickbooks import attachments, faults, markup, pdf, reports
from reconcile.sandbox.quickbooks.admin import Admin
from reconcile.sandbox.quickbooks.clock import parse_date, stamp
from reconcile.sandbox.quickbooks.company import Company, Options
from reconcile.sandbox.quickbooks.faults import FaultError, GatewayFault
from reconcile.sandbox.quickbooks.limits import MailsUsedUpError, ThrottledError
from reconcile.sandbox.quickbooks.numbers import NotJsonError, parse, render
from reconcile.sandbox.quickbooks.oauth import ACCOUNTING, SCOPES, BearerError, OAuthError, challenge_of
from reconcile.sandbox.quickbooks.server import Server
from reconcile.sandbox.quickbooks.tempers import Tempers

_JSON: Final = "application/json;charset=UTF-8"
_XML: Final = "application/xml;charset=UTF-8"
_SMALLEST_GZIP: Final = 1_000
_QUICKEST_GZIP: Final = 1
_BY_ID: Final = 2
_ACTION: Final = 3
_SERVICE_SECONDS: Final = 0.02
_GATEWAY_STATUSES: Final = frozenset({401, 403, 404, 405, 413, 429, 502, 503, 504})
_LARGEST_UPLOAD: Final = 200_000_000
_UNAUTHORIZED: Final = 401
_CHALLENGE: Final = 'Bearer realm="Intuit", error="invalid_token"'
_PHP_KIT: Final = "V3PHPSDK"
_TOO_LARGE: Final = (
    b"<html><head><title>413 Request Entity Too Large</title></head>"
    b"<body><center><h1>413 Request Entity Too Large</h1></center><hr><center>nginx</center></body></html>"
)

_log: Final = logging.getLogger(__name__)


class IntuitHeaders:
    """Puts on every answer what Intuit's servers put on it, faults and OAuth answers included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry point."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                spent = int((perf_counter() - started) * 1000)
                headers["intuit_tid"] = _trace_id(scope["path"], message["status"])
                headers["QBO-Version"] = "1975.211"
                headers["Service-Time"] = f"total={spent}, db={spent // 2}"
                headers["Server"] = "nginx"
                headers["Expires"] = "0"
                headers["Cache-Control"] = "max-age=0, no-cache, no-store, must-revalidate, private"
                headers["Strict-Transport-Security"] = "max-age=15552000"
                headers["Via"] = "1.1 ipp-gateway"
                if "content-type" not in headers:
                    headers["Content-Type"] = _JSON
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _trace_id(path: str, status: int) -> str:
    """An id in the shape of who answers: OAuth, the gateway, or the service behind it."""
    identity = uuid.uuid4()
    if not path.startswith("/v3/"):
        return str(identity)
    if status in _GATEWAY_STATUSES:
        return f"gw-{identity}"
    return f"1-{identity.hex[:8]}-{identity.hex[8:]}"


class _Api:
    """The handlers, with the server that they serve."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def _now(self) -> float:
        return self._server.clock.now().timestamp()

    # Accounting --------------------------------------------------------------------------------------------------

    async def company(self, request: Request) -> Response:
        """Everything below /v3/company/{realm}/."""
        realm = request.path_params["realm"]
        try:
            granted = self._server.authority.realm_of(request.headers.get("authorization", ""))
        except BearerError as error:
            if self._server.switches.authentication_fault == "general":
                return self._gateway(faults.general_authentication_error(), as_xml=True)
            return self._gateway(faults.authentication_failed(str(error) or None), as_xml=self._wants_xml(request, []))
        company = self._server.companies.get(realm)
        if granted != realm or company is None:
            return self._gateway(faults.authorization_failed(), as_xml=self._wants_xml(request, []))
        company.state.base_url = str(request.base_url).rstrip("/")
        segments = [part for part in request.path_params["rest"].split("/") if part]
        upload = [part.lower() for part in segments] == ["upload"]
        raw = await _body(request, _LARGEST_UPLOAD if upload else self._server.switches.largest_body_bytes)
        if raw is None:
            return Response(_TOO_LARGE, 413, media_type="text/html")
        answer = await self._limited(company, request, segments, raw)
        if answer.media_type == _JSON and self._wants_xml(request, segments):
            answer = Response(markup.answer(bytes(answer.body)), answer.status_code, media_type=_XML)
        return answer

    def _wants_xml(self, request: Request, segments: list[str]) -> bool:
        if segments and segments[0].lower() == "taxservice":
            return False
        accepted = request.headers.get("accept", "").lower()
        if "json" in accepted or "pdf" in accepted:
            return "xml" in accepted and accepted.index("xml") < accepted.find("json")
        if "xml" in accepted:
            return True
        # Intuit's kit for PHP asks for anything when it queries, and reads XML only.
        habit = _PHP_KIT in request.headers.get("user-agent", "")
        return habit or self._server.switches.answer_without_accept == "xml"

    async def _limited(self, company: Company, request: Request, segments: list[str], raw: bytes) -> Response:
        realm = company.state.realm
        named = [part.lower() for part in segments]
        batch, report = named == ["batch"], named[:1] == ["reports"]
        weight = _weight(raw) if batch and self._server.switches.batch_call_weight == "items" else 1
        try:
            reads = request.method == "GET" or named == ["query"]
            with self._server.meters[realm].call(batch=batch, report=report, reads=reads, weight=weight):
                # Calls here are over before the next one is looked at; they are concurrent only if they last.
                least = _SERVICE_SECONDS if self._server.meters[realm].counts_concurrent_calls else 0.0
                if seconds := max(self._server.latency_seconds, least):
                    await asyncio.sleep(seconds)
                return self._answer(company, request, segments, raw)
        except ThrottledError:
            return self._throttled()
        except FaultError as fault:
            return self._faulted(fault)
        except Exception:  # noqa: BLE001 - whatever breaks inside is a 500 with a fault, as outside
            # What Intuit's service answers when it fails itself; the trace is for whoever runs this one.
            _log.exception("%s %s failed", request.method, request.url.path)
            return self._faulted(faults.system_failure("Could not complete the request"))

    def _faulted(self, fault: FaultError) -> Response:
        return Response(faults.application_body(fault, self._now()), fault.status, media_type=_JSON)

    def _throttled(self) -> Response:
        response = self._gateway(faults.throttled(), as_xml=self._server.switches.throttle_body == "xml")
        if self._server.switches.retry_after_seconds:
            response.headers["Retry-After"] = str(self._server.switches.retry_after_seconds)
        return response

    def _gateway(self, fault: GatewayFault, *, as_xml: bool = False) -> Response:
        headers = {"WWW-Authenticate": _CHALLENGE} if fault.status == _UNAUTHORIZED else None
        if as_xml:
            return Response(fault.as_xml(self._now()), fault.status, headers, media_type=_XML)
        return Response(fault.as_json(self._now()), fault.status, headers, media_type=_JSON)

    def _answer(self, company: Company, request: Request, segments: list[str], raw: bytes) -> Response:
        switches = self._server.switches
        if switches.company_status == "ended":
            raise faults.ended_company(switches.ended_company_http_status)
        minor = request.query_params.get("minorversion", "75")
        if switches.minor_version_checked and not minor.isdigit():
            raise FaultError(faults.invalid_number(minor, "minorversion"))
        if request.method not in {"GET", "POST"}:
            raise faults.no_resource_method(request.method, switches.unsupported_operation_status)
        if not segments:
            raise faults.unknown_resource("", switches.unsupported_operation_status)
        special = _SPECIAL.get((request.method, segments[0].lower()))
        if special is not None:
            return Response(
                special(self, company, request, segments, _as_json(request, segments, raw)), media_type=_JSON
            )
        if (request.method, segments[0].lower(), len(segments)) == ("GET", "download", _BY_ID):
            return Response(company.download(segments[1]), media_type="text/plain")
        if request.method == "GET":
            return self._get(company, request, segments)
        return Response(self._post(company, request, segments, _as_json(request, segments, raw)), media_type=_JSON)

    def _get(self, company: Company, request: Request, segments: list[str]) -> Response:
        if len(segments) == _ACTION and segments[2].lower() == "pdf":
            return self._pdf(company, segments)
        if len(segments) == 1 and segments[0].lower() == "preferences":
            segments = [segments[0], "1"]
        if len(segments) > _BY_ID:
            base = str(request.base_url).rstrip("/")
            raise faults.no_such_path(request.url.path, base, self._server.switches.unsupported_operation_status)
        if len(segments) != _BY_ID:
            raise faults.no_resource_method("GET", self._server.switches.unsupported_operation_status)
        return Response(company.read(segments[0], segments[1], _include(request)), media_type=_JSON)

    def _pdf(self, company: Company, segments: list[str]) -> Response:
        resource = company.resource(segments[0])
        if "pdf" not in resource.actions:
            status = self._server.switches.unsupported_operation_status
            raise faults.unsupported(f"pdf on entity {resource.path}", status)
        record = company.record(resource, segments[1])
        name = company.state.record("CompanyInfo", "1").body().get("CompanyName", "")
        return Response(pdf.document(resource.name, str(name), record.body()), media_type="application/pdf")

    def _post(self, company: Company, request: Request, segments: list[str], raw: bytes) -> bytes:
        params = request.query_params
        if len(segments) == _ACTION and segments[2].lower() == "send":
            return self._sent(company, segments, params.get("sendTo", ""), params.get("requestid", ""))
        if len(segments) != 1:
            raise faults.no_resource_method("POST", self._server.switches.unsupported_operation_status)
        options = Options(
            operation=params.get("operation", "").lower(),
            include=_include(request),
            request_id=params.get("requestid", ""),
        )
        if options.operation not in {"", "create", "update", "delete", "void"}:
            what = f"{options.operation} on entity {segments[0].lower()}"
            raise faults.unsupported(what, self._server.switches.unsupported_operation_status)
        return company.write(segments[0], raw, options)

    def _sent(self, company: Company, segments: list[str], address: str, request_id: str) -> bytes:
        try:
            with self._server.meters[company.state.realm].mail():
                return company.send(segments[0], segments[1], address, request_id)
        except MailsUsedUpError:
            if self._server.switches.mail_limit_answer == "throttled":
                raise ThrottledError from None
            allowed = self._server.limits.mails_per_day
            raise faults.business(f"A sandbox company sends no more than {allowed} emails a day.") from None

    def query(self, company: Company, request: Request, segments: list[str], raw: bytes) -> bytes:
        """GET or POST /query."""
        del segments
        if request.method == "GET":
            return company.query(request.query_params.get("query", ""))
        statement = raw.decode("utf-8", "replace")
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            statement = parse_qs(statement).get("query", [""])[0]
        return company.query(statement or request.query_params.get("query", ""))

    def batch(self, company: Company, request: Request, segments: list[str], raw: bytes) -> bytes:
        """POST /batch."""
        del segments
        return company.batch(raw, request.query_params.get("requestid", ""))

    def cdc(self, company: Company, request: Request, segments: list[str], raw: bytes) -> bytes:
        """GET /cdc."""
        del segments, raw
        params = request.query_params
        return company.changes(params.get("entities", ""), params.get("changedSince", ""))

    def upload(self, company: Company, request: Request, segments: list[str], raw: bytes) -> bytes:
        """POST /upload."""
        del segments
        content_type = request.headers.get("content-type", "")
        return company.upload(raw, content_type, request.query_params.get("requestid", ""))

    def tax_service(self, company: Company, request: Request, segments: list[str], raw: bytes) -> bytes:
        """POST /taxservice/taxcode."""
        if len(segments) != _BY_ID or segments[1].lower() != "taxcode":
            raise faults.unknown_resource("taxservice", self._server.switches.unsupported_operation_status)
        return company.tax_service(raw, request.query_params.get("requestid", ""))

    def exchange_rate(self, company: Company, request: Request, segments: list[str], raw: bytes) -> bytes:
        """GET /exchangerate?sourcecurrencycode=EUR&asofdate=2024-01-31."""
        del segments, raw
        code = request.query_params.get("sourcecurrencycode", "")
        if not code:
            raise FaultError(faults.required("sourcecurrencycode"))
        given = request.query_params.get("asofdate", "")
        day = parse_date(given) if given else company.state.today()
        if day is None:
            raise FaultError(faults.invalid_date(given, "asofdate", impossible=False))
        body = {
            "SourceCurrencyCode": code,
            "TargetCurrencyCode": company.state.home_currency,
            "Rate": company.state.exchange_rate(code, day.isoformat()),
            "AsOfDate": day.isoformat(),
            "domain": "QBO",
            "sparse": False,
            "SyncToken": "0",
            "MetaData": {"LastUpdatedTime": stamp(self._now())},
        }
        return company.wrapped("ExchangeRate", render(body))

    def report(self, company: Company, request: Request, segments: list[str], raw: bytes) -> bytes:
        """GET /reports/{name}."""
        del raw
        if len(segments) != _BY_ID:
            raise faults.unknown_resource("reports", self._server.switches.unsupported_operation_status)
        return render(reports.report(company.state, segments[1], dict(request.query_params)))

    # OAuth -------------------------------------------------------------------------------------------------------

    async def discovery(self, request: Request) -> Response:
        """The OpenID discovery document."""
        base = str(request.base_url).rstrip("/")
        return JSONResponse(
            {
                "issuer": f"{base}/op/v1",
                "authorization_endpoint": f"{base}/connect/oauth2",
                "token_endpoint": f"{base}/oauth2/v1/tokens/bearer",
                "userinfo_endpoint": f"{base}/v1/openid_connect/userinfo",
                "revocation_endpoint": f"{base}/v2/oauth2/tokens/revoke",
                "jwks_uri": f"{base}/op/v1/jwks",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid", "email", "profile", "address", "phone", ACCOUNTING],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
                "code_challenge_methods_supported": ["plain", "S256"],
                "claims_supported": ["aud", "exp", "iat", "iss", "realmid", "sub"],
            }
        )

    async def token(self, request: Request) -> Response:
        """POST of the token endpoint."""
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode("utf-8", "replace")).items()}
        try:
            # The discovery document offers both ways: the app's keys in the header, or in the form.
            posted = f"{form.get('client_id', '')}:{form.get('client_secret', '')}".encode()
            given = request.headers.get("authorization") or f"Basic {b64encode(posted).decode()}"
            self._server.authority.check_client(given)
            hard = request.headers.get("x-include-refresh-token-hard-expires-in", "").lower() == "true"
            issuer = f"{str(request.base_url).rstrip('/')}/op/v1"
            return JSONResponse(self._server.authority.token(form, show_hard_expiry=hard, issuer=issuer))
        except OAuthError as error:
            return JSONResponse(error.as_json(), error.status)

    async def revoke(self, request: Request) -> Response:
        """POST of the revocation endpoint, JSON or form."""
        raw = await request.body()
        try:
            self._server.authority.check_client(request.headers.get("authorization", ""))
            if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
                token = parse_qs(raw.decode("utf-8", "replace")).get("token", [""])[0]
            else:
                body = parse(raw)
                token = str(body.get("token", "")) if isinstance(body, dict) else ""
            self._server.authority.revoke(token)
        except NotJsonError:
            return JSONResponse({"error": "invalid_request"}, 400)
        except OAuthError as error:
            return JSONResponse(error.as_json(), error.status)
        return Response(b"")

    async def key_set(self, request: Request) -> Response:
        """The public key behind id tokens."""
        del request
        return JSONResponse(self._server.authority.identity.key_set())

    async def user_info(self, request: Request) -> Response:
        """GET of the userinfo endpoint."""
        try:
            return JSONResponse(self._server.authority.user_info(request.headers.get("authorization", "")))
        except BearerError as error:
            return JSONResponse({"error": "invalid_token", "error_description": str(error)}, 401)

    async def download(self, request: Request) -> Response:
        """The file behind a temporary address."""
        company = self._server.companies.get(request.path_params["realm"])
        params = request.query_params
        found = None
        if company is not None:
            given = params.get("expires", ""), params.get("signature", "")
            found = attachments.content_at(company.state, request.path_params["id"], *given)
        if found is None:
            return Response("<Error><Code>AccessDenied</Code></Error>", 403, media_type="application/xml")
        content, kind, name = found
        disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
        # A file is only ever saved: what somebody uploaded must not run as a page of this server.
        return Response(
            content, media_type=kind, headers={"Content-Disposition": disposition, "X-Content-Type-Options": "nosniff"}
        )

    async def consent(self, request: Request) -> Response:
        """The page on which a person connects a company, and what its buttons do."""
        asked = dict(request.query_params)
        if request.method == "POST":
            raw = (await request.body()).decode("utf-8", "replace")
            asked |= {name: values[0] for name, values in parse_qs(raw).items()}
        redirect = asked.get("redirect_uri", "")
        authority = self._server.authority
        if asked.get("client_id") != authority.client_id or not authority.known_redirect(redirect):
            return HTMLResponse(
                _page("Sorry, but we did not connect", "<p>The app or its redirect address is not known.</p>"), 400
            )
        scopes = tuple(asked.get("scope", "").split())
        state = {"state": asked["state"]} if "state" in asked else {}
        if asked.get("response_type") != "code" or not scopes or not set(scopes) <= SCOPES:
            error = "invalid_scope" if asked.get("response_type") == "code" else "unsupported_response_type"
            return _redirect(redirect, {"error": error, **state})
        if request.method == "GET":
            return HTMLResponse(self._consent_page(asked))
        if asked.get("decision") != "connect":
            return _redirect(redirect, {"error": "access_denied", **state})
        realm = asked.get("realm") or next(iter(self._server.companies))
        if realm not in self._server.companies:
            return HTMLResponse(_page("Sorry, but we did not connect", "<p>There is no such company.</p>"), 400)
        challenge = asked.get("code_challenge", "")
        if challenge and asked.get("code_challenge_method", "plain") != "S256":
            challenge = challenge_of(challenge)
        code = authority.authorize(realm, redirect, scopes, challenge)
        return _redirect(redirect, {"code": code, **state, "realmId": realm})

    def _consent_page(self, asked: dict[str, str]) -> str:
        fields = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in asked.items()
        )
        choices = "".join(
            f'<label><input type="radio" name="realm" value="{escape(realm)}"{" checked" if place == 0 else ""}> '
            f"{escape(str(company.state.record('CompanyInfo', '1').body().get('CompanyName', realm)))}</label><br>"
            for place, (realm, company) in enumerate(self._server.companies.items())
        )
        return _page(
            "Connect an app to QuickBooks",
            f'<form method="post" action="/connect/oauth2">{fields}'
            f"<p>The app <b>{escape(asked['client_id'])}</b> asks for {escape(asked.get('scope', ''))}.</p>"
            f"<p>Which company?</p><p>{choices}</p>"
            '<button name="decision" value="connect" id="connect">Connect</button> '
            '<button name="decision" value="cancel" id="cancel">No thanks</button></form>',
        )


_SPECIAL: Final[dict[tuple[str, str], Callable[[_Api, Company, Request, list[str], bytes], bytes]]] = {
    ("GET", "query"): _Api.query,
    ("POST", "query"): _Api.query,
    ("POST", "batch"): _Api.batch,
    ("GET", "cdc"): _Api.cdc,
    ("POST", "taxservice"): _Api.tax_service,
    ("POST", "upload"): _Api.upload,
    ("GET", "exchangerate"): _Api.exchange_rate,
    ("GET", "reports"): _Api.report,
}


async def _body(request: Request, most: int) -> bytes | None:
    """The request body; `None` when it is larger than it may be."""
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > most:
            return None
    return bytes(raw)


def _as_json(request: Request, segments: list[str], raw: bytes) -> bytes:
    """A body in XML as the JSON that says the same; any other as it is."""
    first = segments[0].lower()
    if first in {"query", "upload", "taxservice"} or not raw.strip():
        return raw
    if not markup.looks_like_xml(raw, request.headers.get("content-type", "")):
        return raw
    try:
        return render(markup.batch_request(raw) if first == "batch" else markup.entity_request(raw))
    except markup.NotXmlError as error:
        raise FaultError(faults.unparseable()) from error


def _include(request: Request) -> frozenset[str]:
    return frozenset(
        word.strip().lower() for word in request.query_params.get("include", "").split(",") if word.strip()
    )


def _weight(raw: bytes) -> int:
    try:
        body = parse(raw)
    except NotJsonError:
        return 1
    items = body.get("BatchItemRequest") if isinstance(body, dict) else None
    return max(len(items), 1) if isinstance(items, list) else 1


def _redirect(address: str, parameters: dict[str, str]) -> Response:
    joined = "&" if "?" in address else "?"
    return RedirectResponse(f"{address}{joined}{urlencode(parameters)}", 302)


def _page(title: str, body: str) -> str:
    head = f"<meta charset=utf-8><title>{title}</title>"
    return f"<!doctype html><html lang=en>{head}<body><h1>{title}</h1>{body}</body></html>"


async def _method_not_allowed(request: Request) -> Response:
    del request
    return JSONResponse({"error": "invalid_request"}, 405)


def application(server: Server, *, administered: bool = False) -> ASGIApp:
    """The ASGI application of a server.

    Args:
        server: What it serves.
        administered: Serve the admin resource, and obey its rules of misbehaviour.
    """
    tempers: list[Tempers] = []
    api = _Api(server)
    everything = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    routes = [
        Route("/v3/company/{realm}/{rest:path}", api.company, methods=everything),
        Route("/.well-known/openid_sandbox_configuration", api.discovery),
        Route("/.well-known/openid_sandbox_configuration/", api.discovery),
        Route("/.well-known/openid_configuration", api.discovery),
        Route("/.well-known/openid_configuration/", api.discovery),
        Route("/connect/oauth2", api.consent, methods=["GET", "POST"]),
        Route("/oauth2/v1/tokens/bearer", api.token, methods=["POST"]),
        Route("/oauth2/v1/tokens/bearer", _method_not_allowed, methods=["GET", "PUT", "DELETE"]),
        Route("/op/v1/jwks", api.key_set),
        Route("/v1/openid_connect/userinfo", api.user_info),
        Route("/download/{realm}/{id}", api.download),
        Route("/v2/oauth2/tokens/revoke", api.revoke, methods=["POST"]),
    ]
    if administered:
        routes += Admin(server, lambda: tempers[0]).routes()
    starlette = Starlette(routes=routes)
    compressed = GZipMiddleware(starlette, minimum_size=_SMALLEST_GZIP, compresslevel=_QUICKEST_GZIP)
    app: ASGIApp = IntuitHeaders(compressed)
    if administered:
        tempers.append(Tempers(app))
        app = tempers[0]
    return app
