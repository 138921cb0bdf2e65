"""A small client of WeChat Pay API v3: code pay, query, reverse, refunds, Pay Score, callbacks."""
