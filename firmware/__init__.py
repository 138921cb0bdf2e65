"""What runs on every board: policy, the event loop, sync. Never imports a device library."""

__version__ = "0.1.0"
