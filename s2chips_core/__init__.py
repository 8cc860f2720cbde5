"""Machine-learning chips of ships from Sentinel-2: the plain Python core.

The tree shows the flow: `overpasses` (when), `ais` (who), `scenes` (what), `chips` (cut), `index` (keep). A folder
imports only from folders before it and from `config`, `sections`, `errors`, `layout`, `storage`, `tables` and `fetch`.
`sandbox` is the embedded archive for demo, tests and benchmarks. No Dagster in here: everything is usable from a notebook.
"""

__version__ = "0.1.0"
