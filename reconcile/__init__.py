"""Keeps QuickBooks Online ("books") and ReliaBills ("billing") in agreement, every night, and proves it.

Reading order for newcomers: ``model`` (what things are), ``compare`` (what differs and what to do about it), ``sides``
(the only code that talks to the two systems), ``state`` (what we remember), ``push`` (the only code that writes),
``session`` (one run, stage by stage, as the notebook tells it), ``runner`` (papermill, the clock, the evidence) and
``cli``.

Imports run one way:
errors, config <- model <- {compare, sides, state, checks, report} <- push <- session <- runner <- cli.
"""
