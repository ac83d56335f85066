"""Files and notes beside other records: the multipart upload, its faults, and where a file can be fetched.

The parts of an upload are paired by the number at the end of their names: `file_metadata_01` with `file_content_01`;
PHP's kit counts from 0. A file without metadata is taken as it is. python-quickbooks sends its parts in base64 with
plain line feeds and a blank line in front, so the reader is not strict about either.
"""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Any, Final

from reconcile.sandbox.quickbooks import faults, markup
from reconcile.sandbox.quickbooks.entities import RESOURCES
from reconcile.sandbox.quickbooks.faults import FaultError
from reconcile.sandbox.quickbooks.numbers import JsonObject, NotJsonError, parse, render
from reconcile.sandbox.quickbooks.state import CompanyState
from reconcile.sandbox.quickbooks.store import Record

_NUMBERED: Final = re.compile(r"file_(metadata|content)_(\d+)")
_PARAMETER: Final = re.compile(r'([\w*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))')
_METADATA_TYPES: Final = ("application/json", "application/xml", "text/xml", "text/plain")
_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+")
_LINK_SECONDS: Final = 900
_UNATTACHABLE: Final = frozenset({"Attachable", "CompanyInfo", "Preferences", "ExchangeRate", "CompanyCurrency"})


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart body; header names are in lower case."""

    headers: dict[str, str]
    content: bytes

    def parameter(self, name: str) -> str:
        """A parameter of its Content-Disposition, empty when missing."""
        found = _PARAMETER.findall(self.headers.get("content-disposition", ""))
        return next((quoted or bare for key, quoted, bare in found if key.lower() == name), "")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file with what was said about it."""

    metadata: Part | None
    content: Part | None


def parts_of(raw: bytes, content_type: str) -> list[Part]:
    """Split a multipart body.

    Raises:
        FaultError: 6041 when there is no boundary, or nothing between boundaries.
    """
    found = _PARAMETER.findall(content_type)
    boundary = next((quoted or bare for key, quoted, bare in found if key.lower() == "boundary"), "")
    if "multipart/" not in content_type.lower() or not boundary:
        raise _no_file("the body is not multipart")
    pieces = re.split(rb"(?:^|\r?\n)--" + re.escape(boundary.encode()), raw)
    parts = []
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            break
        head, _, content = re.sub(rb"^[ \t]*\r?\n", b"", piece, count=1).partition(_blank_line(piece))
        lines = head.decode("utf-8", "replace").splitlines()
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        parts.append(Part(headers, content))
    if not parts:
        raise _no_file("the body has no parts")
    return parts


def _blank_line(piece: bytes) -> bytes:
    return b"\r\n\r\n" if b"\r\n\r\n" in piece else b"\n\n"


def uploads_of(parts: list[Part]) -> list[Upload]:
    """Pair the parts by their numbers, in the order of the numbers."""
    paired: dict[int, dict[str, Part]] = {}
    for part in parts:
        matched = _NUMBERED.fullmatch(part.parameter("name"))
        if matched is not None:
            paired.setdefault(int(matched[2]), {})[matched[1]] = part
    if not paired:
        raise _no_file("no part is named file_content_01")
    return [Upload(one.get("metadata"), one.get("content")) for _, one in sorted(paired.items())]


def described(upload: Upload) -> JsonObject:
    """The Attachable that an upload asks for, before it is checked.

    Raises:
        FaultError: 6040 for metadata that is neither JSON nor XML, 2010 when it cannot be read.
    """
    metadata = upload.metadata
    if metadata is None:
        return {}
    kind = metadata.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind not in _METADATA_TYPES:
        detail = f"Invalid Attachment Metadata Type : {kind} is not supported; use application/json or application/xml."
        raise faults.one(6040, "Invalid Attachment Metadata Type", detail, "file_metadata")
    content = _decoded(metadata)
    try:
        is_xml = markup.looks_like_xml(content, kind)
        body: Any = markup.entity_request(content) if is_xml else parse(content.strip())
    except (markup.NotXmlError, NotJsonError) as error:
        raise FaultError(faults.unparseable()) from error
    if not isinstance(body, dict):
        raise FaultError(faults.unparseable())
    inner = body.get("Attachable")
    return inner if isinstance(inner, dict) else body


