"""One flow per file, each of which reads like its description in the README."""
