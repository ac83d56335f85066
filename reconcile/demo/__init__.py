"""One night on the sample company, told as a story: ``story`` runs it, ``desk`` is a person at work in QuickBooks.

Everything in it is real: a QuickBooks that answers over HTTP, a ReliaBills database, papermill runs with evidence.
"""
