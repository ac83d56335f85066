"""How a company stands with QuickBooks, from what is stored, without asking anybody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from reconcile.config import Config
from reconcile.connections import open_vault, tokens_of
from reconcile.model.entities import Side
from reconcile.model.runs import Outcome, Run
from reconcile.sides.quickbooks import Tokens
from reconcile.state import companies, runs
from reconcile.state.companies import KnownIdentity
from reconcile.state.database import open_state

WARN_AHEAD = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a company stands with QuickBooks, without asking it.

    Attributes:
        company: company key.
        tokens: what is stored; ``None`` when the company is not connected.
        realm_id: QuickBooks company connected to; empty when none is.
        who: who was behind the connection when it was last used; its name is hostile text.
        connected_at: when a person consented last, UTC; ``None`` when unknown.
        because: why another company was connected, as said then.
        runs: the newest runs, newest first.
    """

    company: str
    tokens: Tokens | None
    realm_id: str
    who: KnownIdentity | None
    connected_at: datetime | None
    because: str
    runs: tuple[Run, ...]

    def facts(self) -> list[tuple[str, str]]:
        """Name and value, for a person; moments in UTC. The company's name is hostile text."""
        company = f"{self.who.name} ({self.who.currency})" if self.who else "not asked yet"
        realm = self.realm_id or (self.who.company_id if self.who else "none")
        found = [("company", company), ("QuickBooks company id", realm)]
        if self.tokens is not None:
            found += [
                ("connected", _shown(self.connected_at)),
                ("access token until", f"{_shown(self.tokens.access_expires_at)} (renewed by itself)"),
                ("refresh token until", f"{_shown(self.tokens.refresh_expires_at)} (every renewal moves it on)"),
                ("consent until", _shown(self.tokens.connection_expires_at)),
            ]
        deferral = self.runs[0].deferral if self.runs and self.runs[0].outcome is Outcome.DEFERRED else None
        if deferral is not None:
            found.append(("deferred", f"{deferral.cause}, tried again after {_shown(deferral.until)}"))
        return found + ([("other company because", self.because)] if self.because else [])

    def warnings(self, now: datetime) -> list[str]:
        """What needs a person within :data:`WARN_AHEAD`, each with what to do."""
        again = f"`reconcile connect {self.company}`"
        if self.tokens is None:
            return [f"{self.company} is not connected to QuickBooks. Connect it: {again}."]
        if self.tokens.ended_at is not None:
            noticed = f"{self.tokens.ended_at:%Y-%m-%d %H:%M} UTC"
            return [f"QuickBooks ended the connection (noticed {noticed}): it needs reconnect. {again}."]
        found = []
        for moment, what in (
            (self.tokens.refresh_expires_at, "The connection ends unless a run renews it before"),
            (self.tokens.connection_expires_at, "Intuit wants a person's consent again before"),
        ):
            if moment is not None and moment - now < WARN_AHEAD:
                passed = " (that has passed)" if moment <= now else ""
                found.append(f"{what} {moment:%Y-%m-%d}{passed}: {again}.")
        return found


def _shown(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "not known"


def standing(config: Config, company: str, *, last: int = 5) -> Standing:
    """How a company stands with QuickBooks, as far as we know without asking it.

    Raises:
        ConfigurationError: the company is unknown, or what is stored cannot be opened.
    """
    config.company(company)
    engine = open_state(config.state_url)
    try:
        stored = open_vault(config, engine).load(company)
        who = companies.known_identity(engine, company, Side.BOOKS)
        newest = tuple(runs.find(engine, company, limit=last))
    finally:
        engine.dispose()
    if stored is None:
        return Standing(company, None, "", who, None, "", newest)
    connected = stored.get("connected_at", "")
    return Standing(
        company,
        tokens_of(stored),
        stored.get("realm_id", ""),
        who,
        datetime.fromisoformat(connected) if connected else None,
        stored.get("because", ""),
        newest,
    )
