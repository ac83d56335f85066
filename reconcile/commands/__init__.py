"""Commands of the command line that fill a module of their own; ``cli`` registers them.

What a command needs is imported inside it: help must not wait for pandas.
"""
