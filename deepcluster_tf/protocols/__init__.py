"""How the documents run and score their methods: what is fitted on, what is scored, and over which images.

A protocol has `settings` (named in a run's variant and recorded), `suffix`, `check_settings()`, `check(method,
dataset)` and `carry_out(method, dataset, data, work, again, progress, strategy)`, which fits and returns the record's
fields.
"""
