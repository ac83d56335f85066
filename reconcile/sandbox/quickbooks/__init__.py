"""A QuickBooks Online company on this machine, behind the same HTTP API as Intuit's.

Other people's clients (python-quickbooks, node-quickbooks, intuit-oauth) work against it unmodified, so it is built
from what those clients and the public documents say, not from what our own client happens to need. Reading order:
`entities` (one table of every resource), `checks` (a body against that table), `store` (records and their indexes),
`lists`, `sales`, `payments`, `taxes`, `documents`, `attachments` and `settings` (what each kind of resource does when
it is written), `links` and `stock` (what it does to others), `company` (one company: writes, reads, queries, batches,
changes), `server` (companies, tokens, limits, clock, webhooks), `app` (HTTP), `markup` (the same in XML). Facts that
no source settles are named in `switches`; companies to start with are in `samples` and `generator`.
"""
