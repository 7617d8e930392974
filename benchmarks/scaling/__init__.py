"""What an audit costs on many workers: measured on two, foretold for hundreds."""
