# %% [markdown]
# # Reading a run
# Open this file as a notebook (VS Code, Jupytext), or run it: `python examples/read_a_run.py`.
# It needs a finished audit in `runs/own`: `sightline audit --config examples/audit.toml`.

# %%
import duckdb

import sightline

run = sightline.open_run("runs/own")
summary = run.summary()
print(f"{summary.images.predicted} images, accuracy {summary.accuracy.value:.0%}")

# %% [markdown]
# Predictions, flags, a method's figures and every column of the catalog, one row per image. Which
# backgrounds are predicted worst?

# %%
table = run.table("grad_cam_pp").to_pandas()
print(table.groupby("background")["correct"].mean().sort_values())

# %% [markdown]
# Two methods on the same images: where do their maps lie on the object, and where not?

# %%
own = run.table("own_method.py:occlusion").to_pandas()
print((own["lift"] - table["lift"]).describe())

# %% [markdown]
# The maps themselves, enlarged to the size of a picture.

# %%
maps = run.maps(table["row_id"].tolist()[:4], "own_method.py:occlusion", size=(64, 64))
print({row_id: map_HW.shape for row_id, map_HW in maps.items()})

# %% [markdown]
# Every file is Parquet and readable without Sightline.

# %%
print(duckdb.sql("select flag, count(*) as images from 'runs/own/flags.parquet' group by flag"))
