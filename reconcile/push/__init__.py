"""The only code that writes to either side. ``steps`` carries out a plan, ``settle`` resolves what was left open.

Intent is committed before a request leaves; the answer, the link and the new base are committed together. A lost reply
is unknown, never failed, and is settled before that record is written again.
"""
