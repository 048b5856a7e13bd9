"""Hyperliquid: fills, funding and ledger updates, prices, clearing-house snapshots and market listings.

Any mix of these files, plain or compressed, makes one ledger; what each is, is told by its content:

- ``node_fills_by_block``: one block per line, all fills of the venue (since July 2025);
- ``node_fills``: one ``[user, fill]`` per line (before that);
- ``misc_events_by_block``: funding, deposits, withdrawals and transfers;
- ``asset_ctxs``: mark and oracle prices by the minute, CSV;
- ``account_value_snapshot_<block>_<ms>.json`` and ``perp_positions_by_market_<block>_<ms>.json``;
- the API's answer to ``meta``, which gives the markets' decimals and margin. It states no time and comes first.

At one time, listings come before prices, misc events and fills; a snapshot comes after all of its millisecond. Spot and
staking are counted and set aside: the ledger is of the perp clearing house.
"""

from events.sources.hyperliquid.feeds import HEAD, open_feeds

__all__ = ["FORMAT", "FORMAT_VERSION", "HEAD", "open_feeds"]

FORMAT = "hyperliquid"
FORMAT_VERSION = 1
