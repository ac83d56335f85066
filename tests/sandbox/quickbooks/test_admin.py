"""The admin resource: a server that can be made to misbehave in every way that the next tests need."""

import concurrent.futures
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
import requests

from reconcile.sandbox.quickbooks.process import QuickBooksSandbox, running_quickbooks

Call = Callable[..., requests.Response]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[QuickBooksSandbox]:
    with running_quickbooks("empty", admin=True, realm="1") as running:
        yield running


@pytest.fixture
def admin(sandbox: QuickBooksSandbox) -> Iterator[Callable[..., Any]]:
    def ask(method: str, path: str, body: Any = None) -> Any:
        response = requests.request(method, f"{sandbox.base_url}/admin{path}", json=body, timeout=10)
        assert response.status_code == 200, response.text
        return response.json()

    yield ask
    ask("DELETE", "/faults")
    ask("POST", "/limits", {"preset": "off"})
    ask("POST", "/visibility", {"seconds": 0})
    ask("POST", "/latency", {"seconds": 0})
    ask("POST", "/clock", {"run": True})


def exists(call: Call, name: str) -> bool:
    return bool(call("GET", f"query?query=select * from Customer where DisplayName = '{name}'").json()["QueryResponse"])


def test_without_being_asked_for_it_is_not_there() -> None:
    with running_quickbooks("empty") as plain:
        assert requests.get(f"{plain.base_url}/admin", timeout=10).status_code == 404


def test_a_call_fails_before_or_after_its_effect(admin: Any, call: Call) -> None:
    for moment, happened in (("before", False), ("after", True)):
        admin(
            "POST", "/faults", {"action": "status", "status": 503, "moment": moment, "resource": "customer", "times": 1}
        )
        assert call("POST", "customer", json={"DisplayName": f"status {moment}"}).status_code == 503
        assert exists(call, f"status {moment}") is happened


@pytest.mark.parametrize("action", ["reset", "lost_reply"])
@pytest.mark.parametrize(("moment", "happened"), [("before", False), ("after", True)])
def test_a_connection_dies_without_an_answer(admin: Any, call: Call, action: str, moment: str, happened: bool) -> None:
    admin("POST", "/faults", {"action": action, "moment": moment, "method": "POST", "resource": "customer", "times": 1})
    with pytest.raises(requests.ConnectionError):
        call("POST", "customer", json={"DisplayName": f"{action} {moment}"})
    assert exists(call, f"{action} {moment}") is happened


def test_only_the_calls_named_go_wrong(admin: Any, call: Call) -> None:
    admin("POST", "/faults", {"action": "html", "status": 502, "resource": "preferences", "calls": [2, 4]})
    answers = [call("GET", "preferences") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 502, 200, 502, 200]
    assert answers[1].headers["Content-Type"] == "text/html"
    assert admin("GET", "")["faults"][0]["fired"] == 2


def test_chance_is_drawn_from_its_seed(admin: Any, call: Call) -> None:
    def drawn() -> list[int]:
        admin("DELETE", "/faults")
        admin("POST", "/faults", {"action": "status", "status": 500, "probability": 0.5, "seed": 7})
        return [call("GET", "preferences").status_code for _ in range(12)]

    first = drawn()
    assert {200, 500} == set(first)
    assert drawn() == first


def test_a_fault_hides_in_a_200(admin: Any, call: Call) -> None:
    admin("POST", "/faults", {"action": "fault_with_200", "code": 6000, "body": "Please wait", "times": 1})
    response = call("GET", "preferences")
    assert (response.status_code, response.json()["Fault"]["Error"][0]["code"]) == (200, "6000")


def test_an_answer_is_cut_off(admin: Any, call: Call) -> None:
    admin("POST", "/faults", {"action": "truncate", "moment": "after", "keep": 30, "times": 1})
    with pytest.raises(requests.RequestException):
        call("GET", "preferences")


def test_an_answer_trickles(admin: Any, call: Call) -> None:
    admin("POST", "/faults", {"action": "trickle", "seconds": 0.5, "times": 1})
    response = call("GET", "preferences", stream=True)
    assert len(response.raw.read(1)) == 1
    response.close()


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_batch_answer_loses_an_item(admin: Any, call: Call, encoding: str) -> None:
    admin("POST", "/faults", {"action": "batch_drop", "items": [1], "resource": "batch", "times": 1})
    items = [{"bId": str(place), "Query": "select * from Term"} for place in range(3)]
    answers = call("POST", "batch", json={"BatchItemRequest": items}, headers={"Accept-Encoding": encoding})
    assert [answer["bId"] for answer in answers.json()["BatchItemResponse"]] == ["0", "2"]


