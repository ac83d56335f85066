import gzip
import os
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

import pytest

from reconcile.errors import (
    Cause,
    ConfigurationError,
    DeferredError,
    DisconnectedError,
    RefusedError,
    UnreachableError,
)
from reconcile.sides.quickbooks import (
    Bounds,
    FaultedError,
    Limiter,
    Limits,
    MemoryTokenStore,
    Patience,
    QuickBooksConnection,
    Tokens,
)
from reconcile.sides.quickbooks.transport import Connections, Deadline, NoConnectionError, exchange
from tests.sides.quickbooks.conftest import ACCESS, REFRESH, SECRET, Said, Server, World, said, tokens, world_of

EXPIRED = said(
    {
        "warnings": None,
        "fault": {
            "error": [
                {
                    "message": "message=AuthenticationFailed; errorCode=003200; statusCode=401",
                    "detail": f"Token expired: {ACCESS}",
                    "code": "3200",
                    "element": None,
                }
            ],
            "type": "AUTHENTICATION",
        },
        "time": 1730024394085,
    },
    status=401,
)
THROTTLED = Said(
    429,
    b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><IntuitResponse time="2020-01-01T00:00:00-08:00" '
    b'xmlns="http://schema.intuit.com/finance/v3"><Fault type="SERVICE"><Error code="3001"><Message>message=ThrottleEx'
    b"ceeded; errorCode=003001; statusCode=429</Message><Detail>The request limit was reached.  Try again later"
    b"</Detail></Error></Fault></IntuitResponse>",
    "application/xml;charset=UTF-8",
)
DUPLICATE = said(
    {
        "Fault": {
            "Error": [
                {
                    "Message": "Duplicate Name Exists Error",
                    "Detail": "The name supplied already exists. : Id=58",
                    "code": "6240",
                    "element": "",
                }
            ],
            "type": "ValidationFault",
        },
        "time": "2025-08-01T09:19:21.923-07:00",
    },
    status=400,
)
TROUBLE = Said(503, b"<html><body>Service Unavailable</body></html>", "text/html")
INTERNAL = Said(500, b"<html><body>Internal Server Error</body></html>", "text/html")
GOOD = said({"CompanyInfo": {"Id": "1", "CompanyName": "Craig's"}, "time": "2025-08-01T09:19:21.923-07:00"})


def read(world: World) -> object:
    return world.session.get(world.session.address("companyinfo", "1"))


def write(world: World, request_id: str = "request-1") -> object:
    return world.session.call(
        "POST", world.session.address("customer"), body={"DisplayName": "Cool Cars"}, request_id=request_id
    )


def test_a_call_carries_token_minor_version_and_request_id_and_gives_back_intuits_trace(world: World) -> None:
    world.server.script = [GOOD]

    answer = write(world)

    asked = world.server.asked[0]
    assert asked.path == "/v3/company/4620816365/customer"
    assert asked.query == {"minorversion": "75", "requestid": "request-1"}
    assert asked.token == ACCESS
    assert answer.trace == "1-5f0f-trace"


def test_the_callers_parameters_stay_as_they_are(world: World) -> None:
    world.server.script = [GOOD]
    params = {"include": "void"}

    world.session.post(world.session.address("payment"), {}, params=params, request_id="r")

    assert params == {"include": "void"}


def test_amounts_are_exact_from_the_first_byte(world: World) -> None:
    world.server.script = [Said(body=b'{"Invoice": {"TotalAmt": 10.10}}')]

    content = read(world)

    assert str(content["Invoice"]["TotalAmt"]) == "10.10"


def test_an_expired_token_is_renewed_once_saved_before_use_and_the_request_repeated(server: Server) -> None:
    saved_when = []

    class Store(MemoryTokenStore):
        def save(self, tokens: Tokens) -> None:
            saved_when.append(len(server.asked))
            super().save(tokens)

    world = world_of(server, store=Store(Tokens(ACCESS, REFRESH)))
    server.script = [EXPIRED, GOOD]

    assert read(world)["CompanyInfo"]["CompanyName"] == "Craig's"

    assert [asked.token for asked in server.asked] == [ACCESS, "canary-access-1"]
    assert saved_when == [1]
    kept = world.store.load()
    assert (kept.refresh_token, kept.previous_refresh_token) == ("canary-refresh-1", REFRESH)
    assert kept.access_expires_at is not None
    assert kept.refresh_expires_at is not None


