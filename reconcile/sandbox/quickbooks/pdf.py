"""A sales form as a one-page PDF: plain text, but a real document that every viewer opens."""

from typing import Final

from reconcile.sandbox.quickbooks.numbers import JsonObject, cents
from reconcile.sandbox.quickbooks.state import money_of

_TOP: Final = 760
_STEP: Final = 16
_MOST_LINES: Final = 40
_PAGE: Final = (
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
)


def document(kind: str, company: str, body: JsonObject) -> bytes:
    """The PDF of one form.

    Args:
        kind: Its resource, for the heading.
        company: Who sends it.
        body: The form.
    """
    rows = [company, f"{kind} {body.get('DocNumber', '')}", f"Date {body.get('TxnDate', '')}"]
    rows.append(f"To {(body.get('CustomerRef') or {}).get('name', '')}")
    rows.append("")
    for line in body.get("Line", ())[:_MOST_LINES]:
        label = line.get("Description") or line.get("DetailType", "")
        rows.append(f"{label}   {cents(money_of(line, 'Amount'))}")
    rows += ["", f"Total {cents(money_of(body, 'TotalAmt'))}"]
    stream = b"BT /F1 11 Tf 50 %d Td %d TL\n" % (_TOP, _STEP)
    stream += b"".join(b"(%s) Tj T*\n" % _escaped(row) for row in rows) + b"ET"
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        _PAGE,
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    )
    written = b"%PDF-1.4\n"
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = len(written)
    written += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    written += b"".join(b"%010d 00000 n \n" % place for place in places)
    return written + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)


def _escaped(text: str) -> bytes:
    raw = text.encode("cp1252", "replace")
    return raw.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
