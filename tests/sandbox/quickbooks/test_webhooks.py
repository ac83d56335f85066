"""Webhook bodies and their signature."""

import json

from quickbooks import QuickBooks

from reconcile.sandbox.quickbooks.webhooks import Event, cloud_events_body, headers, legacy_body, signature

EVENT = Event("1185883450", "Customer", "1", "Create", 1444081482.0)


def test_the_published_vector_holds() -> None:
    body = (
        b'[{"specversion":"1.0","id":"evt-0001","source":"intuit.qbo","type":"qbo.invoice.create.v1",'
        b'"datacontenttype":"application/json","time":"2026-09-22T14:00:00Z","intuitentityid":"145",'
        b'"intuitaccountid":"9130001234567890","data":{}}]'
    )
    assert signature("test-verifier-token-0123", body) == "H6OEbK7uGPkliXuslEPXaXI47okV6VAlkZUeIrQ6+TE="


def test_both_bodies_and_a_client_that_checks_the_signature() -> None:
    legacy = json.loads(legacy_body([EVENT]))
    assert legacy["eventNotifications"][0]["dataChangeEvent"]["entities"] == [
        {"name": "Customer", "id": "1", "operation": "Create", "lastUpdated": "2015-10-05T14:44:42-0700"}
    ]
    body = cloud_events_body([EVENT])
    assert json.loads(body)[0]["type"] == "qbo.customer.created.v1"
    sent = headers("token", body, EVENT.moment)
    library = object.__new__(QuickBooks)
    assert library.validate_webhook_signature(body.decode(), sent["intuit-signature"], "token")
    assert not library.validate_webhook_signature(body.decode() + " ", sent["intuit-signature"], "token")
