"""Stand-ins for the two systems, good enough to develop, demonstrate and test against.

`quickbooks` is an HTTP server that speaks QuickBooks Online's API, `billing` makes a ReliaBills database and runs its
midnight job, `samples` holds the companies both start with. Sandbox code is product code: people meet it in the demo
and rely on it in their own tests.
"""