def test_the_token_endpoint_can_fail_after_it_has_rotated(admin: Any, sandbox: QuickBooksSandbox) -> None:
    admin("POST", "/faults", {"action": "lost_reply", "moment": "after", "resource": "token", "times": 1})
    form = {"grant_type": "refresh_token", "refresh_token": sandbox.refresh_token}
    with pytest.raises(requests.ConnectionError):
        requests.post(
            f"{sandbox.base_url}/oauth2/v1/tokens/bearer",
            data=form,
            auth=(sandbox.client_id, sandbox.client_secret),
            timeout=10,
        )


def test_a_company_goes_back_to_what_it_was(admin: Any, call: Call) -> None:
    made = call("POST", "customer", json={"DisplayName": "kept"}).json()["Customer"]
    admin("POST", "/keep", {"realm": "1", "name": "monday"})
    before = call("GET", "query?query=select * from Customer").json()["QueryResponse"]
    new = call("POST", "customer?requestid=once", json={"DisplayName": "new since"}).json()["Customer"]
    change = {"Id": made["Id"], "SyncToken": made["SyncToken"], "sparse": True, "DisplayName": "otherwise"}
    assert call("POST", "customer", json=change).status_code == 200
    admin("POST", "/put-back", {"realm": "1", "name": "monday"})
    assert call("GET", "query?query=select * from Customer").json()["QueryResponse"] == before
    assert exists(call, "kept")
    assert not exists(call, "otherwise")
    again = call("POST", "customer?requestid=once", json={"DisplayName": "new since"}).json()["Customer"]
    assert again["Id"] == new["Id"], "its ids go on from where they stood, and it has forgotten the request"
    assert exists(call, "new since")
    call("POST", "customer", json={"Id": again["Id"], "SyncToken": "0", "sparse": True, "Active": False})


def test_only_what_was_kept_can_be_put_back(sandbox: QuickBooksSandbox) -> None:
    address = f"{sandbox.base_url}/admin/put-back"
    answer = requests.post(address, json={"realm": "1", "name": "never"}, timeout=10)
    assert answer.json()["error"] == "Nothing of company 1 was kept under the name never."
    assert requests.post(address, json={"realm": "2", "name": "never"}, timeout=10).status_code == 400


def test_a_company_in_a_file_says_that_it_cannot_go_back(tmp_path: Any) -> None:
    with running_quickbooks("empty", admin=True, realm="1", state=tmp_path / "kept.db") as running:
        answer = requests.post(f"{running.base_url}/admin/keep", json={"realm": "1", "name": "a"}, timeout=10)
    assert answer.status_code == 400
    assert "start it without --state" in answer.json()["error"]


def test_a_call_under_way_arrives_when_it_is_told_to(admin: Any, call: Call) -> None:
    admin("POST", "/faults", {"action": "late", "method": "POST", "resource": "customer", "times": 1})
    with pytest.raises(requests.ConnectionError):
        call("POST", "customer", json={"DisplayName": "under way"})
    assert not exists(call, "under way")
    assert admin("POST", "/arrivals") == {"arrived": 1}
    assert exists(call, "under way")
    assert admin("POST", "/arrivals") == {"arrived": 0}


@pytest.mark.parametrize(("request_id", "made"), [("?requestid=doubled", True), ("", False)])
def test_a_call_delivered_twice_happens_twice_unless_it_has_a_request_id(
    admin: Any, call: Call, request_id: str, made: bool
) -> None:
    admin("POST", "/faults", {"action": "twice", "method": "POST", "resource": "customer", "times": 1})
    answer = call("POST", f"customer{request_id}", json={"DisplayName": f"doubled, {made}"})
    assert (answer.status_code == 200) is made, answer.text
    assert exists(call, f"doubled, {made}")


def test_the_clock_stops_on_any_night_and_tokens_age_with_it() -> None:
    with running_quickbooks("empty", admin=True) as night:
        tomorrow = datetime.now(UTC).date() + timedelta(days=1)

        def clock(body: Any) -> Any:
            return requests.post(f"{night.base_url}/admin/clock", json=body, timeout=10).json()["now"]

        def company_time(token: str) -> Any:
            url = f"{night.base_url}/v3/company/{night.realm_id}/preferences"
            return requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10).json()["time"]

        assert clock({"stop_at": f"{tomorrow}T22:30:00Z"}).startswith(f"{tomorrow}T1")
        assert isinstance(company_time(night.access_token), int)
        token = requests.post(
            f"{night.base_url}/oauth2/v1/tokens/bearer",
            data={"grant_type": "refresh_token", "refresh_token": night.refresh_token},
            auth=(night.client_id, night.client_secret),
            timeout=10,
        ).json()["access_token"]
        assert company_time(token)[16:19] == ":00"
        clock({"shift_seconds": 75})
        assert company_time(token)[13:19] == ":31:15"
        clock({"run": True})


