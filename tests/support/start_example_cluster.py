"""Start a cluster by a function of a file of examples/deploy, until stdin ends; print what it is.

python start_example_cluster.py FILE FUNCTION '{"arguments": [...], "settings": {...}}'
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    file, function, text = sys.argv[1:]
    own = json.loads(text)
    certificates, *others = own["arguments"]
    make = runpy.run_path(file)[function]
    with make(Path(certificates), *others, **own["settings"]) as cluster:
        script = cluster.job_script() if hasattr(cluster, "job_script") else ""
        if script:
            cluster.adapt(minimum_jobs=1, maximum_jobs=2, interval="1s")
        print(json.dumps({"address": cluster.scheduler_address, "script": script}), flush=True)  # noqa: T201
        sys.stdin.read()
