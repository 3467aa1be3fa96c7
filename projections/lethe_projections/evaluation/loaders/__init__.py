"""Other projects' data sets, from files that the user has, as suites like any other.

| module | files |
|---|---|
| `tofu` | TOFU: `forget01`, `forget01_perturbed`, `retain99`, `real_authors`, `world_facts`, ... |
| `pistol` | PISTOL's samples, and LUNAR's factual data, which has the same shape |
| `wmdp` | WMDP: `wmdp-bio`, `wmdp-chem`, `wmdp-cyber` |
| `muse` | MUSE: `knowmem` and `verbmem` |
| `rwku` | RWKU: `forget_level1` to `forget_level3`, `neighbor_level1`, `neighbor_level2` |

As JSON, JSON lines, CSV or Parquet, the last where pyarrow is installed. Columns that are not used
are passed over. `named` reads several of them by one line of text. None of their data is part of
Lethe, and each has a licence of its own.
"""
