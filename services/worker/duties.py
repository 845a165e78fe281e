"""All that a worker does again and again, beside following the registry. None of it imports MLflow."""

from mlops.metrics import Metrics
from mlops.settings import Settings
from services.worker.experiments import experiments_round
from services.worker.judging import judging_round
from services.worker.keeping import keeping_rounds
from services.worker.releases import releases_round
from services.worker.rounds import Round


def duties(settings: Settings, metrics: Metrics) -> list[Round]:
    """Return the rounds of a worker."""
    return [
        releases_round(settings, metrics),
        experiments_round(settings, metrics),
        judging_round(settings, metrics),
        *keeping_rounds(settings, metrics),
    ]
