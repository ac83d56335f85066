"""The decision: which records are one, what changed on which side, what a push would do, and whether the sides tie out.

Pure: no network, disk, database or clock. Values in, values out, so that every rule here can be tried by hand in a
notebook and proven by a law in a test. Read it in this order:

* :mod:`~reconcile.compare.canonical` - both sides in one language: references as keys, child rows as one text
* :mod:`~reconcile.compare.matching` - which books record is which billing record
* :mod:`~reconcile.compare.policy` - who wins where a person would otherwise be asked
* :mod:`~reconcile.compare.resolving` - what people have decided
* :mod:`~reconcile.compare.truth` - the three-way truth table
* :mod:`~reconcile.compare.cells` and :mod:`~reconcile.compare.obstacles` - what follows from it field by field, and
  what stands in the way; :mod:`~reconcile.compare.expressible` - what QuickBooks can hold at all
* :mod:`~reconcile.compare.diff` - all of this for one entity, with what became of records that one side lacks
* :mod:`~reconcile.compare.planning` - the operations that follow, and what waits for what;
  :mod:`~reconcile.compare.effects` - the mails and charges they would cause;
  :mod:`~reconcile.compare.simulation` - what they would leave behind
* :mod:`~reconcile.compare.tieout` - control totals, and every record behind a difference
* :mod:`~reconcile.compare.midnight` - what the midnight job would charge twice
* :mod:`~reconcile.compare.guards` - shapes of disaster that stop a run before its first write

The names of the rules, as findings bear them, are in :mod:`~reconcile.compare.rules`.
"""
