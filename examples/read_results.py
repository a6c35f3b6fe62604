"""Reads a study's table of results with DuckDB; nothing of Leadglass is needed.

    pip install duckdb
    python read_results.py STUDY

STUDY is the folder that `leadglass study run` wrote. Each row of results.parquet is one number with its 95 % interval:
which arm, seed, split, target, group and metric it is of, and the file that it was computed from.
"""

import sys
from pathlib import Path

import duckdb

# The report's figure: each arm's mean over its seeds, within the outermost ends of their intervals.
AUROC = """
    select target, arm, any_value(epsilon) as epsilon, avg(value) as value, min(low) as low, max(high) as high,
           count(value) as seeds
    from results
    where metric = 'auroc' and "group" is null and value is not null
    group by target, arm
    order by target, value desc
"""

# Who is served worst: the group with the lowest mean of every arm.
WORST = """
    select target, arm, arg_min("group", mean) as "group", min(mean) as value
    from (select target, arm, "group", avg(value) as mean from results
          where metric = 'auroc' and "group" is not null and value is not null group by all)
    group by target, arm
    order by target, value desc
"""

# How far each attack got beyond guessing: 0 is guessing, 1 is everything.
ATTACKS = """
    select arm, attack, avg(value) as success, any_value(chance) as chance,
           avg((value - chance) / (1 - chance)) as gain
    from results
    where metric = 'attack success'
    group by arm, attack
    order by gain desc
"""


def read_results(study):
    """A connection in which the table is called `results`."""
    connection = duckdb.connect()
    connection.read_parquet(str(Path(study) / "results.parquet")).create("results")
    return connection


if __name__ == "__main__":
    connection = read_results(sys.argv[1])
    for target, arm, epsilon, value, low, high, seeds in connection.execute(AUROC).fetchall():
        proven = "nothing proven" if epsilon is None else f"epsilon {epsilon:.4g}"
        interval = "" if low is None else f" [{low:.3f}, {high:.3f}]"
        print(f"{target}: {arm} ({proven}): AUROC {value:.3f}{interval}, {seeds} seeds")
    for target, arm, group, value in connection.execute(WORST).fetchall():
        print(f"{target}: {arm} does worst for {group}: AUROC {value:.3f}")
    for arm, attack, success, chance, gain in connection.execute(ATTACKS).fetchall():
        print(f"{arm}: {attack} right in {success:.3f}, by guessing {chance:.3f}: gain {gain:.3f}")
