"""How well audits find what is known to rest on the background."""
