"""However a run ends, its notebook is kept, its verdict stands on top, and its company is free for the next run."""

from __future__ import annotations

import html
import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from reconcile.config import load_config
from reconcile.errors import ConfigurationError
from reconcile.evidence import digest
from reconcile.model.runs import Outcome, Run
from reconcile.runner.execute import execute
from reconcile.runner.request import Request
from reconcile.state import lease, runs
from reconcile.state.database import open_state
from tests.notices.conftest import MAIL, MailServer, serving
from tests.runner.conftest import (
    BILLING_PASSWORD,
    CANARIES,
    COMPANY,
    OPENED,
    PARAMETERS,
    PIDS,
    STEP_DONE,
    Bench,
    first_output,
    gone,
    pids_in,
)

TELL = """\
import json
from pathlib import Path

Path("told.json").write_text(json.dumps([company, mode, apply, slot, plan_to_enforce]))
"""


def assert_filed(bench: Bench, run: Run, outcome: Outcome, *words: str) -> None:
    """The run came to this; everything that must remain of a run remains, and the next one may start at once."""
    assert run.outcome is outcome, run.reason
    for word in words:
        assert word in run.reason
    top = first_output(bench.saved(run))
    for word in words:
        assert html.escape(word) in top
    filed = bench.filed(run)
    assert (filed["outcome"], filed["exit_code"], filed["reason"]) == (outcome.value, outcome.exit_code, run.reason)
    assert filed["artifacts"]["sync.ipynb"] == digest(bench.folder(run) / "sync.ipynb")
    assert (bench.folder(run) / "journal.jsonl").exists()
    assert not list(bench.folder(run).rglob("*partial*"))
    state = open_state(bench.config.state_url)
    assert runs.get(state, run.id).outcome is outcome
    assert runs.get(state, run.id).ended_at is not None
    lease.acquire(state, COMPANY, "test:next", "next", timedelta(minutes=1)).release()
    state.dispose()


def no_runs(bench: Bench) -> bool:
    state = open_state(bench.config.state_url)
    found = runs.find(state)
    state.dispose()
    return not found and not bench.config.runs.exists()


# ---------------------------------------------------------------- what is refused before a run exists


def test_a_parameter_that_the_notebook_does_not_know_is_refused(bench: Bench) -> None:
    bench.notebook(parameters='company = ""\nmode = "census"\napply = False\nslot = ""')
    with pytest.raises(
        ConfigurationError, match=r"no parameter 'plan_to_enforce'. It knows: company, mode, apply, slot"
    ):
        execute(bench.config, Request(COMPANY))
    assert no_runs(bench)


def test_a_notebook_without_a_parameters_cell_is_refused_in_words(bench: Bench) -> None:
    bench.notebook(parameters="")
    with pytest.raises(ConfigurationError, match=r"no parameter 'company'. It knows: none"):
        execute(bench.config, Request(COMPANY))
    assert no_runs(bench)


@pytest.mark.parametrize(
    ("spoiled", "sentence"),
    [
        (PARAMETERS.replace("apply = False", 'apply = "no"'), "'apply' of sync.ipynb must be of type str, not True"),
        (PARAMETERS.replace('slot = ""', "slot = 0"), "'slot' of sync.ipynb must be of type int, not ''"),
    ],
)
def test_a_parameter_of_another_type_than_its_default_is_refused(bench: Bench, spoiled: str, sentence: str) -> None:
    bench.notebook(parameters=spoiled)
    with pytest.raises(ConfigurationError, match=sentence):
        execute(bench.config, Request(COMPANY))
    assert no_runs(bench)


def test_a_missing_notebook_is_said_with_what_to_do(bench: Bench) -> None:
    with pytest.raises(ConfigurationError, match=r"is missing. .* restore it"):
        execute(bench.config, Request(COMPANY))
    assert no_runs(bench)


@pytest.mark.parametrize("content", ["", "hello", "[]", "{}", '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}'])
def test_what_is_no_notebook_is_refused_in_one_line(bench: Bench, content: str) -> None:
    bench.notebook().write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="cannot be read as a notebook") as refusal:
        execute(bench.config, Request(COMPANY))
    assert "\n" not in str(refusal.value)
    assert no_runs(bench)


def test_without_a_place_for_evidence_no_run_starts(bench: Bench) -> None:
    bench.notebook()
    bench.config.runs.write_text("a file stands here", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"cannot be written .* a run without evidence is not started"):
        execute(bench.config, Request(COMPANY))
    state = open_state(bench.config.state_url)
    assert runs.find(state) == []
    state.dispose()


# ---------------------------------------------------------------- how runs end


def test_parameters_travel_as_they_are_and_a_run_without_a_tie_out_proves_nothing(bench: Bench) -> None:
    hostile = "00123 \"quoted\" 'single' {braces} {{7*7}} \\n backslash\nnewline \N{RIGHT-TO-LEFT OVERRIDE}end"
    done = bench.run(TELL, plan=hostile, slot="22:30")
    told = json.loads((bench.root / "told.json").read_text(encoding="utf-8"))
    assert told == ["00123", "census", True, "22:30", hostile]
    assert bench.filed(done)["parameters"]["plan_to_enforce"] == hostile
    assert_filed(bench, done, Outcome.STEP_FAILED, "without a tie-out")


