"""The process: how it starts, stops, remembers and keeps its secrets."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from reconcile.sandbox.quickbooks.process import QuickBooksSandbox, SandboxNotStartedError, running_quickbooks


def created(sandbox: QuickBooksSandbox, name: str) -> dict[str, str]:
    url = f"{sandbox.base_url}/v3/company/{sandbox.realm_id}/customer?requestid={name}"
    headers = {"Authorization": f"Bearer {sandbox.access_token}"}
    customer: dict[str, str] = requests.post(url, json={"DisplayName": name}, headers=headers, timeout=10).json()[
        "Customer"
    ]
    return customer


def test_secrets_are_not_in_its_description() -> None:
    with running_quickbooks("empty") as sandbox:
        for secret in (sandbox.client_secret, sandbox.access_token, sandbox.refresh_token):
            assert secret not in repr(sandbox)
        assert sandbox.realm_id in repr(sandbox)
        os.kill(sandbox.pid, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_when_told_to_stop(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "reconcile.sandbox.quickbooks", "--sample", "empty"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b'{"base_url": "http://127.0.0.1:')
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, b"", b"")


def test_it_does_not_outlive_a_process_that_is_killed() -> None:
    code = (
        "from reconcile.sandbox.quickbooks.process import running_quickbooks\n"
        "with running_quickbooks('empty') as sandbox:\n"
        "    print(sandbox.pid, flush=True); input()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        os.kill(pid, 0)
        starter.kill()
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("it is still there")


def test_a_state_file_keeps_company_tokens_and_answers(tmp_path: Path) -> None:
    state = tmp_path / "books.sqlite"
    with running_quickbooks("empty", state=state, realm="1") as first:
        customer = created(first, "Kept")
        os.kill(first.pid, signal.SIGKILL)
    with running_quickbooks("empty", state=state, realm="1") as second:
        assert created(replace(first, base_url=second.base_url), "Kept") == customer
        assert second.client_id == first.client_id
        assert second.refresh_token == first.refresh_token
        assert int(created(second, "Next")["Id"]) == int(customer["Id"]) + 1


def test_a_state_file_is_kept_by_one_process_and_says_which_companies_it_has(tmp_path: Path) -> None:
    state = tmp_path / "books.sqlite"
    with running_quickbooks("empty", state=state) as first:
        customer = created(first, "Kept")
        with pytest.raises(SandboxNotStartedError, match=r"in use by another local QuickBooks\. Stop that one"):
            running_quickbooks("empty", state=state).__enter__()
    with running_quickbooks("empty", state=state) as second:
        assert second.realm_id == first.realm_id
        assert created(replace(first, base_url=second.base_url), "Kept") == customer


def test_a_state_file_that_cannot_be_used_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(SandboxNotStartedError, match=r"cannot be opened \(No such file or directory"):
        running_quickbooks("empty", state=tmp_path / "nowhere" / "books.sqlite").__enter__()
    other = tmp_path / "letter.txt"
    other.write_text("Dear customer, " * 100, encoding="utf-8")
    with pytest.raises(SandboxNotStartedError, match="is no file of a local QuickBooks"):
        running_quickbooks("empty", state=other).__enter__()
    assert other.read_text(encoding="utf-8") == "Dear customer, " * 100


def test_two_companies_do_not_see_each_other() -> None:
    with running_quickbooks("empty", realm=["1", "2"]) as sandbox:
        assert sandbox.realm_id == "1"
        url = f"{sandbox.base_url}/v3/company/2/preferences"
        assert (
            requests.get(url, headers={"Authorization": f"Bearer {sandbox.access_token}"}, timeout=10).status_code
            == 403
        )


def test_real_limits_refuse_the_eleventh_call_of_a_second_in_xml() -> None:
    with running_quickbooks("empty", limits="real") as sandbox, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {sandbox.access_token}"
        url = f"{sandbox.base_url}/v3/company/{sandbox.realm_id}/preferences"
        answers = [session.get(url, timeout=10) for _ in range(11)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert refused[0].headers["Content-Type"] == "application/xml;charset=UTF-8"
    assert "message=ThrottleExceeded; errorCode=003001; statusCode=429" in refused[0].text
    assert "Retry-After" not in refused[0].headers


def test_a_port_in_use_and_an_unknown_switch_are_said_in_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with (
            pytest.raises(SandboxNotStartedError, match="Address already in use"),
            running_quickbooks("empty", port=taken.getsockname()[1]),
        ):
            pass
    with (
        pytest.raises(SandboxNotStartedError, match="There is no switch 'colour'"),
        running_quickbooks("empty", switch=["colour=red"]),
    ):
        pass
