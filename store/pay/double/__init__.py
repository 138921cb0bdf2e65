"""A local double of the WeChat Pay v3 HTTP interface, for tests and ``make run``. Never for real money."""
