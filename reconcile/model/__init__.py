"""What things are: entities and their fields, money, snapshots, changes, findings, plans. Imports nothing of ours.

Everything here is a value. Frames hold the many, frozen dataclasses the few.
"""