def test_a_change_shows_late_in_queries_but_at_once_in_a_read(admin: Any, call: Call) -> None:
    admin("POST", "/visibility", {"seconds": 1800})
    made = call("POST", "customer", json={"DisplayName": "Late"}).json()["Customer"]
    assert not exists(call, "Late")
    assert call("GET", f"customer/{made['Id']}").status_code == 200
    admin("POST", "/clock", {"shift_seconds": 1801})
    assert exists(call, "Late")
    admin("POST", "/clock", {"shift_seconds": -1801})
    assert not exists(call, "Late")
    admin("POST", "/visibility", {"seconds": 0})
    assert exists(call, "Late")


def test_access_tokens_can_be_ended_at_once() -> None:
    with running_quickbooks("empty", admin=True) as short:
        requests.post(f"{short.base_url}/admin/tokens", json={"expire_access": True}, timeout=10)
        url = f"{short.base_url}/v3/company/{short.realm_id}/preferences"
        headers = {"Authorization": f"Bearer {short.access_token}"}
        assert requests.get(url, headers=headers, timeout=10).status_code == 401


def test_calls_at_the_same_time_are_limited(admin: Any, sandbox: QuickBooksSandbox) -> None:
    keys = admin("POST", "/companies", {"realm": "77", "sample": "empty"})
    address = admin("GET", "")["companies"]
    assert "77" in address
    admin("POST", "/latency", {"seconds": 0.2})
    admin("POST", "/limits", {"concurrent": 2})
    base = sandbox.base_url

    def one(_: int) -> int:
        headers = {"Authorization": f"Bearer {keys['access_token']}"}
        return requests.get(f"{base}/v3/company/77/preferences", headers=headers, timeout=10).status_code

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(one, range(4)))
    assert statuses == [200, 200, 429, 429]


def test_it_takes_no_latency_to_be_at_the_same_time(admin: Any, sandbox: QuickBooksSandbox) -> None:
    keys = admin("POST", "/companies", {"realm": "78", "sample": "empty"})
    admin("POST", "/limits", {"concurrent": 1})
    url = f"{sandbox.base_url}/v3/company/78/preferences"
    headers = {"Authorization": f"Bearer {keys['access_token']}"}
    with requests.Session() as session:
        alone = [session.get(url, headers=headers, timeout=10).status_code for _ in range(12)]
    assert alone == [200] * 12
    together = threading.Barrier(8)

    def one(_: int) -> int:
        with requests.Session() as session:
            together.wait(10)
            return session.get(url, headers=headers, timeout=10).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = set(pool.map(one, range(8)))
    assert statuses == {200, 429}


def test_batches_and_the_month_s_reads_have_limits_of_their_own(admin: Any, sandbox: QuickBooksSandbox) -> None:
    keys = admin("POST", "/companies", {"realm": "79", "sample": "empty"})
    base = f"{sandbox.base_url}/v3/company/79"
    headers = {"Authorization": f"Bearer {keys['access_token']}"}

    def batch() -> int:
        items = [{"bId": "1", "Query": "select * from Term"}]
        return requests.post(f"{base}/batch", json={"BatchItemRequest": items}, headers=headers, timeout=10).status_code

    def read() -> int:
        return requests.get(f"{base}/preferences", headers=headers, timeout=10).status_code

    admin("POST", "/limits", {"batches_per_minute": 2})
    assert [batch() for _ in range(3)] == [200, 200, 429]
    assert read() == 200
    admin("POST", "/limits", {"reads_per_month": 4})
    assert [read() for _ in range(4)] == [200, 200, 200, 429]
    assert batch() == 200
    admin("POST", "/clock", {"shift_seconds": 32 * 86_400})
    admin("POST", "/tokens", {"expire_access": True})
    assert read() == 401


def test_a_401_may_come_in_xml(admin: Any, call: Call) -> None:
    rule = {"action": "xml_fault", "status": 401, "code": 100, "resource": "preferences", "times": 1}
    detail = "AuthenticationErrorGeneral: SRV-110-Authentication Failure , statusCode: 401"
    admin("POST", "/faults", {**rule, "body": detail})
    answer = call("GET", "preferences")
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/xml;charset=UTF-8")
    assert '<Fault type="AuthenticationFault"><Error code="100">' in answer.text
    assert detail in answer.text


