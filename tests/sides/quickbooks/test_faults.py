import pytest

from reconcile.sides.quickbooks.faults import Fault, ended, explain, faults_in, name_locked, parse_faults, uncertain

APPLICATION = (
    b'{"Fault":{"Error":[{"Message":"M1","Detail":"D1","code":"6070","element":"Line.Amount"},'
    b'{"Message":"M2","code":"2020"}],"type":"ValidationFault"},"time":"2025-08-01T09:19:21.923-07:00"}'
)
GATEWAY = (
    b'{"warnings":null,"fault":{"error":[{"message":"m","detail":null,"code":"003200","element":null}],'
    b'"type":"AUTHENTICATION"}}'
)
XML = (
    b'<?xml version="1.0"?><IntuitResponse xmlns="http://schema.intuit.com/finance/v3"><Fault type='
    b'"AuthenticationFault"><Error code="100" element="e"><Message>General Authentication Error</Message>'
    b"<Detail>SRV-110</Detail></Error></Fault></IntuitResponse>"
)


def test_the_applications_faults_are_read_all_of_them() -> None:
    assert parse_faults(400, "application/json", APPLICATION) == (
        Fault("6070", "M1", "D1", "Line.Amount", "ValidationFault"),
        Fault("2020", "M2", "", "", "ValidationFault"),
    )


def test_the_gateways_lower_case_faults_are_read() -> None:
    assert parse_faults(401, "application/json", GATEWAY) == (Fault("3200", "m", "", "", "AUTHENTICATION"),)


def test_faults_in_xml_are_read() -> None:
    assert parse_faults(401, "application/xml", XML) == (
        Fault("100", "General Authentication Error", "SRV-110", "e", "AuthenticationFault"),
    )


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", b"<html><body>413 Request Entity Too Large</body></html>"),
        ("application/json", b"<!DOCTYPE html><html></html>"),
        ("application/xml", b'<!DOCTYPE x [<!ENTITY a "b">]><Fault><Error code="1"/></Fault>'),
        ("application/xml", b"<broken"),
        ("application/json", b"{broken"),
        ("application/json", b"[]"),
        ("", b""),
        ("", b"\xff\xfe"),
    ],
)
def test_a_body_that_says_nothing_becomes_a_fault_of_its_status(content_type: str, body: bytes) -> None:
    assert [fault.code for fault in parse_faults(413, content_type, body)] == ["HTTP 413"]


def test_a_fault_without_errors_is_still_a_fault() -> None:
    assert faults_in({"Fault": {"type": "SystemFault"}}) == (Fault("", "a fault without words", kind="SystemFault"),)


@pytest.mark.parametrize("content", [{}, {"fault": None}, [], "Fault", {"Fault": "x"}])
def test_an_answer_without_fault_has_none(content: object) -> None:
    assert faults_in(content) == ()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("6240", "already has this name"),
        ("6140", "already has this number"),
        ("5010", "in the meantime"),
        ("2500", "inactive there"),
        ("6200", "closed"),
        ("6210", "password"),
        ("6540", "deposit"),
        ("610", "no longer exists"),
        ("6000", "rule of QuickBooks"),
        ("6070", "Quantity times price"),
        ("2050", "Shorten"),
        ("2020", "required value"),
    ],
)
def test_each_refusal_is_told_in_a_bookkeepers_words_with_quickbooks_own_behind(code: str, words: str) -> None:
    told = explain(Fault(code, "Message", "Detail: Id=58"))

    assert words in told
    assert 'QuickBooks says: "Detail: Id=58"' in told
    assert told[0].isupper()


def test_an_unknown_refusal_keeps_quickbooks_words_and_a_long_one_is_shortened() -> None:
    assert "<b>x</b>" in explain(Fault("9999", "<b>x</b>"))
    assert len(explain(Fault("9999", "x" * 10_000))) < 1_000


def test_internal_errors_and_repeated_requests_do_not_prove_that_nothing_happened() -> None:
    assert uncertain(Fault("6000", "", "Business Validation Error: Unexpected Internal Error. (-30003)"))
    assert uncertain(Fault("10000", "An application error has occurred"))
    assert uncertain(Fault("600", "Duplicate Request ID"))
    assert not uncertain(Fault("6000", "", "Business Validation Error: You must select a customer."))


def test_the_lock_on_names_is_recognised() -> None:
    assert name_locked(Fault("6000", "", "You can only add or edit one name at a time. Please try again."))
    assert not name_locked(Fault("6240", "", "one name at a time"))


def test_what_was_merged_into_another_is_told_apart_from_other_rules() -> None:
    merged = Fault("6000", "A business validation error", "You cannot modify a list element that has been deleted.")
    assert "merged into another one" in explain(merged)
    assert "`reconcile relink`" in explain(merged)
    assert "merged" not in explain(Fault("6000", "A business validation error", "The date is too old."))


@pytest.mark.parametrize("place", ["message", "detail"])
def test_what_cannot_be_brought_back_is_known_by_quickbooks_words_and_by_ours(place: str) -> None:
    words = {"message": "A business validation error", "detail": "Something else."}
    fault = Fault("6000", **{**words, place: "You cannot modify a list element that has been deleted."})
    assert ended(fault.code, f"{fault.message} {fault.detail}")
    assert ended(fault.code, explain(fault))
    assert not ended(fault.code, explain(Fault("6000", "A business validation error", "The date is too old.")))
    assert not ended("6240", explain(fault))
