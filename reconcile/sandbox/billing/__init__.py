"""A ReliaBills of our own: its database, its rules and its midnight job, as the knowledge base describes them.

``schema`` are the tables; ``database`` makes and opens one; ``ledger`` is all that ReliaBills' own users can do, with
its rules; ``midnight`` makes recurring invoices and charges auto pay; ``scenario`` says which part of the sample
company this side has, ``sample`` loads it; ``day`` tells a working day; ``command`` is the command line. Nothing here
knows of any sync: the sync talks to the database only.
"""
