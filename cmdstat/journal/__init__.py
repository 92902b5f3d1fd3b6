"""The journal: one SQLite table of updates, which is the record, the queue and the history.

A row is there before its request leaves (`sending`) and its outcome before anything is shown, so
that nothing that happens to the process, the terminal or the disk can lose what became of it.
"""
