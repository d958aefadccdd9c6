"""Draw a queue for a budget: so many rows in doubt, by what their verdicts are worth, when some of these may be wrong."""

import numpy as np

from tasks.commands.desk import QUEUE
from tasks.commands.query import open_here
from tasks.commands.reviews import in_force
from tasks.core.errors import SluiceError
from tasks.methods.draws import draws
from tasks.methods.review_order import review_order

WRONG_SHARE = 0.1  # of the budget, unless told: people err in some percent of doubtful pictures, the machine's doubts are no surer


def drawn_for(budget: int, wrong: int | None) -> list[str]:
    """The ids of the rows to judge, in order: those of the review queue that robust active distillation's rule draws.

    Draws go by sample_id: rows that wait keep theirs when others are judged. Raises SluiceError for a budget or `wrong` that can't be.
    """
    with open_here() as catalog:
        rows = catalog.table(f"SELECT sample_id, review_priority FROM samples WHERE {QUEUE}", {"done": list(in_force())})
    ids = rows["sample_id"].to_pylist()
    gains = np.asarray(rows["review_priority"].to_numpy(), np.float64)
    wrong = max(1, round(WRONG_SHARE * budget)) if wrong is None else wrong
    try:
        order = review_order(gains, draws(ids, salt="review"), budget=budget, wrong=wrong)
    except ValueError as error:
        raise SluiceError(str(error)) from None
    return [ids[place] for place in order.tolist()]
