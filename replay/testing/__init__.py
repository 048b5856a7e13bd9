"""For those who test against a ledger: Hypothesis strategies. The only room that imports Hypothesis."""