def test_every_call_is_counted(admin: Any, call: Call) -> None:
    admin("DELETE", "/calls")
    call("GET", "preferences")
    counted = admin("GET", "/calls")
    assert counted["count"] == 1
    assert counted["calls"][0]["resource"] == "preferences"


def test_a_rule_that_cannot_be_understood_is_refused_with_a_sentence(sandbox: QuickBooksSandbox) -> None:
    for body in ({"action": "explode"}, {"colour": "red"}, {"action": "reset", "moment": "never"}):
        response = requests.post(f"{sandbox.base_url}/admin/faults", json=body, timeout=10)
        assert response.status_code == 400
        assert response.json()["error"]


@pytest.mark.parametrize("limit", ["batches_per_minute", "company_batches_per_minute"])
def test_batches_are_limited_for_a_program_and_for_all(admin: Any, sandbox: QuickBooksSandbox, limit: str) -> None:
    company = Counted(admin, sandbox)
    admin("POST", "/limits", {limit: 2})
    items = [{"bId": "1", "Query": "select * from Term"}]
    assert [company.post("batch", BatchItemRequest=items) for _ in range(3)] == [200, 200, 429]
    assert company.get("preferences") == 200


def test_reports_have_a_limit_of_their_own(admin: Any, sandbox: QuickBooksSandbox) -> None:
    company, other = Counted(admin, sandbox), Counted(admin, sandbox)
    admin("POST", "/limits", {"reports_per_minute": 2})
    assert [company.get(f"reports/{name}") for name in ("CustomerBalance", "AgedReceivables", "CustomerBalance")] == [
        200,
        200,
        429,
    ]
    assert company.get("preferences") == 200
    assert other.get("reports/CustomerBalance") == 200


def test_a_sandbox_company_mails_so_often_a_day(admin: Any, sandbox: QuickBooksSandbox) -> None:
    admin("POST", "/switches", {"access_token_seconds": 10 * 86_400})
    company, other = Counted(admin, sandbox, "craigs"), Counted(admin, sandbox, "craigs")
    admin("POST", "/limits", {"mails_per_day": 2})
    here, nowhere = "invoice/130/send?sendTo=a@example.com", "invoice/130/send?sendTo=nobody"
    assert [company.post(nowhere) for _ in range(3)] == [400] * 3
    assert [company.post(here) for _ in range(3)] == [200, 200, 429]
    assert company.get("invoice/130") == 200
    assert other.post(here) == 200
    admin("POST", "/switches", {"mail_limit_answer": "fault"})
    refused = company.post(here)
    admin("POST", "/switches", {"mail_limit_answer": "throttled", "access_token_seconds": 3_600})
    assert refused == 400
    assert company.said.json()["Fault"]["Error"][0]["code"] == "6000"
    assert "no more than 2 emails a day" in company.said.text
    admin("POST", "/clock", {"shift_seconds": 86_400})
    assert company.post(here) == 200


def test_real_limits_are_intuit_s(admin: Any) -> None:
    admin("POST", "/limits", {"preset": "real"})
    assert admin("GET", "")["limits"] == {
        "per_second": 10,
        "per_minute": 500,
        "concurrent": 10,
        "batches_per_minute": 40,
        "company_batches_per_minute": 120,
        "reports_per_minute": 200,
        "mails_per_day": 40,
        "reads_per_month": 0,
    }


class Counted:
    """A company of its own, for whose calls only the status counts."""

    def __init__(self, admin: Any, sandbox: QuickBooksSandbox, sample: str = "empty") -> None:
        self.realm = str(next(_REALMS))
        self.said = requests.Response()
        self._keys = admin("POST", "/companies", {"realm": self.realm, "sample": sample})
        self._base = f"{sandbox.base_url}/v3/company/{self.realm}"

    def get(self, path: str) -> int:
        return self._call("GET", path)

    def post(self, path: str, **body: Any) -> int:
        return self._call("POST", path, json=body or None)

    def _call(self, method: str, path: str, **how: Any) -> int:
        headers = {"Authorization": f"Bearer {self._keys['access_token']}", "Accept": "application/json"}
        self.said = requests.request(method, f"{self._base}/{path}", headers=headers, timeout=10, **how)
        return self.said.status_code


_REALMS = count(8801)