def test_a_token_refused_even_freshly_renewed_is_a_refusal_that_says_reconnect(world: World) -> None:
    world.server.script = [EXPIRED, EXPIRED]

    with pytest.raises(RefusedError, match="Connect this company to QuickBooks again") as caught:
        read(world)

    assert world.server.refreshes == 1
    assert ACCESS not in str(caught.value)


def test_many_threads_renew_the_token_once(server: Server) -> None:
    world = world_of(server)
    server.answer = lambda asked: EXPIRED if asked.token == ACCESS else GOOD

    threads = [threading.Thread(target=read, args=(world,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert server.refreshes == 1


def test_a_renewal_that_was_lost_after_rotating_is_tried_once_with_the_previous_token(server: Server) -> None:
    tried = []

    def token_reply(form: dict[str, str]) -> Said:
        tried.append(form["refresh_token"])
        return tokens(7) if form["refresh_token"] == "older" else said({"error": "invalid_grant"}, status=400)

    server.token_reply = token_reply
    server.answer = lambda asked: GOOD if asked.token == "canary-access-7" else EXPIRED
    world = world_of(server, store=MemoryTokenStore(Tokens(ACCESS, REFRESH, previous_refresh_token="older")))

    read(world)

    assert tried == [REFRESH, "older"]


def test_a_revoked_connection_needs_reconnect_and_is_not_tried_on_and_on(world: World) -> None:
    world.server.token_reply = lambda _: said(
        {"error": "invalid_grant", "error_description": "Incorrect or invalid refresh token"}, status=400
    )
    world.server.script = [EXPIRED]

    with pytest.raises(DisconnectedError, match="needs reconnect") as caught:
        read(world)
    assert str(caught.value).count("reconcile connect") == 1

    assert world.server.refreshes == 1


def test_wrong_credentials_of_the_program_are_told_apart(world: World) -> None:
    world.server.token_reply = lambda _: said({"error": "invalid_client"}, status=401)
    world.server.script = [EXPIRED]

    with pytest.raises(RefusedError, match="client id and secret"):
        read(world)


def test_a_token_for_another_company_is_refused_with_words(world: World) -> None:
    fault = {"message": "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403", "code": "3100"}
    world.server.script = [said({"fault": {"error": [fault], "type": "SERVICE"}}, status=403)]

    with pytest.raises(RefusedError, match="not for this QuickBooks company") as caught:
        read(world)

    assert "1-5f0f-trace" in str(caught.value)


def test_throttling_in_xml_is_waited_out_with_the_same_request_id_and_seen(world: World) -> None:
    world.server.script = [THROTTLED, GOOD]

    write(world)

    assert [asked.query["requestid"] for asked in world.server.asked] == ["request-1", "request-1"]
    assert world.waits == [("QuickBooks asks for fewer requests", 60.0)]


def test_a_wait_that_quickbooks_names_is_kept(world: World) -> None:
    world.server.script = [Said(429, b"", headers={"Retry_After": "7"}), GOOD]

    read(world)

    assert world.waits == [("QuickBooks asks for fewer requests", 7.0)]


def test_throttling_without_end_gives_up_and_says_nothing_was_done(world: World) -> None:
    world.server.answer = lambda _: THROTTLED

    with pytest.raises(DeferredError, match="fewer requests 3 times") as caught:
        write(world)

    assert (caught.value.cause, caught.value.waits, caught.value.doubtful) == (Cause.BUSY, 2, False)
    assert len(world.server.asked) == 3


def test_a_server_in_trouble_is_asked_again_with_growing_waits_and_the_same_request_id(world: World) -> None:
    world.server.script = [TROUBLE, TROUBLE, GOOD]

    write(world)

    assert {asked.query["requestid"] for asked in world.server.asked} == {"request-1"}
    assert [seconds for _, seconds in world.waits] == [0.5, 1.0]


def test_an_internal_error_is_asked_again_once(world: World) -> None:
    world.server.answer = lambda _: INTERNAL

    with pytest.raises(UnreachableError, match="status 500"):
        write(world)

    assert len(world.server.asked) == 2


def test_a_refusal_after_a_lost_answer_is_doubtful(world: World) -> None:
    world.server.script = [TROUBLE, DUPLICATE]

    assert write(world).doubtful


def test_a_refused_token_after_a_lost_answer_is_no_refusal_of_the_write(world: World) -> None:
    world.server.script = [TROUBLE, EXPIRED, EXPIRED]

    with pytest.raises(UnreachableError, match="lost an answer"):
        write(world)


def test_a_fault_is_a_value_with_code_and_detail(world: World) -> None:
    world.server.script = [DUPLICATE]

    (fault,) = write(world).faults

    assert (fault.code, fault.detail) == ("6240", "The name supplied already exists. : Id=58")


def test_a_fault_inside_a_good_status_is_a_fault(world: World) -> None:
    world.server.script = [Said(200, DUPLICATE.body)]

    assert write(world).faults[0].code == "6240"


def test_the_word_fault_in_a_memo_is_no_fault(world: World) -> None:
    world.server.script = [said({"Invoice": {"Id": "1", "PrivateNote": '"Fault" of the driver'}})]

    assert write(world).faults == ()


def test_a_refused_reading_is_an_error_with_quickbooks_words(world: World) -> None:
    world.server.script = [
        said({"Fault": {"Error": [{"Message": "Invalid query", "Detail": "no property", "code": "4001"}]}}, status=400)
    ]

    with pytest.raises(FaultedError, match="no property"):
        read(world)


def test_an_operation_quickbooks_does_not_offer_is_a_fault_and_not_asked_again(world: World) -> None:
    fault = {"Message": "Unsupported Operation", "Detail": "Operation x is not supported.", "code": "500"}
    world.server.script = [said({"Fault": {"Error": [fault], "type": "ValidationFault"}}, status=500)]

    assert write(world).faults[0].code == "500"
    assert len(world.server.asked) == 1


@pytest.mark.parametrize("body", [b'{"Customer": {"Id": "5"', b"", b'{"Customer": NaN}'])
def test_a_cut_off_answer_to_a_write_is_unknown_and_not_repeated(world: World, body: bytes) -> None:
    world.server.script = [Said(200, body), GOOD]

    with pytest.raises(UnreachableError, match="cut off"):
        write(world)

    assert len(world.server.asked) == 1


def test_a_cut_off_answer_to_a_reading_is_read_again(world: World) -> None:
    world.server.script = [Said(200, b'{"CompanyInfo": {'), GOOD]

    assert read(world)["CompanyInfo"]["Id"] == "1"


def test_a_sign_in_page_of_the_network_is_named_as_such(world: World) -> None:
    world.server.answer = lambda _: Said(200, b"<html>Welcome to the hotel</html>", "text/html")

    with pytest.raises(UnreachableError, match="web page in its place"):
        write(world)


def test_a_redirect_is_not_followed_with_our_token(world: World) -> None:
    world.server.script = [Said(302, b"", headers={"Location": "/elsewhere"})]

    with pytest.raises(UnreachableError, match="send us elsewhere"):
        read(world)

    assert len(world.server.asked) == 1


def silent(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(1.0)


def trickle(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    try:
        for _ in range(20):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.1)
    except OSError:
        return


def trickle_from_the_first_byte(handler: BaseHTTPRequestHandler) -> None:
    try:
        for letter in "HTTP/1.1 200 OK ":
            handler.wfile.write(letter.encode())
            handler.wfile.flush()
            time.sleep(0.1)
    except OSError:
        return


def reset(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def short(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"Customer": {}}')


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(10_000):
            handler.wfile.write(b" " * 100_000)
    except OSError:
        return


def test_a_silent_server_is_a_time_out(server: Server) -> None:
    world = world_of(server, bounds=Bounds(connect=1, read=0.2, total=5))
    server.script = [Said(raw=silent)]

    with pytest.raises(UnreachableError, match="time-out"):
        write(world)


@pytest.mark.parametrize("drip", [trickle, trickle_from_the_first_byte])
def test_an_answer_that_trickles_is_ended_by_the_deadline_of_the_whole(server: Server, drip: object) -> None:
    world = world_of(server, bounds=Bounds(connect=1, read=1, total=0.4))
    server.script = [Said(raw=drip)]

    with pytest.raises(UnreachableError, match="did not finish its answer"):
        write(world)


def ended_by_its_deadline() -> bool:
    ours, theirs = socket.socketpair()
    with ours, theirs, Deadline(0.05) as deadline:
        ours.settimeout(10)
        Deadline.watch(ours)
        try:
            return ours.recv(1) == b"" and deadline.expired
        except TimeoutError:
            return False


def test_a_short_deadline_does_not_wait_for_longer_ones() -> None:
    with Deadline(3600):
        assert ended_by_its_deadline()
        assert ended_by_its_deadline()


def test_a_deadline_that_was_kept_ends_nothing_later() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with Deadline(0.05) as kept:
            Deadline.watch(ours)
        assert ended_by_its_deadline()
        theirs.send(b"x")
        assert (ours.recv(1), kept.expired) == (b"x", False)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_process_forked_off_keeps_deadlines_too() -> None:
    with Deadline(3600):
        child = os.fork()
        if not child:
            code = 1
            try:
                code = 0 if ended_by_its_deadline() else 1
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("fault", [reset, short])
def test_a_connection_that_breaks_off_says_so(server: Server, fault: object) -> None:
    world = world_of(server)
    server.script = [Said(raw=fault)]

    with pytest.raises(UnreachableError, match="broke off"):
        write(world)


def test_an_answer_without_measure_is_not_read_on(server: Server) -> None:
    world = world_of(server, bounds=Bounds(largest=1 << 20))
    server.script = [Said(raw=endless)] * 3

    with pytest.raises(DeferredError, match="larger than 1 MB") as caught:
        write(world)
    assert (caught.value.cause, caught.value.doubtful) == (Cause.TOO_LARGE, True)
    with pytest.raises(DeferredError, match="larger than 1 MB") as caught:
        read(world_of(server, bounds=Bounds(largest=1 << 20)))
    assert not caught.value.doubtful
    assert len(server.asked) == 2


def elsewhere(server: Server, base_url: str) -> World:
    world = world_of(server, patience=Patience(retries=0))
    connection = QuickBooksConnection(base_url, f"{server.address}/discovery", "1", "client", SECRET)
    return World(server, type(world.session)(connection, world.store, patience=Patience(retries=0)), [], world.store)


def test_name_refusal_and_tls_have_different_words(server: Server) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}"
        words = {}
        for base_url in ("https://quickbooks.invalid", closed, server.address.replace("http:", "https:")):
            with pytest.raises(NoConnectionError) as caught:
                read(elsewhere(server, base_url))
            words[base_url] = str(caught.value)

    dns, refused, tls = words.values()
    assert "could not be found (DNS)" in dns
    assert "refused" in refused
    assert "TLS" in tls


def test_plain_http_to_another_machine_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ConfigurationError, match="unencrypted"):
        QuickBooksConnection("http://quickbooks.example", "https://x.example/d", "1", "client", SECRET)


@pytest.mark.parametrize("address", ["", "ftp://127.0.0.1", "quickbooks.api.intuit.com"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="http"):
        QuickBooksConnection(address, "https://x.example/d", "1", "client", SECRET)


def test_no_secret_stands_in_a_representation_or_an_error(world: World) -> None:
    leaky = {"Message": f"bad {ACCESS}", "Detail": f"{SECRET} {REFRESH}", "code": "2010"}
    world.server.script = [said({"Fault": {"Error": [leaky], "type": "ValidationFault"}}, status=400)]
    with pytest.raises(FaultedError) as caught:
        read(world)

    shown = f"{caught.value} {world.session!r} {world.session.connection!r} {world.store.load()!r}"

    assert not [secret for secret in (ACCESS, REFRESH, SECRET) if secret in shown]


def test_the_limiter_holds_over_any_second_and_minute_and_counts_batches_apart() -> None:
    now = [0.0]
    granted: list[float] = []
    limiter = Limiter(
        Limits(per_second=3, per_minute=10, batches_per_minute=2),
        clock=lambda: now[0],
        sleep=lambda seconds: now.__setitem__(0, now[0] + seconds),
    )

    for _ in range(25):
        limiter.take()
        granted.append(now[0])

    assert all(sum(moment <= other < moment + 1 for other in granted) <= 3 for moment in granted)
    assert all(sum(moment <= other < moment + 60 for other in granted) <= 10 for moment in granted)

    now[0] += 1000
    started = now[0]
    for _ in range(3):
        limiter.take(batch=True)
    assert now[0] == started + 60


def test_a_limit_met_is_said_when_the_wait_is_long(server: Server) -> None:
    now = [0.0]
    limiter = Limiter(
        Limits(per_minute=1), clock=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds)
    )
    world = world_of(server, limiter=limiter)
    server.answer = lambda _: GOOD

    read(world)
    read(world)

    assert world.waits == [("staying within QuickBooks' limit of calls", 60.0)]


def test_every_part_of_an_address_is_quoted(world: World) -> None:
    assert world.session.address("invoice", "../5?x=1").endswith("/invoice/..%2F5%3Fx%3D1")


def test_an_answer_packed_to_explode_is_not_unpacked_on(server: Server) -> None:
    world = world_of(server, bounds=Bounds(largest=1 << 20))
    server.script = [
        Said(body=gzip.compress(b'{"a":"' + b"0" * (1 << 26) + b'"}'), headers={"Content-Encoding": "gzip"})
    ]

    with pytest.raises(UnreachableError, match="larger than 1 MB"):
        write(world)


def test_throttling_for_ever_costs_a_bounded_number_of_calls_whatever_is_asked(world: World) -> None:
    world.server.answer = lambda _: THROTTLED

    for ask in (read, read, write, write, read):
        with pytest.raises(DeferredError):
            ask(world)

    assert len(world.server.asked) == 2 * 3
    assert len(world.waits) == 2 * 2

    world.session._clock = lambda: time.monotonic() + 3600
    world.server.answer = lambda _: GOOD
    assert read(world)


def test_reading_given_up_lets_a_write_in_hand_go_on_but_not_the_other_way_round(world: World) -> None:
    world.server.answer = lambda asked: THROTTLED if asked.method == "GET" else GOOD
    with pytest.raises(DeferredError):
        read(world)
    assert write(world).status == 200

    world.server.answer = lambda asked: THROTTLED if asked.method == "POST" else GOOD
    with pytest.raises(DeferredError):
        write(world)
    asked = len(world.server.asked)
    with pytest.raises(DeferredError):
        read(world)
    assert len(world.server.asked) == asked


def test_a_wait_longer_than_a_run_can_bear_is_told_at_once(world: World) -> None:
    world.server.script = [Said(429, b"", headers={"Retry_After": "7200"})]

    with pytest.raises(DeferredError, match="fewer requests once") as caught:
        read(world)

    assert caught.value.wait == timedelta(hours=2)
    assert world.waits == []


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_that_stays_in_trouble_defers_a_reading_with_its_status(world: World, status: int) -> None:
    world.server.answer = lambda _: Said(status, b"<html>down</html>", "text/html")

    with pytest.raises(DeferredError, match=f"status {status}") as caught:
        read(world)

    assert (caught.value.cause, caught.value.alone) == (Cause.TROUBLE, status == 500)


def test_a_write_that_ends_in_a_bad_gateway_is_unknown_and_nothing_is_sent_after_it(world: World) -> None:
    world.server.answer = lambda _: TROUBLE

    with pytest.raises(DeferredError) as caught:
        write(world)
    assert caught.value.doubtful
    asked = len(world.server.asked)
    with pytest.raises(DeferredError) as caught:
        write(world, "request-2")
    assert not caught.value.doubtful
    assert len(world.server.asked) == asked


def test_one_record_that_breaks_quickbooks_stops_nobody_else_but_three_in_a_row_do(world: World) -> None:
    world.server.answer = lambda _: INTERNAL
    for number in range(2):
        with pytest.raises(UnreachableError) as caught:
            write(world, f"request-{number}")
        assert not isinstance(caught.value, DeferredError)
    world.server.answer = lambda _: GOOD
    assert write(world, "request-2").content

    world.server.answer = lambda _: INTERNAL
    for number in range(3, 6):
        with pytest.raises(UnreachableError) as caught:
            write(world, f"request-{number}")
    assert isinstance(caught.value, DeferredError)
    assert caught.value.doubtful


def test_a_token_address_in_trouble_leaves_a_write_unsent_and_not_unknown(world: World) -> None:
    world.server.token_reply = lambda _: Said(503, b"<html>Service Unavailable</html>", "text/html")
    world.server.script = [EXPIRED]

    with pytest.raises(NoConnectionError, match="could not renew our access"):
        write(world)

    assert world.server.refreshes == 2
    assert world.store.load().ended_at is None


def test_a_token_about_to_expire_is_renewed_before_it_is_refused(server: Server) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=30)
    world = world_of(server, store=MemoryTokenStore(Tokens(ACCESS, REFRESH, access_expires_at=soon)))
    server.answer = lambda _: GOOD

    read(world)
    read(world)

    assert [asked.token for asked in server.asked] == ["canary-access-1"] * 2
    assert server.refreshes == 1


def test_a_dead_connection_is_not_asked_about_twice(world: World) -> None:
    world.server.token_reply = lambda _: said({"error": "invalid_grant"}, status=400)
    world.server.answer = lambda _: EXPIRED

    for _ in range(3):
        with pytest.raises(RefusedError, match="reconcile connect"):
            read(world)

    assert world.server.refreshes == 1


def test_when_intuit_ends_the_consent_is_asked_for_and_kept(server: Server) -> None:
    server.token_reply = lambda _: said(
        {
            "access_token": "canary-access-1",
            "refresh_token": "canary-refresh-1",
            "expires_in": 3600,
            "x_refresh_token_expires_in": 8726400,
            "x_refresh_token_hard_expires_in": 86400,
        }
    )
    server.script = [EXPIRED, GOOD]
    world = world_of(server)

    read(world)

    kept = world.store.load().connection_expires_at
    assert kept is not None
    assert timedelta(hours=23) < kept - datetime.now(UTC) <= timedelta(days=1)


def test_an_answer_of_the_token_address_without_tokens_is_no_token(world: World) -> None:
    world.server.token_reply = lambda _: said({"token_type": "bearer"})
    world.server.script = [EXPIRED]

    with pytest.raises(NoConnectionError, match="did not answer as it should"):
        read(world)

    assert world.store.load().refresh_token == REFRESH


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "http://"])
def test_a_proxy_of_the_environment_is_used_and_named_when_it_fails(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    address = "https://quickbooks.invalid/v3"

    with pytest.raises(NoConnectionError, match="proxy of this network"):
        exchange(Connections(address), "GET", address, headers={}, params={}, body=b"", bounds=Bounds(2, 2, 5))


@pytest.mark.parametrize(
    ("address", "asked"), [("https://quickbooks.invalid/v3", True), ("http://127.0.0.1:1/v3", False)]
)
def test_packed_answers_are_asked_for_over_a_network(address: str, asked: bool) -> None:
    assert ("gzip" in Connections(address).headers["Accept-Encoding"]) is asked


def test_this_machine_is_asked_without_a_proxy(world: World, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server.answer = lambda _: said({"QueryResponse": {}})

    assert world.session.query("select * from Term") == {"QueryResponse": {}}


@pytest.mark.parametrize("status", [200, 400])
def test_an_answer_nested_beyond_all_reason_is_said_to_be_so(world: World, server: Server, status: int) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    server.answer = lambda _: Said(status, b'{"QueryResponse":{"Term":[{"X":' + deep + b"}]}}", "application/json")

    words = "nested more deeply than can be read" if status == 200 else "refused to be read"
    with pytest.raises((UnreachableError, RefusedError), match=words):
        world.session.query("select * from Term")