def test_braces_in_the_place_of_the_evidence_are_no_parameters(bench: Bench) -> None:
    settings = bench.config.path.read_text(encoding="utf-8")
    bench.config.path.write_text('runs = "runs {company} {0}"\n' + settings, encoding="utf-8")
    bench.config = load_config(bench.config.path)
    watched: list[tuple[int, int]] = []
    bench.notebook(TELL)
    done = execute(bench.config, Request(COMPANY, apply=False), lambda at, total: watched.append((at, total)))
    assert_filed(bench, done, Outcome.STOPPED, "without a tie-out")
    assert watched[-1] == (3, 3)  # its parameters, those that were given, the cell


def test_a_cell_that_takes_too_long_ends_the_run(bench: Bench) -> None:
    done = bench.run("import time\ntime.sleep(600)", cell_seconds=1)
    assert_filed(bench, done, Outcome.STOPPED, "longer than 1 second ", "--cell-timeout")


def test_a_kernel_that_dies_after_a_step_leaves_a_failed_step_not_agreement(bench: Bench) -> None:
    done = bench.run(OPENED, STEP_DONE, "os._exit(9)", "print('never')")
    assert_filed(bench, done, Outcome.STEP_FAILED, "kernel died")
    assert [step["status"] for step in bench.filed(done)["steps"]] == ["synced"]


def test_a_night_that_ends_badly_is_mailed_with_the_verdict_and_without_a_secret(bench: Bench) -> None:
    with serving(MailServer()) as server:
        path = bench.config.path
        mail = MAIL.format(port=server.port, security="none")
        path.write_text(path.read_text(encoding="utf-8") + mail, encoding="utf-8")
        cells = (OPENED, STEP_DONE, f"raise KeyError({CANARIES['client_secret']!r})")
        bench.notebook(*cells)
        done = execute(load_config(path), Request(COMPANY, slot="22:30", kind="night"))
    ((recipients, message),) = server.taken
    assert recipients == ["office@office.example", "second@office.example"]
    assert message["Subject"].endswith(f": a step failed (22:30, run {done.id})")
    text = message.get_content()
    assert "[redacted]" in text
    assert "canary" not in text
    assert f"reconcile show {done.id}" in text


def test_one_of_our_errors_speaks_for_itself(bench: Bench) -> None:
    sentence = "The moon is in the wrong house. Wait until it has moved."
    done = bench.run(OPENED, f"from reconcile.errors import GuardError\nraise GuardError({sentence!r})")
    assert_filed(bench, done, Outcome.STOPPED, sentence)
    assert done.reason == sentence


def test_no_secret_stays_in_the_evidence_of_what_nobody_expected(bench: Bench) -> None:
    spoken = " ".join([*CANARIES.values(), BILLING_PASSWORD])
    shown = f"from IPython.display import HTML\nimport html\nHTML(html.escape({spoken!r}))"
    counted = f"runs.record_counts(state, run_id, {{'failure': {spoken!r}, 'note': [{spoken!r}]}})"
    done = bench.run(OPENED, shown, f"print({spoken!r})", counted, STEP_DONE, f"raise KeyError({spoken!r})")
    assert_filed(bench, done, Outcome.STEP_FAILED, "[redacted]")
    for file in bench.folder(done).rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert b"canary" not in content, file
    state = open_state(bench.config.state_url)
    assert "canary" not in runs.get(state, done.id).reason
    state.dispose()


def test_an_unexpected_error_is_named_and_no_markup_of_it_works(bench: Bench) -> None:
    done = bench.run(OPENED, "raise ValueError('<script>alert(1)</script>')")
    assert_filed(bench, done, Outcome.STOPPED, "Something broke that nobody expected (ValueError: <script>")
    assert "<script" not in first_output(bench.saved(done))


def test_a_run_that_is_told_to_end_is_filed_before_its_process_ends(bench: Bench) -> None:
    bench.notebook(OPENED, STEP_DONE, PIDS, "open('asleep', 'w').close()\nimport time\ntime.sleep(600)")
    process = subprocess.Popen(
        [sys.executable, "-m", "reconcile", "run", COMPANY],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=bench.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (bench.root / "asleep").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    said, complained = process.communicate(timeout=60)
    assert process.returncode == Outcome.STEP_FAILED.exit_code, complained
    assert "Traceback" not in complained
    assert "The run was interrupted" in said
    state = open_state(bench.config.state_url)
    [run] = runs.find(state)
    state.dispose()
    assert_filed(bench, run, Outcome.STEP_FAILED, "interrupted", "journal")
    assert [gone(pid) for pid in pids_in(bench)] == [True, True]


def test_each_run_is_chained_to_the_one_before(bench: Bench) -> None:
    first = bench.run("raise ValueError('one')")
    second = bench.run("raise ValueError('two')")
    assert bench.filed(first)["previous"] == ""
    assert bench.filed(second)["previous"] == digest(bench.folder(first) / "run.json")


def test_nobody_waits_for_imports_that_a_command_does_not_need() -> None:
    """First what starts the process that kernels are forked from, then what executes notebooks."""
    look = (
        "import sys\n"
        "import reconcile.runner.forking, reconcile.runner.request\n"
        "print(sorted({'pandas', 'sqlalchemy', 'papermill', 'jupyter_client'} & set(sys.modules)))\n"
        "import reconcile.runner.execute\n"
        "print(sorted({'great_expectations', 'matplotlib', 'lark', 'ipykernel'} & set(sys.modules)))\n"
    )
    said = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["[]", "[]"]
