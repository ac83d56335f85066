"""`python -m reconcile.sandbox.quickbooks`."""

from reconcile.sandbox.quickbooks.command import main

main()