def content_of(upload: Upload, largest: int) -> bytes:
    """The file of an upload.

    Raises:
        FaultError: 6041 without a file, 6020 for a length that is not the file's, 6030 for one that is too large.
    """
    part = upload.content
    if part is None:
        raise _no_file("metadata came without a file_content part of the same number")
    announced = part.headers.get("content-length")
    if announced is not None and announced != str(len(part.content)):
        detail = f"Invalid Content-Length Header : the part is {len(part.content)} bytes long, not {announced}."
        raise faults.one(6020, "Invalid Content-Length Header", detail, "file_content")
    content = _decoded(part)
    if len(content) > largest:
        detail = f"Attachment Size Exceeded : the file has {len(content):,} bytes; the maximum is {largest:,}."
        raise faults.one(6030, "Attachment Size Exceeded", detail, "file_content")
    return content


def _decoded(part: Part) -> bytes:
    if part.headers.get("content-transfer-encoding", "").lower() != "base64":
        return part.content
    try:
        return base64.b64decode(b"".join(part.content.split()), validate=True)
    except binascii.Error as error:
        raise _no_file("the part is not base64") from error


def completed(upload: Upload, body: JsonObject, content: bytes) -> JsonObject:
    """What the server knows of a file itself is put into its Attachable."""
    part = upload.content
    name = part.parameter("filename") if part is not None else ""
    kind = part.headers.get("content-type", "") if part is not None else ""
    if not body.get("FileName"):
        body["FileName"] = name or "attachment"
    if not body.get("ContentType") and kind:
        body["ContentType"] = kind
    return {**body, "Size": len(content)}


def check_targets(state: CompanyState, body: JsonObject) -> None:
    """Refuse to attach to what does not exist.

    Raises:
        FaultError: 6050 for a type that takes no attachments, 6000 for a record that is not there.
    """
    for entry in body.get("AttachableRef") or ():
        entry.setdefault("IncludeOnSend", False)
        ref = entry.get("EntityRef")
        if not ref:
            continue
        if not isinstance(ref, dict):
            raise FaultError(faults.plain_reference())
        kind, target = str(ref.get("type", "")), str(ref.get("value", ""))
        entity = next((name for name in RESOURCES if name.lower() == kind.lower()), "")
        if not entity or entity in _UNATTACHABLE:
            detail = f"Invalid Attachment Entity Type : {kind or 'none'} cannot have attachments."
            raise faults.one(6050, "Invalid Attachment Entity Type", detail, "AttachableRef.EntityRef.type")
        if not target.isdigit():
            raise faults.invalid_id(target, "AttachableRef.EntityRef.value")
        if state.store.get(entity, target) is None:
            named = f"{entity} {target}"
            raise faults.business(f"The entity {named} that you are trying to link does not exist. {named}")


def _no_file(why: str) -> FaultError:
    return faults.one(6041, "Invalid Attachment File", f"Invalid Attachment File : {why}.", "file_content")


# Fetching --------------------------------------------------------------------------------------------------------


def with_links(state: CompanyState, record: Record) -> bytes:
    """An Attachable as it is sent: a file comes with an address that is good for a quarter of an hour."""
    body = record.body()
    if "Size" not in body:
        return record.json
    body["TempDownloadUri"] = temporary_address(state, record.id)
    return render(body)


def temporary_address(state: CompanyState, record_id: str) -> str:
    """Where a file can be fetched without a token for a while."""
    until = int(state.now()) + _LINK_SECONDS
    seal = _seal(state, record_id, until)
    return f"{state.base_url}/download/{state.realm}/{record_id}?expires={until}&signature={seal}"


def content_at(state: CompanyState, record_id: str, expires: str, signature: str) -> tuple[bytes, str, str] | None:
    """The file behind a temporary address with its type and name; `None` when the address is no longer good."""
    if not expires.isdigit() or int(expires) < state.now():
        return None
    if not hmac.compare_digest(signature, _seal(state, record_id, int(expires))):
        return None
    record = state.store.get("Attachable", record_id)
    content = state.store.file(record_id)
    if record is None or content is None:
        return None
    body = record.body()
    kind = str(body.get("ContentType", ""))
    safe = kind if _MEDIA_TYPE.fullmatch(kind) else "application/octet-stream"
    return content, safe, str(body.get("FileName", "attachment"))


def _seal(state: CompanyState, record_id: str, until: int) -> str:
    message = f"{state.realm}/{record_id}/{until}".encode()
    return hmac.new(state.download_key, message, hashlib.sha256).hexdigest()
