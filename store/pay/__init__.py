"""Payment: the provider's interface, attempts and refunds as tables, WeChat Pay, and a local double."""
