"""``reconcile verify`` and ``reconcile rebuild``: is the evidence as it was filed, and filing what a dead run left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from reconcile.commands.texts import inert

if TYPE_CHECKING:
    from reconcile.config import Config
    from reconcile.model.runs import Run
    from reconcile.verification import Verified


def verify(
    company: Annotated[str | None, typer.Argument(help="Only this company's evidence.")] = None,
    *,
    head: Annotated[
        str, typer.Option(metavar="ROW:SEAL", help="The end of the audit trail as it was kept elsewhere.")
    ] = "",
) -> None:
    """Check that all evidence is as it was filed; names the first thing that was altered, is missing or was added.

    Exit codes: 0 everything is as it was, 1 it is but somebody should look at something, 2 something was altered.
    """
    from reconcile.config import load_config
    from reconcile.errors import ConfigurationError
    from reconcile.model.audit import Head
    from reconcile.state.database import open_state
    from reconcile.verification import verify as check

    config = load_config()
    if head and company is None:
        raise ConfigurationError("A head belongs to one company: `reconcile verify COMPANY --head ROW:SEAL`.")
    companies = sorted(config.companies) if company is None else [config.company(company).key]
    try:
        kept = Head.from_text(head) if head else None
    except ValueError as error:
        raise ConfigurationError(f"{error}.") from None
    engine = open_state(config.state_url)
    code = 0
    for key in companies:
        found = check(config, engine, key, kept)
        for line in _lines(found):
            typer.echo(inert(line))
        code = max(code, found.exit_code)
    raise typer.Exit(code)


def _lines(found: Verified) -> list[str]:
    looked = f"{found.rows:,} rows of the audit trail, {found.runs:,} runs, {found.files:,} files"
    verdict = f"ALTERED. {found.altered}" if found.altered else f"as filed: {looked}."
    lines = [f"{found.company}: {verdict}", *(f"  {note}" for note in found.notes)]
    if not found.altered and found.head.sequence:
        lines.append(f"  Head of the audit trail, to be kept elsewhere: {found.head}")
    return lines


def rebuild(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="Run id, as `reconcile runs` lists it.")],
) -> None:
    """File the evidence of a run that died: its verdict, its journal, what is left of its notebook."""
    from reconcile.config import load_config
    from reconcile.rebuilding import rebuild as file_it
    from reconcile.state.database import open_state

    config = load_config()
    filed = file_it(config, open_state(config.state_url), run_id)
    typer.echo(inert(f"{filed.outcome.value.upper()}\n{filed.reason}\nEvidence: {config.runs / filed.folder}"))


def certificate_of(config: Config, run: Run) -> str:
    """The certificate of a run, for a terminal.

    Raises:
        ConfigurationError: its evidence is missing or damaged.
    """
    import pandas as pd

    from reconcile.certificate import certificate
    from reconcile.errors import ConfigurationError
    from reconcile.evidence import RunFolder, digest, read_json

    folder = RunFolder(config.runs / run.folder)
    told = read_json(folder.verdict)
    findings = read_json(folder.findings) if folder.findings.name in told["artifacts"] else []
    path = folder.frames / "tie-out-items.parquet"
    items: list[dict[str, Any]] = []
    if str(path.relative_to(folder.path)) in told["artifacts"]:
        try:
            frame = pd.read_parquet(path).astype(object)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"{path.name} of the run in {folder.path} is missing or damaged. `reconcile verify` says what else is."
            ) from error
        items = frame.where(frame.notna(), None).to_dict("records")  # type: ignore[assignment]
    return inert(certificate(told, digest(folder.verdict), findings, items))
