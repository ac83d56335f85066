"""What we remember: links, the base, the journal, runs, cursors, settings, tokens and who holds a company.

``database`` opens and migrates the state (SQLite by default, PostgreSQL by URL), ``schema`` says which tables there
are, ``migrations`` how they came to be. ``links`` reads the last agreement into frames; ``journal`` is the only code
that changes it, because an answer, its link and the new base must be committed together (design: *Writing to other
people's money*). ``lease`` lets one run at a time hold a company and refuses the write of a late one.

Nothing here knows the two systems or compares anything. Identifiers are text columns, money inside JSON is integers of
minor units, times are UTC. Every change of more than one row is one transaction.
"""
