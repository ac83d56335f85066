"""Safeties of the product, each with a way to switch it off and the tests that must turn red when it is.

A mutation names what it replaces as ``module:attribute`` or ``module:Class.attribute``; a function is replaced wherever
it was imported to. A name that no longer exists is an error: the mutation must follow the code.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

VARIABLE = "RECONCILE_MUTATION"


@dataclass(frozen=True)
class Mutation:
    """One safety, switched off.

    Attributes:
        name: by which it is called.
        safety: what is missing then.
        target: what is replaced.
        replacement: given what was there, what stands in its place.
        tests: node ids of which at least one turns red.
    """

    name: str
    safety: str
    target: str
    replacement: Callable[[Any], Any]
    tests: tuple[str, ...]

    def apply(self) -> None:
        """Switch the safety off, in this process.

        Raises:
            AttributeError: what it replaces does not exist any more.
        """
        module, _, path = self.target.partition(":")
        owner: Any = importlib.import_module(module)
        *parents, attribute = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        before = getattr(owner, attribute)
        after = self.replacement(before)
        setattr(owner, attribute, after)
        if not parents:
            _replace_everywhere(attribute, before, after)


def _replace_everywhere(name: str, before: Any, after: Any) -> None:
    import checks  # noqa: PLC0415  its modules import names of the product
    import reconcile  # noqa: PLC0415  the same

    for package in (reconcile, checks):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.endswith("__main__") or ".migrations" in found.name:
                continue
            importlib.import_module(found.name)
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith(("reconcile", "checks")) and getattr(module, name, None) is before:
            setattr(module, name, after)


def applied(name: str) -> None:
    """Apply the mutation of this name; none when it is empty."""
    if name:
        next(mutation for mutation in MUTATIONS if mutation.name == name).apply()


# ------------------------------------------------------------------------------------------------ replacements


def _nothing(_: Any) -> Any:
    return lambda *_, **__: None


def _gives(value: Any) -> Callable[[Any], Any]:
    return lambda _: lambda *_, **__: value


def _float_money(_: Any) -> Any:
    return lambda value, currency: int(float(value) * 100)


def _numbers_of_texts(before: Any) -> Any:
    """As a careless reader of tables would: what looks like a number is one."""

    def conform(frame: Any, dtypes: Any) -> Any:
        made = before(frame, dtypes)
        looks = {name: made[name].str.replace("^0+(?=[0-9]+$)", "", regex=True) for name in {"number"} & {*made}}
        return made.assign(**looks)

    return conform


def _new_ids(before: Any) -> Any:
    def request_ids(writes: Sequence[Sequence[object]]) -> list[str]:
        return before([(*write, uuid.uuid4().hex) for write in writes])

    return request_ids


def _believes(before: Any) -> Any:
    """What was asked for is taken for what was stored."""
    return lambda *given, **named: before(*given, **{**named, "stored": None})


def _lost_is_failed(before: Any) -> Any:
    from reconcile.model.journal import EntryStatus  # noqa: PLC0415
    from reconcile.sides.side import Status  # noqa: PLC0415

    return {**before, Status.UNKNOWN: EntryStatus.FAILED}


def _two_transactions(before: Any) -> Any:
    def answer(self: Any, answers: Sequence[Any]) -> None:
        from datetime import UTC, datetime  # noqa: PLC0415

        from reconcile.state.agreements import agree  # noqa: PLC0415

        before(self, [_without_agreement(one) for one in answers])
        with self._writing() as connection:
            agreements = [one.agreement for one in answers if one.agreement is not None]
            agree(connection, self._company, self._run_id, agreements, datetime.now(UTC))

    return answer


def _without_agreement(answer: Any) -> Any:
    copy = object.__new__(type(answer))
    for name in answer.__dataclass_fields__:
        object.__setattr__(copy, name, None if name == "agreement" else getattr(answer, name))
    return copy


def _moves_the_base_first(before: Any) -> Any:
    """The base moves when a write leaves, whatever comes of it."""

    def mark_sent(self: Any, entries: Sequence[Any]) -> None:
        from datetime import UTC, datetime  # noqa: PLC0415

        from reconcile.model.journal import AgreementUpdate  # noqa: PLC0415
        from reconcile.state.agreements import agree  # noqa: PLC0415

        before(self, entries)
        updates = [
            AgreementUpdate(
                entity=entry.step,
                books_id=entry.operation["books_id"],
                billing_id=entry.operation["billing_id"],
                books_version=None,
                billing_version=None,
                fields=entry.operation["agreed"],
                unsettled=(),
            )
            for entry in entries
            if entry.operation["books_id"] and entry.operation["billing_id"]
        ]
        with self._writing() as connection:
            agree(connection, self._company, self._run_id, updates, datetime.now(UTC))

    return mark_sent


def _absence_is_deletion(_: Any) -> Any:
    def confirm_absences(_sides: Any, pulled: Mapping[Any, Any], pairs: Mapping[Any, Any]) -> Any:
        return {
            side: {
                entity: replace(
                    snapshot, gone=snapshot.gone | (set(pairs[entity][f"{side}_id"]) - set(snapshot.frame["id"]))
                )
                for entity, snapshot in snapshots.items()
            }
            for side, snapshots in pulled.items()
        }

    return confirm_absences


def _any_version(before: Any) -> Any:
    def claimed(connection: Any, write: Any) -> Any:
        from sqlalchemy import select  # noqa: PLC0415

        from reconcile.sides.billing.records import TABLES  # noqa: PLC0415

        table = TABLES[write.entity]
        known = connection.execute(select(table.c.version).where(table.c.id == int(write.id or 0))).scalar()
        return before(connection, replace(write, version=None if known is None else str(known)))

    return claimed


def _by_position(before: Any) -> Any:
    def outcomes(self: Any, settled: Any, responses: Mapping[str, Any], answer: Any) -> Any:
        shifted = dict(zip(settled, responses.values(), strict=False))
        return before(self, settled, shifted, answer)

    return outcomes


def _no_tombstones(before: Any) -> Any:
    def agreement(self: Any, entity: Any) -> Any:
        known = before(self, entity)
        return replace(known, tombstones=known.tombstones.iloc[:0])

    return agreement


def _anybody_may_hold(before: Any) -> Any:
    def acquire(engine: Any, company: str, holder: str, run_id: str, ttl: Any) -> Any:
        from sqlalchemy import update  # noqa: PLC0415

        from reconcile.state.database import writing  # noqa: PLC0415
        from reconcile.state.schema import LeaseRow  # noqa: PLC0415

        with writing(engine) as connection:
            connection.execute(update(LeaseRow).where(LeaseRow.company == company).values(holder=""))
        return before(engine, company, holder, run_id, ttl)

    return acquire


def _refused_is_settled(before: Any) -> Any:
    """A request that was refused when it was repeated is taken for one that cannot arrive any more."""

    def committed(self: Any, status: Any, words: str, **named: Any) -> Any:
        from reconcile.model.journal import EntryStatus  # noqa: PLC0415

        refused = status is EntryStatus.UNKNOWN and named.get("refused", ("", ""))[0]
        return before(self, EntryStatus.FAILED if refused else status, words, **named)

    return committed


def _of_one_record(before: Any) -> Any:
    """Whatever stands on the other side: an operation is known by the record it comes from."""
    return property(lambda operation: before.fget(replace(operation, books_id=None, billing_id=None)))


def _half_the_truth(before: Any) -> Any:
    """Control totals tie, and are not those of the records."""

    def control_totals(*given: Any) -> Any:
        tied = before(*given)
        return replace(
            tied, totals=tied.totals.assign(books=tied.totals["books"] // 2, billing=tied.totals["billing"] // 2)
        )

    return control_totals


def _stops_at_the_first_refusal(before: Any) -> Any:
    def write(self: Any, writes: Sequence[Any]) -> list[Any]:
        from reconcile.sides.side import Outcome, Status  # noqa: PLC0415

        outcomes: list[Any] = []
        for one in writes:
            ended = bool(outcomes) and outcomes[-1].status is not Status.DONE
            outcomes += [Outcome(one.request_id, Status.FAILED)] if ended else before(self, [one])
        return outcomes

    return write


# ------------------------------------------------------------------------------------------------ the list

STEPS = "tests/push/test_steps.py"
SETTLING = "tests/push/test_settling.py"
CRASH = "tests/crash/test_everywhere.py::test_killed_at_every_boundary_of_a_working_day_nothing_is_lost_or_double"
FURTHER = "tests/crash/test_further_worlds.py"
JOURNAL = "tests/state/test_journal.py"
RUNNER = "tests/runner/test_execute.py"
COLUMNS = "tests/sides/quickbooks/test_columns.py"
MARKS = "test_payments_that_we_made_are_known_by_their_marks_and_nothing_else_is"
BILLING = "tests/sides/billing/test_writer.py"

MUTATIONS = (
    Mutation("no settle", "open entries are settled before anything is planned", "reconcile.push.settle:settle",
             _gives(()), (f"{STEPS}::test_a_lost_reply_is_unknown_and_settled_as_found_when_it_took_effect",)),
    Mutation("no fencing", "a late holder's write is refused", "reconcile.state.lease:Lease.check",
             _nothing, ("tests/state/test_lease.py", f"{STEPS}::test_a_holder_that_was_overtaken_writes_nothing_more")),
    Mutation("no fencing in ReliaBills", "ReliaBills refuses a late holder itself",
             "reconcile.sides.billing.writer:_insist_on_holder", _nothing, (BILLING,)),
    Mutation("doubles are carried", "a payment that one write has made twice is shown, and not carried on",
             "reconcile.compare.doubles:without_doubles", lambda _: lambda operations, _doubles: ([*operations], []),
             ("tests/compare/test_doubles.py",)),
    Mutation("inactive is changed", "QuickBooks is asked for no change of what is inactive there",
             "reconcile.compare.inactive:without_changes_to_inactive",
             lambda _: lambda operations, *_: ([*operations], []),
             ("tests/compare/test_inactive.py",)),
    Mutation("no charge foreseen", "a charge that midnight would make is named and counted before",
             "reconcile.compare.effects:_Causes.of", lambda _: lambda *_: (), ("tests/compare/test_effects.py",)),
    Mutation("marks are not read", "what a write has made is known by its mark, whatever became of the answer",
             "reconcile.sides.quickbooks.columns:mark_in", _gives(None), (f"{COLUMNS}::{MARKS}",)),
    Mutation("plan names one record", "a saved plan goes to no other record than it named",
             "reconcile.model.plan:Operation.op_id", _of_one_record, ("tests/compare/test_enforcing.py",)),
    Mutation("no lease", "one holder per company", "reconcile.state.lease:acquire",
             _anybody_may_hold, ("tests/state/test_lease.py",)),
    Mutation("no read-back", "what a side stored is compared with what it was given",
             "reconcile.push.agreement:agreement_after", _believes,
             (f"{STEPS}::test_a_field_that_was_stored_otherwise_is_unsettled_not_agreed",)),
    Mutation("float money", "money is exact", "reconcile.model.money:to_minor", _float_money,
             ("tests/model/test_texts_stay_texts.py", "tests/sides/quickbooks/test_mapping.py")),
    Mutation("numbers of texts", "ids and numbers of invoices are text", "reconcile.model.snapshot:conform",
             _numbers_of_texts, ("tests/sides/billing/test_reader.py",)),
    Mutation("new id on every try", "a write that is tried again has the same request id",
             "reconcile.state.journal:_request_ids", _new_ids,
             ("tests/state/test_request_ids.py", JOURNAL)),
    Mutation("lost is failed", "a lost reply is unknown", "reconcile.push.steps:_STATUS", _lost_is_failed,
             (f"{STEPS}::test_a_lost_reply_is_unknown_and_settled_as_found_when_it_took_effect",)),
    Mutation("answer and link apart", "answer, link and base are committed together",
             "reconcile.state.journal:Journal.answer", _two_transactions, (CRASH,)),
    Mutation("base moves first", "the base is only what both sides were seen to hold",
             "reconcile.state.journal:Journal.mark_sent", _moves_the_base_first,
             (f"{SETTLING}::test_a_change_without_an_answer_moves_no_base_until_it_was_seen",)),
    Mutation("not journalled as sent", "nothing is sent that is not in the journal",
             "reconcile.state.journal:Journal.mark_sent", _nothing, (CRASH,)),
    Mutation("absence is deletion", "a missing record is read directly before it is believed to be gone",
             "reconcile.sides.pull:confirm_absences", _absence_is_deletion, ("tests/sides/test_pull.py",)),
    Mutation("any version", "a write names the version it expects", "reconcile.sides.billing.storing:claimed",
             _any_version, ("tests/sides/billing/test_writer.py::test_a_record_that_moved_is_not_overwritten",)),
    Mutation("batch by position", "answers to a batch are matched by item",
             "reconcile.sides.quickbooks.writer:QuickBooksWriter._batch_outcomes", _by_position,
             ("tests/sides/quickbooks/test_writer.py",)),
    Mutation("no tombstones", "what was ended is not made again", "reconcile.state.links:Links.agreement",
             _no_tombstones, ("tests/state/test_links.py",)),
    Mutation("requests forgotten", "ReliaBills carries out a request once", "reconcile.sides.billing.writer:_repeated",
             _nothing, ("tests/sides/billing/test_writer.py::test_a_repeated_request_is_given_its_first_answer",)),
    Mutation("stops are ignored", "a stop finding fails its step", "reconcile.push.steps:insist", _nothing,
             (f"{STEPS}::test_one_refused_record_fails_the_step_and_its_siblings_are_across",)),
    Mutation("decisions are ignored", "what a person decided is what stands in the end",
             "reconcile.deciding:Deciding.resolutions", _gives(()),
             (f"{FURTHER}::test_killed_at_every_boundary_of_a_run_with_decisions_what_was_decided_stands",)),
    Mutation("refused is settled", "a request that was refused when repeated may still arrive",
             "reconcile.push.settle:_Settling._committed", _refused_is_settled,
             (f"{SETTLING}::test_a_first_request_that_arrives_after_the_refusal_is_found_and_not_made_again",)),
    Mutation("half the truth", "control totals are those of the records, to the cent",
             "reconcile.compare.tieout:control_totals", _half_the_truth, (CRASH,)),
    Mutation("a second counterpart", "what has a counterpart is not made once more",
             "reconcile.push.steps:Pusher._is_there", _gives(False), ("tests/push/test_rounds.py",)),
    Mutation("unsettled is overwritten", "an unknown is resolved before that record is written again",
             "reconcile.state.journal:Journal._refuse_unsettled", _nothing, (JOURNAL,)),
    Mutation("agreements are forgotten", "a second run with no edits writes nothing and says so",
             "reconcile.state.journal:Journal.remember", _nothing, ("tests/state/test_links.py",)),
    Mutation("always green", "control totals tie to the cent, or the run is not green",
             "reconcile.compare.tieout:TieOut.green", lambda _: property(lambda _: True),
             ("tests/compare/test_tieout.py",)),
    Mutation("one stops all", "one bad record never stops its siblings",
             "reconcile.sides.billing.writer:BillingWriter.write", _stops_at_the_first_refusal, (BILLING,)),
    Mutation("no audit row", "there is one audit row per write",
             "reconcile.state.audit:append_outcomes", _nothing, ("tests/state/test_audit.py",)),
    Mutation("any seal", "the audit chain verifies", "reconcile.model.audit:AuditRow.computed_seal",
             lambda _: lambda row: row.seal, ("tests/evidence/test_verification.py",)),
    Mutation("secrets in the evidence", "no secret in any artifact", "reconcile.evidence:redact",
             lambda _: lambda text, _secrets: text,
             (f"{RUNNER}::test_no_secret_stays_in_the_evidence_of_what_nobody_expected",)),
    Mutation("no rate limit", "rate limits hold whatever the number of workers",
             "reconcile.sides.quickbooks.limiter:Limiter.take", _nothing, ("tests/sides/quickbooks/test_limiter.py",)),
    Mutation("no doubt", "green means ran, finished, tied out", "reconcile.verdict:_doubt", _gives(""),
             ("tests/test_verdict.py",)),
    Mutation("mailed again", "an invoice is mailed at most once", "reconcile.state.journal:Journal.mailed",
             _gives((frozenset(), frozenset())), ("tests/night/test_protected.py",)),
    Mutation("no guards", "an emptied side stops the run", "reconcile.compare.guards:guards", _gives([]),
             ("tests/compare/test_guards.py",)),
)  # fmt: skip
"""Every safety that is switched off; ``tests/mutations/run.py`` shows what turns red."""
