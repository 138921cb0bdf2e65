"""The shop computer: ledger, receipts for records, status."""
