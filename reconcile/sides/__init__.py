"""The two systems. Only code in this room talks to them.

``side`` is the protocol both speak; ``quickbooks`` and ``billing`` are the two systems; ``memory`` is a real side that
lives in memory, passes the same tests as the others, and serves tests of everything above.
"""
