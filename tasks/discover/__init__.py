"""Which backgrounds and artefacts predictions rest on."""
