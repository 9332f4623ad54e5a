"""Made-up logs that several test files use."""

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="session")
def shop() -> pd.DataFrame:
    """Half a year of purchases: 80 users with a few favourites each among 60 items, in baskets of one day."""
    rng = np.random.default_rng(11)
    rows = []
    for user in range(80):
        favourites = rng.choice(60, 8, replace=False)
        for day in np.sort(rng.choice(182, 40, replace=False)):
            for item in [*rng.choice(favourites, 3, replace=False), rng.integers(60)]:
                rows.append(
                    (user, int(item), pd.Timestamp("2017-01-01") + pd.Timedelta(hours=24 * int(day) + 9))
                )
    events = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    events["basket_id"] = events["user_id"].astype(str) + events["timestamp"].dt.strftime("/%m-%d")
    return events.sort_values(["timestamp", "user_id", "item_id"], ignore_index=True)
