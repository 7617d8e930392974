"""Attribution methods measured side by side, and which one to trust."""
