"""Files and notes: the upload that each client sends, its faults, and getting the file back."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from quickbooks import QuickBooks
from quickbooks.objects.attachable import Attachable
from quickbooks.objects.base import AttachableRef, Ref

from reconcile.sandbox.quickbooks.process import QuickBooksSandbox, running_quickbooks

Call = Callable[..., requests.Response]
PDF = b"%PDF-1.4\r\n--not a boundary\r\n\x00\xff"


def upload(call: Call, *files: tuple[str, tuple[str, bytes, str]]) -> Any:
    return call("POST", "upload", files=list(files)).json()


def metadata(**body: Any) -> tuple[str, bytes, str]:
    return ("", json.dumps(body).encode(), "application/json")


def test_a_file_comes_back_as_it_was(call: Call) -> None:
    target = {"EntityRef": {"type": "Invoice", "value": "130"}, "IncludeOnSend": False}
    about = metadata(AttachableRef=[target], FileName="terms.pdf", ContentType="application/pdf", Note="signed")
    answer = upload(call, ("file_metadata_01", about), ("file_content_01", ("x.pdf", PDF, "application/pdf")))
    made = answer["AttachableResponse"][0]["Attachable"]
    assert (made["FileName"], made["Size"], made["ContentType"]) == ("terms.pdf", len(PDF), "application/pdf")
    assert made["AttachableRef"] == [target]
    assert made["FileAccessUri"].endswith(f"/download/{made['Id']}")
    fetched = requests.get(made["TempDownloadUri"], timeout=10)
    assert (fetched.content, fetched.headers["Content-Disposition"]) == (PDF, "attachment; filename*=UTF-8''terms.pdf")
    address = call("GET", f"download/{made['Id']}").text
    assert requests.get(address, timeout=10).content == PDF
    forged = address.replace("expires=1", "expires=2")
    assert requests.get(forged, timeout=10).status_code == 403
    query = (
        "select * from Attachable where AttachableRef.EntityRef.Type = 'invoice' "
        "and AttachableRef.EntityRef.value = '130'"
    )
    found = call("GET", f"query?query={query}").json()["QueryResponse"]["Attachable"]
    assert [one["Id"] for one in found] == [made["Id"]]
    assert found[0]["TempDownloadUri"].startswith("http://")


@pytest.mark.parametrize("kind", ["text/html\r\nSet-Cookie: a=b", "ünïcode/x", "nonsense"])
def test_a_type_cannot_write_headers_of_its_own(call: Call, kind: str) -> None:
    about = metadata(FileName='a"\r\nX: y.txt', ContentType=kind)
    answer = upload(call, ("file_metadata_01", about), ("file_content_01", ("x", b"abc", "text/plain")))
    fetched = requests.get(answer["AttachableResponse"][0]["Attachable"]["TempDownloadUri"], timeout=10)
    assert (fetched.content, fetched.headers["Content-Type"]) == (b"abc", "application/octet-stream")
    assert {"Set-Cookie", "X"}.isdisjoint(fetched.headers)


def test_several_files_are_paired_by_their_numbers_which_may_start_at_zero(call: Call) -> None:
    answer = upload(
        call,
        ("file_content_1", ("second.txt", b"2", "text/plain")),
        ("file_metadata_0", metadata(FileName="first.txt")),
        ("file_content_0", ("ignored.txt", b"1", "text/plain")),
    )
    names = [entry["Attachable"]["FileName"] for entry in answer["AttachableResponse"]]
    assert names == ["first.txt", "second.txt"]


def test_metadata_may_be_xml_and_the_answer_too(call: Call) -> None:
    about = b"<Attachable><FileName>a.txt</FileName><AttachableRef><EntityRef type='Customer'>1</EntityRef>"
    files = [
        ("file_metadata_0", ("", about + b"</AttachableRef></Attachable>", "application/xml")),
        ("file_content_0", ("a.txt", base64.b64encode(b"text"), "text/plain", {"Content-Transfer-Encoding": "base64"})),
    ]
    answer = call("POST", "upload", files=files, headers={"Accept": "application/xml"})
    assert '<EntityRef type="Customer">1</EntityRef>' in answer.text
    assert "<AttachableResponse><Attachable " in answer.text
    assert "<Size>4</Size>" in answer.text


def test_python_quickbooks_attaches_files_and_notes(client: QuickBooks, sandbox: QuickBooksSandbox) -> None:
    file = Attachable()
    file.FileName, file.ContentType, file._FileBytes = "photo.png", "image/png", bytes(range(256))
    ref = AttachableRef()
    ref.EntityRef = Ref()
    ref.EntityRef.type, ref.EntityRef.value = "Customer", "1"
    file.AttachableRef.append(ref)
    file.save(qb=client)
    held = Attachable.get(int(file.Id), qb=client)
    assert held.Size == 256
    assert requests.get(held.TempDownloadUri, timeout=10).content == bytes(range(256))
    note = Attachable()
    note.Note = "called back"
    note.save(qb=client)
    assert Attachable.get(int(note.Id), qb=client).Note == "called back"
    held.delete(qb=client)
    assert Attachable.filter(Id=file.Id, qb=client) == []


LONG = ("file_content_01", ("a.txt", b"abc", "text/plain", {"Content-Length": "9"}))


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ([LONG], "6020"),
        ([("file_metadata_01", ("", b"x", "image/png")), ("file_content_01", ("a", b"abc", "text/plain"))], "6040"),
        ([("file_metadata_01", metadata(FileName="a.txt"))], "6041"),
        (
            [
                ("file_metadata_01", metadata(AttachableRef=[{"EntityRef": {"type": "Unicorn", "value": "1"}}])),
                ("file_content_01", ("a", b"abc", "text/plain")),
            ],
            "6050",
        ),
        (
            [
                ("file_metadata_01", metadata(AttachableRef=[{"EntityRef": {"type": "Invoice", "value": "99999"}}])),
                ("file_content_01", ("a", b"abc", "text/plain")),
            ],
            "6000",
        ),
    ],
)
def test_each_thing_that_can_be_wrong_has_its_code(call: Call, files: Any, code: str) -> None:
    fault = upload(call, *files)["AttachableResponse"][0]["Fault"]
    assert (fault["type"], fault["Error"][0]["code"]) == ("ValidationFault", code)


def test_a_body_that_is_no_upload_is_refused_as_a_whole(call: Call) -> None:
    assert call("POST", "upload", json={}).json()["Fault"]["Error"][0]["code"] == "6041"
    assert call("POST", "upload", files=[("other", ("a", b"abc"))]).json()["Fault"]["Error"][0]["code"] == "6041"


def test_size_has_its_limit_and_files_outlive_the_process(tmp_path: Path) -> None:
    state = tmp_path / "books.sqlite"
    options: Any = {"state": state, "realm": "1", "switch": ["largest_attachment_bytes=10", "largest_body_bytes=50"]}

    def ask(sandbox: QuickBooksSandbox, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {sandbox.access_token}"}
        return requests.request(method, f"{sandbox.base_url}/v3/company/1/{path}", headers=headers, timeout=10, **more)

    with running_quickbooks("empty", **options) as first:
        answer = ask(first, "POST", "upload", files=[("file_content_01", ("a", b"0123456789x", "text/plain"))]).json()
        assert answer["AttachableResponse"][0]["Fault"]["Error"][0]["code"] == "6030"
        answer = ask(first, "POST", "upload", files=[("file_content_01", ("a", b"0123456789", "text/plain"))]).json()
        made = answer["AttachableResponse"][0]["Attachable"]
        too_large = ask(first, "POST", "batch", data=b" " * 51)
        assert (too_large.status_code, too_large.headers["Content-Type"].partition(";")[0]) == (413, "text/html")
    with running_quickbooks("empty", **options) as second:
        address = ask(second, "GET", f"download/{made['Id']}").text
        assert requests.get(address, timeout=10).content == b"0123456789"
