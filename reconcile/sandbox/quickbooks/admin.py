"""The admin resource: moves the clock, sets limits, switches, delays and bad tempers of a running server.

It is not part of QuickBooks and is served only when asked for. Everything is JSON; `GET /admin` shows the state.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reconcile.sandbox.quickbooks.clock import parse_moment, stamp_millis
from reconcile.sandbox.quickbooks.deliveries import Format, Target
from reconcile.sandbox.quickbooks.faults import FaultError
from reconcile.sandbox.quickbooks.limits import REAL, UNLIMITED, Limits
from reconcile.sandbox.quickbooks.numbers import JsonObject, NotJsonError, parse, render
from reconcile.sandbox.quickbooks.samples import Sample
from reconcile.sandbox.quickbooks.server import Server
from reconcile.sandbox.quickbooks.switches import UnknownSwitchError
from reconcile.sandbox.quickbooks.tempers import Tempers, UnknownTemperError, temper_of


class AdminError(ValueError):
    """A request that the admin resource does not understand; the text says why."""


class Admin:
    """The handlers.

    Args:
        server: What is administered.
        tempers: Its outermost layer.
    """

    def __init__(self, server: Server, tempers: Callable[[], Tempers]) -> None:
        self._server = server
        self._tempers = tempers

    def routes(self) -> list[Route]:
        """Where it is served."""
        return [
            Route("/admin", self._handler(self._state)),
            Route("/admin/clock", self._handler(self._clock), methods=["POST"]),
            Route("/admin/limits", self._handler(self._limits), methods=["POST"]),
            Route("/admin/switches", self._handler(self._switches), methods=["POST"]),
            Route("/admin/visibility", self._handler(self._visibility), methods=["POST"]),
            Route("/admin/latency", self._handler(self._latency), methods=["POST"]),
            Route("/admin/tokens", self._handler(self._tokens), methods=["POST"]),
            Route("/admin/companies", self._handler(self._companies), methods=["POST"]),
            Route("/admin/merge", self._handler(self._merge), methods=["POST"]),
            Route("/admin/keep", self._handler(self._keep), methods=["POST"]),
            Route("/admin/put-back", self._handler(self._put_back), methods=["POST"]),
            Route("/admin/webhooks", self._handler(self._webhooks), methods=["GET", "POST", "DELETE"]),
            Route("/admin/faults", self._handler(self._faults), methods=["GET", "POST", "DELETE"]),
            Route("/admin/faults/{number:int}", self._handler(self._fault), methods=["DELETE"]),
            Route("/admin/arrivals", self._awaited(self._arrive), methods=["POST"]),
            Route("/admin/calls", self._handler(self._calls), methods=["GET", "DELETE"]),
        ]

    def _handler(self, act: Callable[[Request, Any], JsonObject]) -> Callable[[Request], Awaitable[Response]]:
        async def at_once(request: Request, body: Any) -> JsonObject:
            return act(request, body)

        return self._awaited(at_once)

    def _awaited(
        self, act: Callable[[Request, Any], Awaitable[JsonObject]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            raw = await request.body()
            try:
                body = await act(request, parse(raw) if raw else {})
            except (AdminError, UnknownSwitchError, UnknownTemperError, NotJsonError, TypeError, ValueError) as error:
                return Response(render({"error": str(error)}), 400, media_type="application/json")
            return Response(render(body), media_type="application/json")

        return handle

    def _state(self, request: Request, body: Any) -> JsonObject:
        del request, body
        server = self._server
        return {
            "now": stamp_millis(server.clock.now().timestamp()),
            "companies": list(server.companies),
            "limits": _as_json(server.limits),
            "switches": {name: getattr(server.switches, name) for name in server.switches.__dataclass_fields__},
            "visibility_seconds": server.visibility_seconds,
            "latency_seconds": server.latency_seconds,
            "faults": [rule.as_json() for rule in self._tempers().rules],
        }

    def _clock(self, request: Request, body: Any) -> JsonObject:
        """`{"shift_seconds": 3600}`, `{"stop_at": "2026-01-31T22:30:00-06:00"}` or `{"run": true}`."""
        clock = self._server.clock
        if "stop_at" in body:
            moment = parse_moment(str(body["stop_at"]))
            if moment is None:
                raise AdminError("stop_at is a date-time with an offset.")
            clock.stop(datetime.fromtimestamp(moment).astimezone())
        elif "shift_seconds" in body:
            clock.shift(timedelta(seconds=float(body["shift_seconds"])))
        elif body.get("run"):
            clock.run()
        else:
            raise AdminError("Say shift_seconds, stop_at or run.")
        return self._state(request, body)

    def _limits(self, request: Request, body: Any) -> JsonObject:
        """`{"preset": "real"}` or `"off"`, or some of those that :class:`Limits` has."""
        preset = {"real": REAL, "off": UNLIMITED}
        if "preset" in body:
            if body["preset"] not in preset:
                raise AdminError("preset is real or off.")
            self._server.limits = preset[body["preset"]]
        else:
            self._server.limits = Limits(**{name: int(value) for name, value in body.items()})
        return self._state(request, body)

    def _switches(self, request: Request, body: Any) -> JsonObject:
        for name, value in body.items():
            self._server.set_switch(name, value)
        return self._state(request, body)

    def _visibility(self, request: Request, body: Any) -> JsonObject:
        """`{"seconds": 5}`: queries and captures show a change only after so long."""
        self._server.visibility_seconds = float(body["seconds"])
        return self._state(request, body)

    def _latency(self, request: Request, body: Any) -> JsonObject:
        """`{"seconds": 0.2}`: every call takes so long, and counts as concurrent meanwhile."""
        self._server.latency_seconds = float(body["seconds"])
        return self._state(request, body)

    def _tokens(self, request: Request, body: Any) -> JsonObject:
        """`{"expire_access": true}`: all access tokens are dead, refresh tokens live."""
        if body.get("expire_access") is not True:
            raise AdminError("Say expire_access.")
        self._server.authority.expire_access_tokens()
        return self._state(request, body)

    def _companies(self, request: Request, body: Any) -> JsonObject:
        """`{"realm": "2", "sample": "generated", "invoices": 1000}`: one more company; answers with its tokens."""
        del request
        sample = body.get("sample", "empty")
        if sample not in get_args(Sample) or not body.get("realm"):
            raise AdminError("Say realm, and sample craigs, empty or generated.")
        if str(body["realm"]) in self._server.companies:
            raise AdminError("There is such a company already.")
        keys = self._server.add_company(str(body["realm"]), sample, int(body.get("invoices", 0)))
        return {"realm_id": keys.realm_id, "access_token": keys.access_token, "refresh_token": keys.refresh_token}

    def _merge(self, request: Request, body: Any) -> JsonObject:
        """`{"realm": "1", "entity": "Customer", "id": "7", "into": "8"}`: 7 is gone for good, 8 has what it had."""
        known = body.get("realm") in self._server.companies
        if not known or body.get("entity", "Customer") not in {"Customer", "Vendor"}:
            raise AdminError("Say realm, entity (Customer or Vendor), id and into.")
        try:
            self._server.merge(body["realm"], body.get("entity", "Customer"), str(body["id"]), str(body["into"]))
        except FaultError as error:
            raise AdminError(str(error)) from error
        return self._state(request, body)

    def _keep(self, request: Request, body: Any) -> JsonObject:
        """`{"realm": "1", "name": "monday"}`: remember all of a company's records as they are now."""
        del request
        realm, name = self._kept(body)
        self._server.keep(realm, name)
        return {"kept": name}

    def _put_back(self, request: Request, body: Any) -> JsonObject:
        """`{"realm": "1", "name": "monday"}`: all of a company's records as they were when they were kept."""
        del request
        realm, name = self._kept(body)
        if (realm, name) not in self._server.moments:
            raise AdminError(f"Nothing of company {realm} was kept under the name {name}.")
        self._server.put_back(realm, name)
        return {"put_back": name}

    def _kept(self, body: Any) -> tuple[str, str]:
        if body.get("realm") not in self._server.companies or not body.get("name"):
            raise AdminError("Say realm and name.")
        return body["realm"], str(body["name"])

    async def _arrive(self, request: Request, body: Any) -> JsonObject:
        """The calls that are still under way (rule `late`) arrive now, in their order."""
        del request, body
        return {"arrived": await self._tempers().arrive()}

    def _webhooks(self, request: Request, body: Any) -> JsonObject:
        """`{"url": "http://127.0.0.1:9/hook", "verifier": "key", "format": "legacy"}`; GET shows what was sent."""
        deliveries = self._server.deliveries
        if request.method == "POST":
            if body.get("format", "cloudevents") not in get_args(Format):
                raise AdminError("format is legacy or cloudevents.")
            deliveries.add(Target(**body))
        if request.method == "DELETE":
            deliveries.targets.clear()
            deliveries.sent.clear()
        return {"targets": [target.as_json() for target in deliveries.targets], "sent": list(deliveries.sent)}

    def _faults(self, request: Request, body: Any) -> JsonObject:
        tempers = self._tempers()
        if request.method == "POST":
            return tempers.add(temper_of(body)).as_json()
        if request.method == "DELETE":
            tempers.remove()
        return {"faults": [rule.as_json() for rule in tempers.rules]}

    def _fault(self, request: Request, body: Any) -> JsonObject:
        del body
        self._tempers().remove(request.path_params["number"])
        return {"faults": [rule.as_json() for rule in self._tempers().rules]}

    def _calls(self, request: Request, body: Any) -> JsonObject:
        """What was called since the start, or since the last DELETE."""
        del body
        if request.method == "DELETE":
            self._tempers().forget_calls()
        return {"count": self._tempers().count, "calls": list(self._tempers().calls)}


def _as_json(limits: Limits) -> JsonObject:
    return {name: getattr(limits, name) for name in limits.__dataclass_fields__}
