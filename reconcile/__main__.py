"""``python -m reconcile`` is the command line."""

from reconcile.cli import main

main()
